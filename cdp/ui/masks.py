"""How much of identifiers the viewer sees."""

import time
from collections.abc import Callable, Collection
from typing import Final

import streamlit as st

from cdp.domain.access import mask
from cdp.insight.person import Person
from cdp.ui.app import platform

NAMES: Final = {
    "user_id": "User id",
    "email": "E-mail",
    "phone": "Phone",
    "client_id": "Client id",
}
"""Types of identifiers in words."""

REVEALED_SECONDS: Final = 15 * 60
_REVEALED: Final = "cdp.revealed"

Show = Callable[[str, str], str]
"""Returns a value of a type as the viewer may see it."""


def masked(is_admin: bool, found: Person | None = None) -> Collection[str]:
    """Return the types that are masked for the viewer, in a list or of one person.

    Of one, what the person's consent withholds from the document is masked for admins, too: the
    warehouse knows it for joining, which is no reason to show it.
    """
    policy = platform().policy
    hidden = frozenset[str]() if is_admin else frozenset(policy.access.masked)
    return hidden if found is None else hidden | withheld(found)


def masked_on_page(is_admin: bool, found: Person) -> Collection[str]:
    """Return the types that are masked on a profile's own page, where a reveal counts."""
    until = st.session_state.get(_REVEALED, {}).get(found.profile_id, 0.0)
    return frozenset() if until > time.time() else masked(is_admin, found)


def withheld(found: Person) -> frozenset[str]:
    """Return the types that the person's consent withholds."""
    policy = platform().policy
    permitted = {told.purpose for told in found.consent if told.permits}
    return frozenset(
        name for name in NAMES if policy.purpose_of(f"identifiers.{name}") not in permitted
    )


def reveal(profile_id: str) -> None:
    """Show a profile's identifiers whole on its page to this session, for a quarter of an hour."""
    revealed = st.session_state.setdefault(_REVEALED, {})
    revealed[profile_id] = time.time() + REVEALED_SECONDS


def shower(types: Collection[str]) -> Show:
    """Return what shows a value, masked where its type is among *types*."""

    def show(kind: str, value: str) -> str:
        return mask(kind, value) if kind in types else value

    return show

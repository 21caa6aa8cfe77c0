"""How much of identifiers the viewer sees."""

import time
from collections.abc import Callable, Collection
from typing import Final

import streamlit as st

from cdp.domain.access import mask
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


def masked(is_admin: bool, profile_id: str | None = None) -> Collection[str]:
    """Return the types that are masked for the viewer, on the page of one profile or in a list."""
    until = st.session_state.get(_REVEALED, {}).get(profile_id, 0.0)
    if is_admin or until > time.time():
        return ()
    return platform().policy.access.masked


def reveal(profile_id: str) -> None:
    """Show a profile's identifiers whole to this session, for a quarter of an hour."""
    revealed = st.session_state.setdefault(_REVEALED, {})
    revealed[profile_id] = time.time() + REVEALED_SECONDS


def shower(types: Collection[str]) -> Show:
    """Return what shows a value, masked where its type is among *types*."""

    def show(kind: str, value: str) -> str:
        return mask(kind, value) if kind in types else value

    return show

"""How much of identifiers the viewer sees."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Final, Protocol

import streamlit as st

from cdp.domain.access import Ground, permits, shown, sight
from cdp.domain.consent import VALUES
from cdp.insight import person
from cdp.insight.person import Identifier, Person
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


class Show(Protocol):
    """Returns a value of a type as the viewer may see it.

    What the warehouse tells of an identifier comes with its ground, which decides before the role.
    """

    def __call__(self, kind: str, value: str, ground: Ground | None = None, /) -> str: ...


def masked(is_admin: bool, found: Person | None = None) -> frozenset[str]:
    """Return the types that are masked for the viewer, in a list or of one person.

    Of one, what the person's consent withholds from the document is among them for admins, too: the
    warehouse knows it for joining, which is no reason to show it.
    """
    policy = platform().policy
    hidden = frozenset[str]() if is_admin else frozenset(policy.access.masked)
    return hidden if found is None else hidden | withheld(found)


def masked_on_page(is_admin: bool, found: Person) -> frozenset[str]:
    """Return the types that are masked on a profile's own page, where a reveal counts.

    A reveal shows what is masked for the role, never what the person's consent withholds.
    """
    return masked_until(is_admin, found, revealed_until(found.profile_id))


def revealed_until(profile_id: str) -> float:
    """Return when this session's reveal of a profile runs out, in seconds since 1970; 0: none."""
    until: float = st.session_state.get(_REVEALED, {}).get(profile_id, 0.0)
    return until


def masked_until(is_admin: bool, found: Person, until: float) -> frozenset[str]:
    """Return the types that are masked at this moment, where a reveal runs out at *until*."""
    return withheld(found) if until > time.time() else masked(is_admin, found)


def withheld(found: Person) -> frozenset[str]:
    """Return the types that the person's consent withholds."""
    policy = platform().policy
    permitted = {told.purpose for told in found.consent if told.permits}
    return frozenset(
        name for name in NAMES if policy.purpose_of(f"identifiers.{name}") not in permitted
    )


def withheld_alone(found: Person, known: Collection[Identifier]) -> frozenset[Identifier]:
    """Return those of *known* that are withheld though the person's consent permits their type.

    Of a purpose of scope `value` each address and number is resolved by itself; the document holds
    those that permit.
    """
    policy = platform().policy
    purposes = {name: policy.purposes[policy.purpose_of(f"identifiers.{name}")] for name in VALUES}
    kinds = {name for name in VALUES if purposes[name].scope == "value"} - withheld(found)
    return frozenset(one for one in known if one.type in kinds) - frozenset(found.identifiers)


def ground(states: Mapping[str, str]) -> Ground:
    """Return what a document says of consent, by purpose, as the ground of its identifiers."""
    purposes = platform().policy.purposes
    told = {purpose: states.get(purpose, "unknown") for purpose in purposes}
    means = {
        purpose: purposes[purpose].unknown if state == "unknown" else state
        for purpose, state in told.items()
    }
    return Ground(frozenset(purpose for purpose, state in means.items() if state == "granted"))


def reveal(profile_id: str) -> None:
    """Show a profile's identifiers whole on its page to this session, for a quarter of an hour."""
    revealed = st.session_state.setdefault(_REVEALED, {})
    revealed[profile_id] = time.time() + REVEALED_SECONDS


def may_show(kind: str, ground: Ground) -> bool:
    """Whether consent permits to show an identifier to anybody."""
    return permits(platform().policy, kind, ground)


def shower(
    types: Collection[str],
    withheld: Collection[str] = (),
    alone: Collection[Identifier] = (),
) -> Show:
    """Return what shows a value.

    Args:
        types: those that are masked for the viewer.
        withheld: those that the consent of the person, whose all values are, withholds.
        alone: values that are withheld whatever their type; see `withheld_alone`.
    """
    hidden = {(one.type, one.value) for one in alone}

    def show(kind: str, value: str, ground: Ground | None = None, /) -> str:
        permitted = (
            kind not in withheld
            and (kind, value) not in hidden
            and (ground is None or may_show(kind, ground))
        )
        return shown(kind, value, sight(permitted=permitted, masked=kind in types))

    return show


def of_person(
    found: Person, masked: Collection[str], known: Collection[Identifier]
) -> tuple[Show, Callable[[str], str]]:
    """Return what shows a person's identifiers, and what masks them in text beside the document.

    Args:
        masked: the types that are masked for the viewer on that page.
        known: what the warehouse joined into the profile, also what consent withholds.
    """
    withholds, alone = withheld(found), withheld_alone(found, known)
    show = shower(masked, withholds, alone)
    conceal = person.concealer(found, masked, known, withholds)
    if not alone:
        return show, conceal
    # Of the others of their types, too, what looks like an e-mail address is lost in text.
    types = {one.type for one in alone}
    hide = person.concealer(replace(found, body={}), types, alone, types)
    return show, lambda text: conceal(hide(text))

"""The identifiers that somebody may mean, and where each stands."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.insight.stitching.parts import Identifier, State, ground_of, hub_of, shown, utc
from cdp.warehouse.port import Warehouse


def lookup(warehouse: Warehouse, policy: Policy, value: str) -> list[Identifier]:
    """Return the identifiers that somebody may mean who typed *value*, those in profiles first.

    A client is found by its bare id or its key, a profile's identifiers by its id, also by one that
    has ended in another profile. What is known nowhere is returned as one identifier that is
    unknown, of the type it looks like; nothing was typed, nothing is returned.
    """
    names = policy.speller().spellings(value)
    if not names[0]:
        return []
    found = identifiers(warehouse, names=names, profile_id=_live(warehouse, names[0]))
    known = [one for one in found if one.state is not State.UNKNOWN]
    return known or [_unknown(policy, names, found)]


def _unknown(policy: Policy, names: Sequence[str], found: Iterable[Identifier]) -> Identifier:
    """Return the one of *found* that the typed text looks like; *found* holds them all."""
    like = "user_id", names[0]
    if re.fullmatch(r"[0-9]+\.[0-9]{10}", names[0]):  # a client id ends in its first second
        like = "client_id", names[0]
    elif "@" in names[-1]:
        like = "email", names[-1]
    elif re.fullmatch(r"\+[0-9]+", names[-1]):
        like = "phone", names[-1]
    blocked = any(re.search(policy.blocked_pattern(), name.lower()) for name in names)
    (one,) = [one for one in found if (one.type, one.value) == like]
    return replace(one, state=State.BLOCKED) if blocked else one


def identifiers(
    warehouse: Warehouse,
    *,
    names: Sequence[str] = (),
    ids: Sequence[int] = (-1,),
    profile_id: str = "",
) -> list[Identifier]:
    rows = ask(
        warehouse, "stitching_lookup", names=names, ids=ids, profile_id=profile_id, most=_FOUND
    )
    return [_identifier(row) for row in rows]


_FOUND: Final = 500
"""Identifiers that a look-up returns, at most; only a profile's own id finds as many."""


def _identifier(row: Mapping[str, Any]) -> Identifier:
    state = State.UNKNOWN
    if row["present"]:
        state = State.IN_PROFILE
    elif row["kept_out"]:
        state = State.KEPT_OUT
    elif row["profile_id"]:
        state = State.GONE
    return Identifier(
        identifier_id=row["identifier_id"],
        type=row["type"] or "",
        **shown(row["type"], row["value"] or ""),
        state=state,
        profile_id=row["profile_id"],
        kept_out=tuple(row["kept_out"] or ()),
        hub=hub_of(row["joins"], row["joined"], row["most"]),
        closed=row["closed"],
        ground=ground_of(row["granted"]),
        first_seen=row["first_seen"] and utc(row["first_seen"]),
        last_seen=row["last_seen"] and utc(row["last_seen"]),
    )


def _live(warehouse: Warehouse, profile_id: str) -> str:
    """Return the profile that *profile_id* is now, itself where it has ended in no other."""
    met = {profile_id}
    while rows := ask(warehouse, "stitching_heir", profile_id=profile_id):
        profile_id = rows[0]["to_id"]
        if profile_id in met:
            break
        met.add(profile_id)
    return profile_id

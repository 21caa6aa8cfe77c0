"""What is kept out of the graph, and why."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cdp.domain.errors import CdpError
from cdp.insight.ask import ask
from cdp.insight.stitching.parts import End, Hub, KeptOut, ground_of, hub_of, shown, utc
from cdp.warehouse.port import Warehouse

HUB: Final = "hub"
CLOSED: Final = "denies to be joined"
"""Reasons of links that are kept out for one of their ends; the others are the warehouse's."""


@dataclass(frozen=True, slots=True)
class Page:
    """Links kept out, the most recently seen first; *after* leads on, None at the end."""

    links: tuple[KeptOut, ...]
    after: str | None


_WHY: Final[Mapping[str, str]] = {
    "blocked value": "The policy blocks one of the two values: it stands for nobody.",
    "blank": "One of the two holds nothing that can be seen.",
    "not a phone number": "One of the two does not read as a phone number.",
    "a phone number without its country": (
        "One of the two is a phone number whose country nobody told; [regions] in the policy says "
        "where a source's numbers are from."
    ),
    "not an e-mail address": "One of the two does not read as an e-mail address.",
    "not a user id": "The policy says that one of the two does not look like a user id.",
    "consent denied": "Consent to link them was denied.",
    "consent unknown": "Nobody said whether they may be linked, and silence does not permit it.",
    CLOSED: "Whoever one of the two belongs to does not consent to being joined by it.",
    HUB: "One of the two joins more values than the policy allows one person.",
}
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "user_id": ("user id", "user ids"),
    "email": ("e-mail address", "e-mail addresses"),
    "phone": ("phone number", "phone numbers"),
    "client_id": ("client id", "client ids"),
}


def why(reason: str) -> str:
    """Return in words, without values, why links are kept out for *reason*."""
    return _WHY.get(reason, f"Kept out: {reason}.")


def kept_out(
    warehouse: Warehouse, reason: str | None = None, after: str | None = None, limit: int = 50
) -> Page:
    """Return a page of the links kept out, for one *reason* or for any.

    Args:
        after: the page before's, or None for the first.

    Raises:
        CdpError: *after* is none of a page's.
    """
    before, place = _position(after)
    rows = ask(
        warehouse,
        "stitching_kept_out",
        reason=reason or "",
        before=before,
        after=place,
        most=limit + 1,
    )
    links = tuple(kept_out_of(row) for row in rows[:limit])
    return Page(links, _cursor(rows[limit - 1]) if len(rows) > limit else None)


def _cursor(row: Mapping[str, Any]) -> str:
    position = [utc(row["last_seen"]).isoformat(), row["place"]]
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode()


def _position(after: str | None) -> tuple[datetime, str]:
    if after is None:
        return datetime.max.replace(tzinfo=UTC), ""
    try:
        time, place = json.loads(base64.urlsafe_b64decode(after))
        return datetime.fromisoformat(time).astimezone(UTC), str(place)
    except (ValueError, TypeError, OverflowError):  # base64's and JSON's are ValueErrors
        raise CdpError("this is no place in the list; start at its first page") from None


def kept_out_of(row: Mapping[str, Any]) -> KeptOut:
    a, b = _end(row, "a"), _end(row, "b")
    shared = next((end for end in (a, b) if end.hub), None)
    words = why(row["reason"])
    if row["reason"] == HUB and shared and shared.hub:
        words = f"The {joins_too_many(shared.type, shared.hub)}: it is not one person's."
    return KeptOut(
        a=a,
        b=b,
        reason=row["reason"],
        why=words,
        source=row["source"],
        consent=row["consent"],
        seen=row["seen"],
        first_seen=utc(row["first_seen"]),
        last_seen=utc(row["last_seen"]),
    )


def joins_too_many(type: str, hub: Hub) -> str:
    return (
        f"{_WORDS[type][0]} joins {_count(hub.joined, *_WORDS[hub.joins])}, at most {hub.most} "
        f"{'is' if hub.most == 1 else 'are'} allowed"
    )


def _end(row: Mapping[str, Any], side: str) -> End:
    kind = row[f"{side}_type"]
    hub = hub_of(row[f"{side}_joins"], row[f"{side}_joined"], row[f"{side}_most"])
    ground = ground_of(row[f"{side}_granted"], (row["source"], row["consent"]))
    value = shown(kind, row[f"{side}_value"])
    return End(row[f"{side}_id"], kind, **value, ground=ground, hub=hub)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"

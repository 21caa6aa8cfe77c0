"""What somebody at the desk asks of consent: all that was said, what lapses, what has no effect."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cdp.domain.access import Ground
from cdp.domain.identifiers import Speller
from cdp.domain.policy import Policy
from cdp.domain.withdrawal import Denial
from cdp.insight.ask import ask
from cdp.insight.person import Identifier
from cdp.insight.stitching.parts import ground_of
from cdp.profiles.decisions import FIRST, Decisions
from cdp.profiles.port import DocumentStore
from cdp.warehouse.port import Warehouse

SOON: Final = timedelta(days=30)


# --- the history of an identifier -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement, as the ledger holds it or as it was just written down.

    `value` of a client is its bare id. `asked`: it is of the identifier that was looked for;
    `profile_id`: whose it is, None where it is in no profile; `weighed`: a run has seen it.
    """

    at: datetime
    purpose: str
    state: str
    source: str
    explicit: bool
    type: str
    value: str
    ground: Ground
    evidence: str
    told_by: str
    notice: str
    asked: bool
    profile_id: str | None
    weighed: bool


def ledger(
    warehouse: Warehouse | None,
    documents: DocumentStore,
    policy: Policy,
    text: str,
    limit: int = 500,
) -> list[Entry]:
    """Return all that was ever said for an identifier, and for whose it is, the newest first.

    The ledger is asked, not the documents: who said no is in none. What was decided at the console
    since the last refresh is in the document store only.

    Args:
        warehouse: what was published; None before the first run has settled.
        text: the identifier as somebody typed it.
    """
    names = _names(policy.speller(), text)
    if not names:
        return []
    fresh = _not_weighed(warehouse, documents, policy, names)
    rows = ask(warehouse, "consent_ledger", names=names, most=limit) if warehouse else []
    return [
        *fresh,
        *(
            Entry(
                at=_utc(row["said_at"]),
                ground=ground_of(row["granted"]),
                evidence=row["evidence"] or "",
                told_by=row["told_by"] or "",
                notice=row["notice"] or "",
                weighed=True,
                **{name: row[name] for name in _SAME},
            )
            for row in rows
        ),
    ]


_SAME: Final = (
    *("purpose", "state", "source", "explicit", "type", "value", "asked", "profile_id"),
)


def _names(speller: Speller, text: str) -> list[str]:
    return [name for name in speller.spellings(text) if name]


def _not_weighed(
    warehouse: Warehouse | None,
    documents: DocumentStore,
    policy: Policy,
    names: Sequence[str],
) -> list[Entry]:
    found = [
        Entry(
            at=datetime.fromisoformat(body["at"]),
            purpose=body["purpose"],
            state=body["state"],
            source=body["source"],
            explicit=body["source"] in policy.decisions.explicit,
            type=body["type"],
            value=body["value"],
            ground=Ground(None),
            evidence=f"decision {document.id}",
            told_by=body["by"],
            notice=body["notice"],
            asked=True,
            profile_id=None,
            weighed=False,
        )
        for document in Decisions(documents).after(_copied(warehouse))
        if (body := document.body)["value"] in names
    ]
    return found[::-1]


def _copied(warehouse: Warehouse | None) -> str:
    """Return the id of the last decision that was published."""
    return (ask(warehouse, "consent_copied")[0]["decision_id"] if warehouse else None) or FIRST


def withdrawn_since(warehouse: Warehouse, documents: DocumentStore) -> frozenset[Identifier]:
    """Return the identifiers that were withdrawn since *warehouse* was published.

    It would still permit to show them.
    """
    decisions, copied = Decisions(documents), _copied(warehouse)
    if decisions.last() <= copied:
        return frozenset()
    found: set[Identifier] = set()
    for document in decisions.after(copied):
        if "denial" not in document.body:
            continue
        denial = Denial.of(document.body["denial"])
        theirs = {Identifier(denial.type, denial.value)}
        if not denial.alone and denial.profiles:
            rows = ask(warehouse, "consent_members", profile_ids=denial.profiles)
            theirs |= {Identifier(**row) for row in rows}
        found |= {one for one in theirs if f"identifiers.{one.type}" in denial.fields}
    return frozenset(found)


def profiles_of(warehouse: Warehouse, type: str, value: str) -> list[str]:
    """Return the ids of the profiles that the word of an identifier binds.

    Args:
        value: as it is joined, a client by its bare id.
    """
    return [row["profile_id"] for row in ask(warehouse, "consent_profiles", type=type, value=value)]


# --- expiring soon --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Grant:
    """A Yes that lapses soon."""

    purpose: str
    profile_id: str
    type: str
    value: str
    ground: Ground
    source: str
    at: datetime
    lapses_at: datetime


@dataclass(frozen=True, slots=True)
class Expiring:
    """Grants that lapse soon, the soonest first; `counts`: grants and profiles, by purpose."""

    counts: dict[str, tuple[int, int]]
    grants: Sequence[Grant]


def expiring(warehouse: Warehouse, policy: Policy, now: datetime, limit: int = 50) -> Expiring:
    """Return grants that lapse within 30 days, at most *limit* a purpose, and how many there are.

    Purposes whose grants never lapse are not counted.
    """
    rows = ask(
        warehouse,
        "consent_expiring",
        purposes=tuple(policy.purposes),
        until=now + SOON,
        most=limit,
    )
    counts = {name: (0, 0) for name, purpose in policy.purposes.items() if purpose.months}
    counts |= {row["purpose"]: (row["grants"], row["profiles"]) for row in rows}
    return Expiring(
        counts,
        [
            Grant(
                purpose=row["purpose"],
                profile_id=row["profile_id"],
                type=row["type"],
                value=row["value"],
                ground=ground_of(row["granted"]),
                source=row["source"],
                at=_utc(row["said_at"]),
                lapses_at=_utc(row["lapses_at"]),
            )
            for row in rows
        ],
    )


# --- decisions without effect ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unheard:
    """A decision without effect, and why; whose it is nobody is told."""

    type: str
    purpose: str
    state: str
    source: str
    at: datetime
    evidence: str
    why: str


def unheard(warehouse: Warehouse, policy: Policy, limit: int = 200) -> tuple[int, list[Unheard]]:
    """Return how many decisions have no effect, and the newest of them."""
    rows = ask(
        warehouse,
        "consent_unheard",
        purposes=tuple(policy.purposes),
        rules=policy.speller().digest,
        most=limit,
    )
    return rows[0]["decisions"] if rows else 0, [
        Unheard(
            type=row["type"],
            purpose=row["purpose"],
            state=row["state"],
            source=row["source"],
            at=_utc(row["decided_at"]),
            evidence=row["evidence"] or "",
            why=_WHY.get(row["reason"], f"{row['reason']}: it stands for nobody"),
        )
        for row in rows
    ]


_WHY: Final[dict[str, Any]] = {
    "no such purpose": "the policy has no such purpose",
    "not read yet": "no refresh has read it yet",
    "nobody": "no profile has this identifier; it takes effect when one appears",
}


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def profiles_in(entries: Iterable[Entry]) -> list[str]:
    """Return the ids of the profiles that they are of, in order."""
    return list(dict.fromkeys(one.profile_id for one in entries if one.profile_id))

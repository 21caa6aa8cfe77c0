"""What the page Consent Review shows: who consented, who disagrees, and what was delivered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from cdp.domain.access import Ground
from cdp.domain.payload import FIELDS, FieldType, timestamp
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.insight.stitching.parts import ground_of
from cdp.profiles.port import PROFILES, DocumentStore, Where
from cdp.warehouse.port import Warehouse

DAYS: Final = 400
STATES: Final = ("granted", "denied", "unknown")
UNSTATED: Final = "unstated"
_MOST_SOURCES: Final = 10
_MOST_SERIES: Final = 16
_MOST_DECISIONS: Final = 200
_SIDES: Final = 25

Row = Mapping[str, Any]


# --- the report -----------------------------------------------------------------------------------


def report(
    warehouse: Warehouse, documents: DocumentStore, policy: Policy, *, today: date
) -> dict[str, Any]:
    """Return the figures of the page, as JSON.

    Args:
        today: a decision of a later day is not shown in `changes`.

    Returns:
        `states`: see `states`; `changes`: see `_changes`; `conflicts`: profiles whose identifiers
        disagree, by `purpose`, `state` in force and `explicit` (whether a decision of the person
        is what is in force), with `profiles`; `decisions`: as loaded, by `source`, `purpose` and
        `state`: `explicit`, `declared` (the policy knows the purpose), `decisions`, `first_at`,
        `last_at`; `reachable`: see `reachable`.
    """
    purposes = tuple(policy.purposes)
    explicit = policy.decisions.explicit
    decisions = ask(
        warehouse,
        "consent_decisions",
        purposes=purposes,
        explicit_sources=explicit,
        most=_MOST_DECISIONS,
    )
    return {
        "states": states(warehouse, policy),
        "changes": _changes(warehouse, purposes, today),
        "conflicts": ask(
            warehouse, "consent_conflicts", purposes=purposes, explicit_sources=explicit
        ),
        "decisions": [
            {**row, "first_at": _text(row["first_at"]), "last_at": _text(row["last_at"])}
            for row in decisions
        ],
        "reachable": reachable(documents, policy, thorough=False),
    }


def states(warehouse: Warehouse, policy: Policy) -> list[dict[str, Any]]:
    """Return how many profiles are in each state, a purpose at a time, in the policy's order.

    Every profile counts, also one that consent leaves no field.

    Returns:
        `purpose`; `granted`, `denied`, `unknown`: profiles; `permitted`: those that the policy
        takes for granted; `sources`: `source`, `granted` and `denied` of those that decided, at
        most ten, the others together in one whose source is null.
    """
    found = ask(
        warehouse,
        "consent_states",
        purposes=tuple(policy.purposes),
        most_sources=_MOST_SOURCES,
    )
    clusters = ask(warehouse, "overview_totals")[0]["clusters"]
    return [
        _states_of(
            name, [row for row in found if row["purpose"] == name], clusters, purpose.unknown
        )
        for name, purpose in policy.purposes.items()
    ]


def _states_of(purpose: str, rows: Sequence[Row], clusters: int, silence: str) -> dict[str, Any]:
    sources: dict[str | None, dict[str, Any]] = {}
    for row in rows:
        source = row["source"]
        counts = sources.setdefault(source, {"source": source, "granted": 0, "denied": 0})
        counts[row["state"]] += row["profiles"]
    granted = sum(counts["granted"] for counts in sources.values())
    denied = sum(counts["denied"] for counts in sources.values())
    unknown = clusters - granted - denied
    return {
        "purpose": purpose,
        "granted": granted,
        "denied": denied,
        "unknown": unknown,
        "permitted": granted + (unknown if silence == "granted" else 0),
        "sources": sorted(
            sources.values(), key=lambda s: (s["source"] is None, -s["granted"] - s["denied"])
        ),
    }


def shares(states: Sequence[Row]) -> list[dict[str, Any]]:
    """Return *states* of a report, each with all `people` that were seen and its `shares` of them.

    Returns:
        `shares`: of 1, by `granted`, `denied`, `unknown` and `permitted`; None where nobody was
        seen.
    """
    rows = []
    for told in states:
        people = sum(told[state] for state in STATES)
        shares = {name: told[name] / people if people else None for name in (*STATES, "permitted")}
        rows.append({**told, "people": people, "shares": shares})
    return rows


def conflicting(report: Mapping[str, Any]) -> int:
    """Return how many disagreements there are: pairs of profile and purpose."""
    return sum(row["profiles"] for row in report["conflicts"])


def findings(rows: Sequence[Row]) -> int:
    """Return how much `reachable` found: pairs of profile and field."""
    return sum(row["count"] for row in rows)


def _changes(warehouse: Warehouse, purposes: Sequence[str], today: date) -> dict[str, Any]:
    """Return what was said, and what came of it, on each of the last 400 days.

    Returns:
        `days`: ISO texts without a gap; `told`: series by `purpose` and `source` (the greatest 16,
        others together with null) whose `granted` and `denied` count the identifiers that told so,
        a number a day; `began`: series by `purpose` whose `granted` and `denied` count the
        profiles whose state in force began on that day. Days are UTC's.
    """
    (span,) = ask(warehouse, "consent_span", today=today)
    ends = [day for day in span.values() if day is not None]
    if not ends:
        return {"days": [], "told": [], "began": []}
    until = max(ends)
    since = until - timedelta(days=DAYS - 1)
    told = ask(
        warehouse,
        "consent_changes",
        purposes=purposes,
        since=since,
        until=until,
        most_series=_MOST_SERIES,
    )
    began = ask(warehouse, "consent_began", purposes=purposes, since=since, until=until)
    first = min((row["day"] for row in (*told, *began)), default=until)
    days = [first + timedelta(days=n) for n in range((until - first).days + 1)]
    return {
        "days": [day.isoformat() for day in days],
        "told": _series(told, ("purpose", "source"), "identifiers", days),
        "began": _series(began, ("purpose",), "profiles", days),
    }


def _series(
    rows: Sequence[Row], keys: Sequence[str], measure: str, days: Sequence[date]
) -> list[dict[str, Any]]:
    place = {day: n for n, day in enumerate(days)}
    series: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = {name: row[name] for name in keys}
        of_key = series.setdefault(
            tuple(key.values()), {**key, "granted": [0] * len(days), "denied": [0] * len(days)}
        )
        of_key[row["state"]][place[row["day"]]] += row[measure]
    return list(series.values())


# --- one profile, and many that disagree ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """What an identifier's statements amount to; `value` of a client is its bare id.

    `source` and `at` are those of the newest of them that tells this state.
    """

    type: str
    value: str
    ground: Ground
    state: str
    source: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A profile whose identifiers disagree: what is in force, and up to 25 of either side.

    `explicit`: what is in force is a decision of the person.
    """

    profile_id: str
    purpose: str
    state: str
    source: str
    since: datetime
    explicit: bool
    said: Sequence[Said]


@dataclass(frozen=True, slots=True)
class Disagreements:
    """A page; `after` leads to the next one, None where there is none."""

    found: Sequence[Disagreement]
    after: str | None


def disagreements(
    warehouse: Warehouse,
    policy: Policy,
    purpose: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Disagreements:
    """Return profiles one of whose identifiers grants what another denies, by profile and purpose.

    Args:
        purpose: only this one; None for all of the policy.
        after: of the page before. Any text is a position: one made up reads on from there.
    """
    after_profile, _, after_purpose = (after or "").partition(" ")
    explicit = policy.decisions.explicit
    rows = ask(
        warehouse,
        "consent_disagreements",
        purposes=tuple(policy.purposes) if purpose is None else (purpose,),
        after_profile=after_profile,
        after_purpose=after_purpose,
        most=limit + 1,
        sides=_SIDES,
    )
    grouped: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["profile_id"], row["purpose"]), []).append(row)
    found = [
        Disagreement(
            profile_id=profile_id,
            purpose=of_purpose,
            state=said[0]["state"],
            source=said[0]["source"],
            since=_utc(said[0]["since"]),
            explicit=said[0]["source"] in explicit,
            said=[
                Said(
                    type=row["type"],
                    value=row["value"],
                    ground=ground_of(row["granted"]),
                    state=row["told"],
                    source=row["told_by"],
                    at=_utc(row["told_at"]),
                )
                for row in said
            ],
        )
        for (profile_id, of_purpose), said in grouped.items()
    ]
    more = len(found) > limit
    found = found[:limit]
    return Disagreements(found, f"{found[-1].profile_id} {found[-1].purpose}" if more else None)


@dataclass(frozen=True, slots=True)
class Told:
    """A statement of consent, made for an identifier.

    `value` of a client is its bare id. `in_force`: it decides the profile's state for the purpose.
    `evidence`: table and day, file and line, or the console's own row; `told_by`: who loaded it.
    """

    at: datetime
    purpose: str
    state: str
    source: str
    explicit: bool
    type: str
    value: str
    in_force: bool
    evidence: str | None
    told_by: str | None


def history(warehouse: Warehouse, policy: Policy, profile_id: str, limit: int = 500) -> list[Told]:
    """Return all that was said of a person's consent, by `at`, the newest first.

    At most *limit*, and besides them what is in force, however old. Of a purpose that is not there
    nothing is known.
    """
    rows = ask(
        warehouse,
        "consent_history",
        profile_id=profile_id,
        purposes=tuple(policy.purposes),
        most=limit,
    )
    beside = ("purpose", "state", "source", "explicit", "type", "value", "in_force", "evidence")
    return [
        Told(
            at=_utc(row["said_at"]),
            told_by=row["told_by"],
            **{name: row[name] for name in beside},
        )
        for row in rows
    ]


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(moment: datetime) -> str:
    return timestamp(_utc(moment))


# --- what was delivered ---------------------------------------------------------------------------

REPRESENTATIVES: Final = (
    "identifiers.user_id",
    "identifiers.client_id",
    "contact.email",
    "contact.phone",
    "ga4.last_seen",
    "ads.last_campaign",
    "ads.last_gclid",
)
"""Fields that stand for their group: where one is held that its purpose forbids, others may be."""

# A profile that has the one has the other.
_ALIKE: Final = {"identifiers.email": "contact.email", "identifiers.phone": "contact.phone"}
_WALKED: Final = 2_000


def reachable(
    documents: DocumentStore, policy: Policy, most: int = 50, *, thorough: bool = True
) -> list[dict[str, Any]]:
    """Return which fields the document store holds although the same document forbids them.

    Asks the store only, so it checks what was delivered whatever the warehouse says. Checked are
    `REPRESENTATIVES`, and other fields for which the policy names a purpose of their own.

    Args:
        thorough: also look for documents that state nothing at all, which only others can have
            written. Where there are such, this reads every document; else `unstated` is left out.

    Returns:
        A row a field and state that does not permit it, also where the count is 0: `path`,
        `purpose`, `state` (denied, unknown, or `unstated`: none of the three is in the document),
        `count` of profiles, and `ids` of up to *most*.
    """
    unstated = {p: _unstated(documents, p) if thorough else None for p in policy.purposes}
    return [
        row
        for path in _checked(policy)
        for row in _forbidden(documents, policy, path, unstated[policy.purpose_of(path)], most)
    ]


def _checked(policy: Policy) -> list[str]:
    def stands_in(path: str) -> tuple[str, str]:
        return _ALIKE.get(path, path).split(".")[0], policy.purpose_of(path)

    stood_for = {stands_in(path) for path in REPRESENTATIVES}
    own = [path for path in policy.fields if path in FIELDS and stands_in(path) not in stood_for]
    return [*REPRESENTATIVES, *own]


def _unstated(documents: DocumentStore, purpose: str) -> bool:
    """Whether some document states nothing for *purpose*; one without fields need not."""
    stated = Where(_state_path(purpose), "in", STATES)
    ended = Where("sync.state", "in", ("merged", "deleted", "gone"))
    silent = documents.count(PROFILES) - documents.count(PROFILES, [stated])
    return silent > documents.count(PROFILES, [ended])


def _forbidden(
    documents: DocumentStore, policy: Policy, path: str, unstated: bool | None, most: int
) -> Iterator[dict[str, Any]]:
    purpose = policy.purpose_of(path)
    state_path = _state_path(purpose)
    held = _held(path)
    silence_forbids = policy.purposes[purpose].unknown == "denied"
    found = 0
    for state in ("denied", "unknown") if silence_forbids else ("denied",):
        # The state comes first, and orders the page: it has an index, and few are in such a one.
        where = [Where(state_path, "==", state), held]
        count = documents.count(PROFILES, where)
        found += count
        ids: list[str] = []
        if count:
            page = documents.page(PROFILES, where=where, order_by=state_path, limit=most)
            ids = [document.id for document in page.documents]
        yield _row(path, purpose, state, count, ids)
    if silence_forbids and unstated is not None:
        count, ids = 0, []
        if unstated:
            # No query asks for what is not there: it is the rest.
            granted = documents.count(PROFILES, [Where(state_path, "==", "granted"), held])
            count = max(0, documents.count(PROFILES, [held]) - granted - found)
        if count:
            # By the path itself: a range is listed in its own order everywhere.
            page = documents.page(PROFILES, where=[held], order_by=path, limit=_WALKED)
            ids = [d.id for d in page.documents if _at(d.body, state_path) not in STATES][:most]
        yield _row(path, purpose, UNSTATED, count, ids)


def _held(path: str) -> Where:
    """Return the condition that a document has a value at *path*."""
    if FIELDS[path] in {FieldType.STRING, FieldType.TIMESTAMP}:
        return Where(path, ">", "")
    # Lists and numbers are not this text, and what is absent meets no condition.
    return Where(path, "!=", "")


def _row(path: str, purpose: str, state: str, count: int, ids: list[str]) -> dict[str, Any]:
    return {"path": path, "purpose": purpose, "state": state, "count": count, "ids": ids}


def _state_path(purpose: str) -> str:
    return f"consent.{purpose}.state"


def _at(body: Any, path: str) -> Any:
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return body

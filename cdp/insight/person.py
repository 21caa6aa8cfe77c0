"""One profile, as its page shows it: the document, where its fields come from, what happened.

Identifiers come whole, beside their type. `raw` and `concealer` are where they are masked; a page
that shows masked fields asks `fields` about a person whose body is what `raw` returned.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final, Literal

from cdp.domain.access import mask
from cdp.domain.identifiers import spellings
from cdp.domain.payload import (
    CONSENT_FIELDS,
    FIELDS,
    IDENTIFIER_TYPES,
    FieldType,
    cast,
    field_type,
    owns,
)
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.profiles.port import PROFILES, Document, DocumentStore, InvalidDocument
from cdp.warehouse.port import Value, Warehouse

FOUND_AT_MOST: Final = 50
CLIENTS_AT_MOST: Final = 10_000
COUNTS_AT_MOST: Final = 10_000
CHANGES_AT_MOST: Final = 1_000

State = Literal["live", "not synchronised yet", "gone", "deleted", "unknown"]
Identity = Literal["known", "anonymous", "no identifiers"]
Json = dict[str, Any]


# --- the document ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Identifier:
    """A value that the document holds; a client by its bare id."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class PurposeState:
    """What the document says of a purpose, and whether that permits."""

    purpose: str
    state: str  # granted, denied or unknown
    since: str | None  # timestamp text, as everywhere in the document
    source: str | None
    silence: str | None  # what unknown means; None: the policy does not declare the purpose
    permits: bool


@dataclass(frozen=True, slots=True)
class Person:
    """A profile document and what it says.

    States: `gone` is a profile of which nothing is known any more, `not synchronised yet` a
    document that only others wrote, `unknown` an id without a document. Somebody is `known` by a
    user id, an e-mail address or a phone number, and `anonymous` by clients only.
    """

    profile_id: str  # the one it lives under now
    was: str | None  # the id that was asked for, where it is another
    state: State
    identity: Identity
    counts: Mapping[str, int]  # of identifiers, by type, strongest first
    identifiers: tuple[Identifier, ...]  # likewise
    consent: tuple[PurposeState, ...]
    sync: Json  # empty where no run wrote the document
    body: Json


def find(documents: DocumentStore, text: str) -> list[str]:
    """Return the ids of live profiles for what somebody typed: any identifier or a profile id.

    At most 50; merged profiles are found as those they live on in.
    """
    found = (
        document.id
        for spelling in spellings(text)
        for held in documents.find(spelling)
        if (document := _survivor(documents, held)) and _state(document) != "deleted"
    )
    return list(islice(_once(found), FOUND_AT_MOST))


def person(documents: DocumentStore, policy: Policy, profile_id: str) -> Person:
    """Return the profile *profile_id*, or the one it was merged into."""
    document = _survivor(documents, profile_id)
    body = document.body if document else {}
    now = document.id if document else profile_id
    held = _map(body.get("identifiers"))
    identifiers = tuple(
        Identifier(name, value)
        for name in policy.identifiers.priority
        for value in _texts(held.get(name))
    )
    of_type = Counter(identifier.type for identifier in identifiers)
    counts = {str(name): of_type[name] for name in policy.identifiers.priority}
    return Person(
        profile_id=now,
        was=profile_id if now != profile_id else None,
        state=_state(document),
        identity=_identity(counts),
        counts=counts,
        identifiers=identifiers,
        consent=_consent(_map(body.get("consent")), policy),
        sync=_map(body.get("sync")),
        body=dict(body),
    )


def _survivor(documents: DocumentStore, profile_id: str) -> Document | None:
    """Return the document at the end of *profile_id*'s merges, deleted or not."""
    seen: set[str] = set()
    while profile_id not in seen:
        seen.add(profile_id)
        try:
            document = documents.get(PROFILES, profile_id)
        except InvalidDocument:
            return None
        if document is None:
            return None
        stamp = _map(document.body.get("sync"))
        if stamp.get("state") != "merged":
            return document
        into = stamp.get("merged_into")
        if not isinstance(into, str):
            return None
        profile_id = into
    return None


def _state(document: Document | None) -> State:
    if document is None:
        return "unknown"
    written = _map(document.body.get("sync")).get("state")
    known: tuple[State, ...] = ("live", "gone", "deleted")
    return next((state for state in known if state == written), "not synchronised yet")


def _identity(counts: Mapping[str, int]) -> Identity:
    if any(counts[name] for name in counts if name != "client_id"):
        return "known"
    return "anonymous" if counts["client_id"] else "no identifiers"


def _consent(told: Mapping[str, Any], policy: Policy) -> tuple[PurposeState, ...]:
    return tuple(
        _purpose_state(name, _map(told.get(name)), policy)
        for name in dict.fromkeys([*policy.purposes, *told])
        if owns(f"consent.{name}")
    )


def _purpose_state(name: str, told: Mapping[str, Any], policy: Policy) -> PurposeState:
    declared = policy.purposes.get(name)
    silence = declared.unknown if declared else None
    state = _text(told.get("state")) or "unknown"
    return PurposeState(
        purpose=name,
        state=state,
        since=_text(told.get("since")),
        source=_text(told.get("source")),
        silence=silence,
        permits=(silence if state == "unknown" else state) == "granted",
    )


# --- where each field comes from ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """How the warehouse makes a field."""

    statement: str  # a file in cdp/warehouse/sql, without `.sql`
    tables: tuple[str, ...]  # that the statement reads for it
    rule: str
    silent: str = "the export does not tell"  # why it may be absent although consent permits it


_LINKS: Final = ("link",)
_SESSIONS: Final = ("session_day",)
_NO_LINK: Final = "no admitted link tells one"

ORIGINS: Final[Mapping[str, Origin]] = {
    "identifiers.user_id": Origin(
        "22_identifier",
        _LINKS,
        "user ids that admitted links join to the profile: seen on events, or loaded",
        _NO_LINK,
    ),
    "identifiers.email": Origin(
        "22_identifier",
        _LINKS,
        "e-mail addresses that admitted loaded links join to the profile",
        _NO_LINK,
    ),
    "identifiers.phone": Origin(
        "22_identifier",
        _LINKS,
        "phone numbers that admitted loaded links join to the profile",
        _NO_LINK,
    ),
    "identifiers.client_id": Origin(
        "22_identifier",
        ("client",),
        "clients of events whose analytics state permits to link and to measure",
        "no permitted event tells a client",
    ),
    "identifiers.count": Origin(
        "61_profile_identifier",
        ("identity",),
        "identifiers that edges join to the profile, counted, also those that are not kept",
        _NO_LINK,
    ),
    "contact.email": Origin(
        "61_profile_identifier",
        ("identifier",),
        "of the profile's e-mail addresses the one seen last",
        _NO_LINK,
    ),
    "contact.email_valid": Origin(
        "62_payload",
        ("profile_identifier",),
        "whether the e-mail address seen last has the shape of one",
        _NO_LINK,
    ),
    "contact.phone": Origin(
        "61_profile_identifier",
        ("identifier",),
        "of the profile's phone numbers the one seen last",
        _NO_LINK,
    ),
    "ga4.first_seen": Origin(
        "60_behaviour", _SESSIONS, "time of the first event of the profile's clients"
    ),
    "ga4.last_seen": Origin(
        "60_behaviour", _SESSIONS, "time of the last event of the profile's clients"
    ),
    "ga4.events": Origin("60_behaviour", _SESSIONS, "events of the profile's clients, counted"),
    "ga4.sessions": Origin(
        "60_behaviour", _SESSIONS, "sessions, counted once also where they cross midnight"
    ),
    "ga4.engaged_sessions": Origin(
        "60_behaviour", _SESSIONS, "sessions that GA4 called engaged, counted once"
    ),
    "ga4.engagement_ms": Origin(
        "60_behaviour", _SESSIONS, "engagement time of all events, summed, in milliseconds"
    ),
    "ga4.leads": Origin("60_behaviour", _SESSIONS, "events that the policy calls leads, counted"),
    "ga4.purchases": Origin(
        "60_behaviour",
        ("purchase",),
        "purchase events, counted once a transaction however often it was told",
    ),
    "ga4.revenue": Origin(
        "60_behaviour",
        ("purchase",),
        "revenue of purchase events, summed once a transaction, in the property's currency",
    ),
    "ga4.last_client_id": Origin("60_behaviour", _SESSIONS, "client of the newest session"),
    "ga4.last_source": Origin(
        "60_behaviour",
        _SESSIONS,
        "source of the newest session that told one, else of the first visit",
    ),
    "ga4.last_medium": Origin(
        "60_behaviour",
        _SESSIONS,
        "medium beside the source of the newest session that told one, else of the first visit",
    ),
    "ga4.country": Origin("60_behaviour", _SESSIONS, "country of the newest session that told one"),
    "ga4.device": Origin("60_behaviour", _SESSIONS, "device of the newest session that told one"),
    "ads.last_campaign": Origin(
        "60_behaviour",
        _SESSIONS,
        "campaign of the newest session that told one, from events without a denial of ads storage",
    ),
    "ads.last_gclid": Origin(
        "60_behaviour",
        _SESSIONS,
        "click id of the newest session that told one, from events without a denial of ads storage",
    ),
}
"""How every owned field is made, by its path; consent's and the stamp's are below."""

_CONSENT_ORIGIN: Final = Origin(
    "50_consent",
    ("consent_signal", "raw_decision"),
    "the newest explicit decision, else the most restrictive of the identifiers' newest signals",
    "nothing was told",
)
_STAMP_ORIGIN: Final = Origin(
    "72_shard", ("export_row",), "stamp of the delivery that wrote the document last"
)
_STAMP: Final = frozenset(
    f"sync.{key}" for key in ("run", "seq", "hash", "at", "state", "merged_into")
)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the document, or an owned one that it lacks: `absent` then says why.

    Others' fields have a path, a value and nothing else. `type` is that of the identifier that the
    value is or holds. `purpose`, `consent` and `consent_source` are what permits or withholds it.
    """

    path: str
    value: Any
    owner: Literal["platform", "others"]
    type: str | None = None
    origin: Origin | None = None
    purpose: str | None = None
    consent: str | None = None
    consent_source: str | None = None
    run: str | None = None
    at: str | None = None
    absent: str | None = None


def fields(person: Person, policy: Policy) -> list[Field]:
    """Return every field: owned ones, absent ones among them, then the stamp, then others'."""
    leaves = list(_leaves(person.body))
    present = {path: value for path, value, owned in leaves if owned}
    consent = {told.purpose: told for told in person.consent}
    types = [f"identifiers.{name}" for name in policy.identifiers.priority]
    rows = [_owned(person, p, present, policy, consent) for p in dict.fromkeys([*types, *FIELDS])]
    rows += [
        _owned(person, f"consent.{purpose}.{field}", present, policy, consent)
        for purpose in consent
        for field in CONSENT_FIELDS
        if purpose in policy.purposes or f"consent.{purpose}.{field}" in present
    ]
    rows += [
        Field(p, value, "platform", origin=_STAMP_ORIGIN, **_brought_by(person))
        for p, value in present.items()
        if p in _STAMP
    ]
    return rows + [Field(path, value, "others") for path, value, owned in leaves if not owned]


def _owned(
    person: Person,
    path: str,
    present: Mapping[str, Any],
    policy: Policy,
    consent: Mapping[str, PurposeState],
) -> Field:
    origin = ORIGINS.get(path, _CONSENT_ORIGIN)
    told = consent[policy.purpose_of(path)] if path in FIELDS else None
    missing = path not in present
    return Field(
        path,
        present.get(path),
        "platform",
        type=_TYPE_AT.get(path),
        origin=origin,
        purpose=told.purpose if told else None,
        consent=told.state if told else None,
        consent_source=told.source if told else None,
        absent=_why_absent(person.state, told, origin) if missing else None,
        **({} if missing else _brought_by(person)),
    )


_NOTHING: Final[Mapping[State, str]] = {
    "not synchronised yet": "no run has written the document yet",
    "gone": "nothing is known of the profile any more",
    "deleted": "the profile is deleted",
    "unknown": "there is no such profile",
}


def _why_absent(state: State, told: PurposeState | None, origin: Origin) -> str:
    if state in _NOTHING:
        return _NOTHING[state]
    if told is None or told.permits:
        return origin.silent
    if told.state == "unknown":
        return f"{told.purpose} is unknown, and silence means {told.silence}"
    since = f" since {told.since[:10]}" if told.since else ""
    by = f" by {told.source}" if told.source else ""
    return f"{told.purpose} is {told.state}{since}{by}"


def _brought_by(person: Person) -> dict[str, Any]:
    return {"run": _text(person.sync.get("run")), "at": _text(person.sync.get("at"))}


def _leaves(body: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Yield (path, value, whether the platform owns it) of every field, maps opened."""
    for key, value in body.items():
        path = f"{above}.{key}" if above else key
        # A key with a dot in it only looks like the path of an owned field.
        owned = "." not in key and (field_type(path) is not None or path in _STAMP)
        if isinstance(value, dict) and value and not owned:
            yield from ((p, v, o and "." not in key) for p, v, o in _leaves(value, path))
        else:
            yield path, value, owned


# --- what happened --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """First and last day (the property's own) with events, both inclusive, and their number."""

    first: date
    last: date
    events: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to a profile in a window, everything newest first.

    Attributes:
        events: `event_at` (aware, UTC), `event_name`, `client` (an identifier of type client_id),
            `source`, `medium`, `page_location`, `page_title` (300 characters at most), `device`,
            `country`, `revenue` (the property's currency), `engagement_ms`, `session_id`,
            `transaction_id`. What the profile's consent withholds is None.
        total: events of the window, shown or not.
        counts: `day`, `event_name`, `events`.
        changes: `kind` (merge or split), `other_id`, `direction` ('in' where identifiers came from
            the other profile), `happened_at` (aware, UTC).
        withheld: the purpose without which no event is shown; None where it permits.
    """

    events: list[Json]
    total: int
    counts: list[Json]
    changes: list[Json]
    withheld: str | None


# A column tells what a field tells, so the field's purpose permits it; all of them need that of
# the first.
_EVENTS: Final = "ga4.events"
_COLUMN_FIELDS: Final[Mapping[str, str]] = {
    "client": "ga4.last_client_id",
    "source": "ga4.last_source",
    "medium": "ga4.last_medium",
    "device": "ga4.device",
    "country": "ga4.country",
    "revenue": "ga4.revenue",
    "transaction_id": "ga4.purchases",
    "engagement_ms": "ga4.engagement_ms",
    "session_id": "ga4.sessions",
}
METRICS: Final = (
    *("sessions", "engaged_sessions", "engagement_ms", "events", "purchases", "revenue"),
)


def profile_window(warehouse: Warehouse, profile_id: str, policy: Policy) -> Window | None:
    """Return when the profile was seen; None where it was not, or where consent withholds it."""
    seen = _seen(warehouse, profile_id, policy)
    if seen is None or not seen.permits(_EVENTS):
        return None
    (row,) = ask(warehouse, "person_window", **seen.rows, since=seen.first, until=seen.until)
    if row["first_day"] is None:
        return None
    return Window(row["first_day"], row["last_day"], int(row["events"]))


def timeline(
    warehouse: Warehouse,
    profile_id: str,
    policy: Policy,
    since: date,
    until: date,
    *,
    limit: int = 1000,
) -> Timeline:
    """Return what happened in [since, until): the property's days; for merges and splits, UTC's.

    Only rows whose analytics state the policy permits, and only where the profile's consent does.
    """
    start, end = (datetime.combine(day, time(), UTC) for day in (since, until))
    changes = ask(
        warehouse,
        "person_history",
        profile_id=profile_id,
        since_at=start,
        until_at=end,
        most=CHANGES_AT_MOST,
    )
    changes = [row | {"happened_at": _utc(row["happened_at"])} for row in changes]
    seen = _seen(warehouse, profile_id, policy)
    if seen is None or not seen.permits(_EVENTS):
        return Timeline([], 0, [], changes, policy.purpose_of(_EVENTS) if seen else None)
    window: dict[str, Value] = {**seen.rows, "since": since, "until": until}
    hidden = {name: None for name, field in _COLUMN_FIELDS.items() if not seen.permits(field)}
    events = [
        row | hidden | {"event_at": _utc(row["event_at"])}
        for row in ask(warehouse, "person_event", **window, most=limit)
    ]
    counts = ask(warehouse, "person_event_count", **window, most=COUNTS_AT_MOST)
    return Timeline(
        events=events,
        total=int(counts[0]["total"]) if counts else 0,
        counts=[
            {"day": row["event_date"], "event_name": row["event_name"], "events": row["events"]}
            for row in counts
        ],
        changes=changes,
        withheld=None,
    )


def trends(
    warehouse: Warehouse, profile_id: str, policy: Policy, until: date, days: int = 90
) -> Json:
    """Return what the profile did by day, for the *days* days before *until*.

    A session counts on its first day, a transaction when it was first told: over all days, the sums
    are the document's `ga4.*`.

    Returns:
        `days`: `day` and METRICS of each day, the oldest first, zeros where nothing happened;
        `last_30` and `before_30`: sums of METRICS over the last 30 days and the 30 before;
        `withheld`: metrics that the profile's consent withholds, None wherever they would stand.
        Units: `engagement_ms` milliseconds, `revenue` the property's currency.
    """
    seen = _seen(warehouse, profile_id, policy)
    reach = max(days, 60)
    start = until - timedelta(days=reach)
    permitted = [name for name in METRICS if seen is None or seen.permits(f"ga4.{name}")]
    found: dict[date, Json] = {}
    if seen and permitted:
        rows = ask(
            warehouse,
            "person_trend",
            **seen.rows,
            first=seen.first,
            since=start,
            until=until,
            most=reach,
        )
        found = {row["event_date"]: row for row in rows}
    every = [start + timedelta(days=n) for n in range(reach)]

    def sums(window: Collection[date]) -> Json:
        rows = [found[day] for day in window if day in found]
        totals: Json = {
            name: sum(int(row[name]) for row in rows) for name in METRICS if name != "revenue"
        }
        # Adding up leaves 0.30000000000000004; the document's revenue is rounded so, too.
        totals["revenue"] = round(sum((row["revenue"] for row in rows), 0.0), 6)
        return {name: totals[name] if name in permitted else None for name in METRICS}

    return {
        "days": [{"day": day, **sums([day])} for day in every[reach - days :]],
        "last_30": sums(every[-30:]),
        "before_30": sums(every[-60:-30]),
        "withheld": [name for name in METRICS if name not in permitted],
    }


@dataclass(frozen=True, slots=True)
class _Seen:
    """A profile with clients: what its rows are found by, and what it permits."""

    rows: Mapping[str, Value]
    first: date
    until: date
    permitted: frozenset[str]

    def permits(self, field: str) -> bool:
        return field in self.permitted


def _seen(warehouse: Warehouse, profile_id: str, policy: Policy) -> _Seen | None:
    rows = ask(warehouse, "person_client", profile_id=profile_id, most=CLIENTS_AT_MOST)
    if not rows:
        return None
    states = ["granted"]
    if policy.purposes[policy.linking.purpose].unknown == "granted":
        states.append("unknown")
    granted = rows[0]["granted"]
    keys = [row["client_key"] for row in rows]
    return _Seen(
        {
            "client_keys": keys,
            "first_key": min(keys),
            "last_key": max(keys),
            "analytics_states": states,
        },
        # The property's day is up to one off the day in UTC, more where a sender's clock is wrong.
        rows[0]["first_seen"].date() - timedelta(days=3),
        rows[0]["last_seen"].date() + timedelta(days=4),
        frozenset(path for path in FIELDS if f"|{policy.purpose_of(path)}|" in granted),
    )


# --- masking --------------------------------------------------------------------------------------

_TYPE_AT: Final[Mapping[str, str]] = {
    **{f"identifiers.{name}": name for name in IDENTIFIER_TYPES},
    "contact.email": "email",
    "contact.phone": "phone",
    "ga4.last_client_id": "client_id",
    "ads.last_gclid": "client_id",
}
# What somebody may take for an e-mail address, also in a URL. Parts have a greatest length, for
# long text without one would be tried from each of its characters on.
_EMAIL: Final = re.compile(
    r"[\w.!#$%'*+^`{|}~-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}", re.IGNORECASE
)


def raw(person: Person, masked: Collection[str], known: Collection[Identifier] = ()) -> Json:
    """Return the document, identifiers of the types in *masked* masked wherever they stand.

    That is at their own fields; and in others' fields, in longer text and in the names of fields,
    whatever is one of the profile's values or, with `email` masked, looks like an e-mail address.

    Args:
        known: identifiers that are the person's although consent withholds them from the document.
    """
    return _Mask(person, masked, known).map(person.body, "", owned=True)


def concealer(
    person: Person, masked: Collection[str], known: Collection[Identifier] = ()
) -> Callable[[str], str]:
    """Return what masks text beside the document as `raw` does in it: a page's address, a title."""
    return _Mask(person, masked, known).text


class _Mask:
    """Masks one person's identifiers, wherever they stand."""

    def __init__(
        self, person: Person, masked: Collection[str], known: Collection[Identifier]
    ) -> None:
        self._masked = frozenset(masked)
        held = [
            (name, value)
            for path, name in _TYPE_AT.items()
            for value in _texts(_at(person.body, path))
        ]
        self._types = {
            spelling.lower(): name
            for name, value in (*((one.type, one.value) for one in known), *held)
            if name in self._masked
            # A phone number is known without its plus, too.
            for spelling in (value, value.removeprefix("+") if name == "phone" else value)
            if spelling
        }

    def map(self, body: Mapping[str, Any], above: str, *, owned: bool) -> Json:
        """Return *body*, the map at path *above*; `owned`: the platform keeps fields there."""
        result: Json = {}
        for key, value in body.items():
            path = f"{above}.{key}" if above else key
            ours = owned and "." not in key and (owns(path) or path in {"sync", *_STAMP})
            name = key if ours else self.text(key)
            while name in result:  # two names that are masked alike
                name += "'"
            result[name] = self._value(value, path, owned=ours)
        return result

    def _value(self, value: Any, path: str, *, owned: bool) -> Any:
        name = _TYPE_AT.get(path) if owned else None
        if name in self._masked:
            return _each(value, lambda leaf: mask(str(name), str(leaf)))
        match value:
            case dict():
                return self.map(value, path, owned=owned)
            case list():
                return [self._value(item, path, owned=owned) for item in value]
            case str() if not (owned and _is_time(path, value)):
                return self.text(value)
            case int() | float() if not owned and str(value) in self._types:
                return mask(self._types[str(value)], str(value))
        return value

    def text(self, text: str) -> str:
        """Return *text* with what it tells of masked identifiers masked."""
        for spelling in spellings(text):
            if spelling.lower() in self._types:
                return mask(self._types[spelling.lower()], text.strip())
        folded = text.lower()
        if held := [value for value in self._types if value in folded]:
            values = "|".join(_whole(value) for value in sorted(held, key=len, reverse=True))
            text = re.sub(values, self._known, text, flags=re.IGNORECASE)
        if "email" in self._masked:
            text = _EMAIL.sub(lambda found: mask("email", found[0].replace("%40", "@")), text)
        return text

    def _known(self, found: re.Match[str]) -> str:
        return mask(self._types.get(found[0].lower(), ""), found[0])


def _is_time(path: str, value: str) -> bool:
    kind = field_type(path)
    return kind is FieldType.TIMESTAMP and cast(kind, value) is not None


def _whole(value: str) -> str:
    """Return an expression for *value* where it is no part of a longer word."""
    start = r"(?<!\w)" if re.match(r"\w", value) else ""
    end = r"(?!\w)" if re.search(r"\w$", value) else ""
    return f"{start}{re.escape(value)}{end}"


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return *value* with every text and number in it, names of fields too, changed."""
    if isinstance(value, dict):
        return {change(key): _each(below, change) for key, below in value.items()}
    if isinstance(value, list):
        return [_each(item, change) for item in value]
    return value if value is None or isinstance(value, bool) else change(value)


# --- documents that others wrote, too -------------------------------------------------------------


def _map(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: Any) -> list[str]:
    """Return the texts in *value*, a list as it should be or a text alone."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _at(body: Mapping[str, Any], path: str) -> Any:
    group, _, name = path.partition(".")
    return _map(body.get(group)).get(name)


def _once(ids: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for profile_id in ids:
        if profile_id not in seen:
            seen.add(profile_id)
            yield profile_id


def _utc(moment: datetime) -> datetime:
    """Return *moment* with its zone: engines give times in UTC with or without it."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

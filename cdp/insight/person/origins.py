"""Where each field of a document comes from, and why others are absent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from cdp.domain.payload import CONSENT_FIELDS, FIELDS, IDENTIFIER_TYPES, field_type
from cdp.domain.policy import Policy
from cdp.insight.person.document import Person, PurposeState, State
from cdp.insight.person.lenient import as_text

TYPE_AT: Final[Mapping[str, str]] = {
    **{f"identifiers.{name}": name for name in IDENTIFIER_TYPES},
    "contact.email": "email",
    "contact.phone": "phone",
    "ga4.last_client_id": "client_id",
    "ads.last_gclid": "client_id",
}
"""The type of the identifier that an owned field is or holds, by its path."""


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
_NO_ADDRESS: Final = "no admitted link tells one whose own consent permits it"

ORIGINS: Final[Mapping[str, Origin]] = {
    "identifiers.user_id": Origin(
        "26_identifier",
        _LINKS,
        "user ids that admitted links join to the profile: seen on events, or loaded",
        _NO_LINK,
    ),
    "identifiers.email": Origin(
        "26_identifier",
        _LINKS,
        "e-mail addresses that admitted loaded links join to the profile, and that permit it",
        _NO_ADDRESS,
    ),
    "identifiers.phone": Origin(
        "26_identifier",
        _LINKS,
        "phone numbers that admitted loaded links join to the profile, and that permit it",
        _NO_ADDRESS,
    ),
    "identifiers.client_id": Origin(
        "26_identifier",
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
        "of the profile's e-mail addresses that permit it the one seen last",
        _NO_ADDRESS,
    ),
    "contact.email_valid": Origin(
        "62_payload",
        ("profile_identifier",),
        "whether the e-mail address seen last has the shape of one",
        _NO_ADDRESS,
    ),
    "contact.phone": Origin(
        "61_profile_identifier",
        ("identifier",),
        "of the profile's phone numbers that permit it the one seen last",
        _NO_ADDRESS,
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
        "campaign of the newest session that told one, from events whose ads state permits",
    ),
    "ads.last_gclid": Origin(
        "60_behaviour",
        _SESSIONS,
        "click id of the newest session that told one, from events whose ads state permits",
    ),
}
"""How every owned field is made, by its path; consent's and the stamp's are below."""

_CONSENT_ORIGIN: Final = Origin(
    "52_value",
    ("person_consent", "word"),
    "what the person's statements amount to: No is cheap, Yes is earned",
    "nothing was told",
)
_STAMP_ORIGIN: Final = Origin(
    "72_shard", ("export_row",), "stamp of the delivery that wrote the document last"
)
STAMP: Final = frozenset(
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
        if p in STAMP
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
        type=TYPE_AT.get(path),
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
    return {"run": as_text(person.sync.get("run")), "at": as_text(person.sync.get("at"))}


def _leaves(body: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any, bool]]:
    """Yield (path, value, whether the platform owns it) of every field, maps opened."""
    for key, value in body.items():
        path = f"{above}.{key}" if above else key
        # A key with a dot in it only looks like the path of an owned field.
        owned = "." not in key and (field_type(path) is not None or path in STAMP)
        if isinstance(value, dict) and value and not owned:
            yield from ((p, v, o and "." not in key) for p, v, o in _leaves(value, path))
        else:
            yield path, value, owned

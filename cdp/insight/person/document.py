"""The document, and what it says. Identifiers come whole, beside their type."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, Literal

from cdp.domain.payload import owns
from cdp.domain.policy import Policy
from cdp.insight.person.lenient import Json, as_map, as_text, as_texts
from cdp.profiles.port import PROFILES, Document, DocumentStore, InvalidDocument

FOUND_AT_MOST: Final = 50

State = Literal["live", "not synchronised yet", "gone", "deleted", "unknown"]
Identity = Literal["known", "anonymous", "no identifiers"]


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


def find(documents: DocumentStore, policy: Policy, text: str) -> list[str]:
    """Return the ids of live profiles for what somebody typed: any identifier or a profile id.

    At most 50; merged profiles are found as those they live on in.
    """
    found = (
        document.id
        for spelling in policy.speller().spellings(text)
        for held in documents.find(spelling)
        if (document := _survivor(documents, held)) and _state(document) != "deleted"
    )
    return list(islice(_once(found), FOUND_AT_MOST))


def person(documents: DocumentStore, policy: Policy, profile_id: str) -> Person:
    """Return the profile *profile_id*, or the one it was merged into."""
    document = _survivor(documents, profile_id)
    body = document.body if document else {}
    now = document.id if document else profile_id
    held = as_map(body.get("identifiers"))
    identifiers = tuple(
        Identifier(name, value)
        for name in policy.identifiers.priority
        for value in as_texts(held.get(name))
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
        consent=_consent(as_map(body.get("consent")), policy),
        sync=as_map(body.get("sync")),
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
        stamp = as_map(document.body.get("sync"))
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
    written = as_map(document.body.get("sync")).get("state")
    known: tuple[State, ...] = ("live", "gone", "deleted")
    return next((state for state in known if state == written), "not synchronised yet")


def _identity(counts: Mapping[str, int]) -> Identity:
    if any(counts[name] for name in counts if name != "client_id"):
        return "known"
    return "anonymous" if counts["client_id"] else "no identifiers"


def _consent(told: Mapping[str, Any], policy: Policy) -> tuple[PurposeState, ...]:
    return tuple(
        _purpose_state(name, as_map(told.get(name)), policy)
        for name in dict.fromkeys([*policy.purposes, *told])
        if owns(f"consent.{name}")
    )


def _purpose_state(name: str, told: Mapping[str, Any], policy: Policy) -> PurposeState:
    declared = policy.purposes.get(name)
    silence = declared.unknown if declared else None
    state = as_text(told.get("state")) or "unknown"
    return PurposeState(
        purpose=name,
        state=state,
        since=as_text(told.get("since")),
        source=as_text(told.get("source")),
        silence=silence,
        permits=(silence if state == "unknown" else state) == "granted",
    )


def _once(ids: Iterator[str]) -> Iterator[str]:
    seen: set[str] = set()
    for profile_id in ids:
        if profile_id not in seen:
            seen.add(profile_id)
            yield profile_id

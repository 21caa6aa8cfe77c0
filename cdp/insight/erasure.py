"""Who would be erased, what is held of them where, and what was erased."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cdp.domain.erasure import ERASURES, Held, Subject
from cdp.domain.errors import CdpError
from cdp.domain.identifiers import Speller
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.domain.policy import Policy
from cdp.insight.ask import ask
from cdp.profiles.port import PROFILES, Document, DocumentStore, Where
from cdp.warehouse.port import Value, Warehouse

COUNTER: Final = "erasures"
ASKED: Final = "awaiting approval"
OPEN: Final = "under way"
DONE: Final = "done"
"""The states of an erasure; one that awaits approval does nothing yet."""

_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Preview:
    """What an erasure would take away.

    Args:
        found: whether anything is held; where nothing is, a tombstone keeps it out from now on.
        rows: by table of the warehouse, those that hold any.
        documents: ids of the profiles whose documents go, those of former profiles included.
    """

    subject: Subject
    found: bool
    rows: dict[str, int]
    documents: list[str]


def preview(
    warehouse: Warehouse | None,
    documents: DocumentStore,
    policy: Policy,
    told: Sequence[str],
    *,
    only: bool,
) -> Preview:
    """Return what is held of whoever has one of some identifiers.

    Args:
        warehouse: what readers see; None where nothing was refreshed yet.
        told: identifiers, spelled in any way; a profile's id stands for all of its.
        only: these identifiers alone, and not what was joined with them.

    Raises:
        CdpError: one of them is of several people, or none at all.
    """
    if not all(text.strip() for text in told):
        raise CdpError("an empty identifier is nobody's; name an e-mail, phone, user or client id")
    speller = policy.speller()
    held: list[Held] = []
    for text in told:
        held += _held(warehouse, documents, speller, text, only=only)
    subject = Subject(tuple(dict.fromkeys(held)))
    former = former_profiles(warehouse, subject.profiles) if warehouse else []
    subject = Subject((*subject.held, *(Held("", None, None, one) for one in former)))
    counts: dict[str, int] = {}
    if warehouse:
        asked = parameters(subject)
        del asked["mentioned"]
        answered = ask(warehouse, "erasure_rows", **asked)
        counts = {row["table_name"]: row["held"] for row in answered if row["held"]}
    there = documents.get_many(PROFILES, subject.profiles)
    return Preview(subject, bool(there or counts), counts, sorted(there))


def _held(
    warehouse: Warehouse | None,
    documents: DocumentStore,
    speller: Speller,
    text: str,
    *,
    only: bool,
) -> list[Held]:
    """Return what is known of whoever has one identifier."""
    values = {*speller.spellings(text), text}
    ids = {one for value in values for one in documents.find(value)}
    asked = sorted(values | ids)
    rows = ask(warehouse, "erasure_subject", values=asked) if warehouse else []
    held = [
        Held(row["type"] or "", row["value"], row["identifier_id"], row["profile_id"])
        for row in rows
    ]
    met = [one for one in held if one.value in values or _bare(one) in values]
    profiles = {one.profile_id for one in met if one.profile_id} | ids
    if len(profiles) > 1:
        raise CdpError(
            f"the identifier is of {len(profiles)} profiles: {', '.join(sorted(profiles))}; look "
            "at them with `cdp profile`, and name the right one by its profile id"
        )
    found = met if only else held
    if not held and not ids:  # what no run has joined: only said, only loaded, or not seen yet
        found = [Held(type_, value) for type_, value in guessed(speller, text)]
    return [*found, *(Held("", None, None, one) for one in sorted(profiles))]


def guessed(speller: Speller, text: str) -> list[tuple[str, str]]:
    """Return what an identifier may be that nothing tells the type of, as it is joined."""
    spelled = {type_: speller.spell(type_, text, "") for type_ in IDENTIFIER_TYPES}
    right = {type_: one.value for type_, one in spelled.items() if one.problem is None}
    sure = [type_ for type_ in ("email", "phone") if type_ in right]
    return [(type_, right[type_]) for type_ in sure or right]


def _bare(one: Held) -> str | None:
    return (one.value or "").rpartition("/")[2] if one.type == "client_id" else None


def parameters(subject: Subject) -> dict[str, Value]:
    """Return what statements about somebody's rows are given; a list's first tells its type."""
    return {
        "subjects": subject.subjects or [""],
        "clients": subject.clients or [""],
        "users": subject.users or [""],
        "profiles": subject.profiles or [""],
        "ids": subject.ids or [-1],
        "mentioned": subject.mentioned,
    }


def former_profiles(warehouse: Warehouse, profiles: Sequence[str]) -> list[str]:
    """Return the profiles that ended in these, whatever the number of merges between."""
    known = set(profiles)
    last = sorted(known)
    while last:
        rows = ask(warehouse, "erasure_former", profiles=last)
        last = sorted({row["profile_id"] for row in rows} - known)
        known.update(last)
    return sorted(known.difference(profiles))


def number(documents: DocumentStore) -> int:
    """Return the number of the newest erasure; 0 where there is none."""
    found = documents.get("counters", COUNTER)
    return int(found.body["value"]) if found else 0


def erasures(documents: DocumentStore) -> Iterator[Document]:
    """Yield every erasure, in the order in which they were asked for."""
    cursor = None
    while True:
        page = documents.page(
            ERASURES, where=[Where("number", ">", 0)], after=cursor, limit=_AT_ONCE
        )
        yield from page.documents
        cursor = page.cursor
        if cursor is None:
            return


def tombstones(documents: DocumentStore) -> frozenset[str]:
    """Return what stands for every identifier that was erased."""
    if not number(documents):
        return frozenset()
    return frozenset(
        one
        for found in erasures(documents)
        if found.body["state"] != ASKED
        for one in found.body["tombstones"]
    )

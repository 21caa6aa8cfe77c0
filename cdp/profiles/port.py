"""Port: JSON documents by (collection, id). Contract: tests/contract/test_profiles.py.

Profiles, and all that people and runs leave behind: overrides, consent decisions, erasures, the
audit log, the lease, runs and receipts.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, get_args

from cdp.domain.errors import CdpError
from cdp.domain.merge import Kind, Merge, Outcome
from cdp.domain.payload import IDENTIFIER_TYPES

PROFILES: Final = "profiles"
MAX_BYTES: Final = 1_048_576
MAX_DEPTH: Final = 20
MAX_KEY: Final = 375  # characters, so that it never has more than the 1500 bytes that stores take
MAX_IN: Final = 30

ORDERED: Final[Mapping[str, Sequence[str]]] = {
    PROFILES: (
        "ga4.last_seen",
        "ga4.first_seen",
        "ga4.revenue",
        "ga4.sessions",
        "identifiers.count",
    ),
    "audit": ("at",),
    "receipts": ("run_id",),
}
"""Paths by which pages order and filter, by collection. Others work, and read every document."""

FILTERED: Final[Mapping[str, Sequence[str]]] = {
    PROFILES: ("ga4.last_source", "ga4.country", "sync.state"),
}
"""Paths by which pages filter only: they have few values, so ordering by them tells little.

The composition root adds `consent.<purpose>.state` for each purpose of the policy.
"""


class AlreadyExists(CdpError):  # noqa: N818 - reads as the sentence it is
    """There is such a document already; nothing was written."""


class Conflict(CdpError):  # noqa: N818 - reads as the sentence it is
    """The document is no longer the version that was read; nothing was written."""


class InvalidDocument(CdpError):  # noqa: N818 - reads as the sentence it is
    """The id, or the size of the document, is one that a store refuses."""


class InvalidQuery(CdpError):  # noqa: N818 - reads as the sentence it is
    """A path, an operator, a value or a cursor that a query cannot use."""


@dataclass(frozen=True, slots=True)
class Document:
    """A stored document. Its `version` is opaque: another one after every change."""

    id: str
    version: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Put:
    """Store the whole document; with `expect`, only over that version."""

    collection: str
    id: str
    body: Mapping[str, Any]
    expect: str | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """Store a document where there is none."""

    collection: str
    id: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a document, if there is one; with `expect`, only that version."""

    collection: str
    id: str
    expect: str | None = None


Write = Put | Create | Delete
Scalar = str | int | float | bool
Op = Literal["==", "!=", "<", "<=", ">", ">=", "in", "contains"]


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on the value at a dotted path; a document without the value never meets it.

    `contains` is for lists, `in` takes up to 30 values, `!=` is what the stores can: a document
    must have a value. Values compare within their type.

    Raises:
        InvalidQuery: no store could answer it.
    """

    path: str
    op: Op
    value: Scalar | Sequence[Scalar]

    def __post_init__(self) -> None:
        check_path(self.path)
        if self.op not in get_args(Op):
            raise InvalidQuery(f"operator {self.op!r}: use one of {', '.join(get_args(Op))}")
        if self.op == "in":
            if isinstance(self.value, Scalar) or not 0 < len(self.value) <= MAX_IN:
                raise InvalidQuery(f"in takes a list of 1 to {MAX_IN} values")
            values: Iterable[Any] = self.value
        else:
            values = [self.value]
        allowed = Scalar if self.op in {"==", "!="} else str | int | float
        for value in values:
            if not isinstance(value, allowed) or (isinstance(value, bool) and allowed != Scalar):
                raise InvalidQuery(f"{self.path} {self.op} cannot take a {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class Page:
    """Documents in order; `cursor` leads to the next page, None where there is none."""

    documents: Sequence[Document]
    cursor: str | None


class DocumentStore(Protocol):
    """Every method that takes an id raises InvalidDocument for one that a store refuses."""

    def get(self, collection: str, id: str) -> Document | None:
        """Return the document, or None where there is none."""

    def get_many(self, collection: str, ids: Iterable[str]) -> dict[str, Document]:
        """Return those of the documents that exist, by id."""

    def commit(self, writes: Sequence[Write]) -> None:
        """Apply every write or none, in order.

        Raises:
            AlreadyExists: a Create met a document.
            Conflict: a document is not the version that a write expects.
            InvalidDocument: an id or a size that a store refuses.
            TypeError: a value that is not JSON, or that a store refuses.
        """

    def page(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: str | None = None,
        descending: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return documents that meet every condition, by the value at `order_by`, then by id.

        Where a condition asks for a range at another path, a store may put that value in between.
        Documents without that value are left out; None orders by id. A page costs the same
        however deep it is: `after` is the cursor of the page before.

        Raises:
            InvalidQuery: a cursor that is none of this order, or a list for which the store has no
                index; the message says what to change.
        """

    def lists(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: str | None = None,
        descending: bool = False,
    ) -> bool:
        """Whether `page` and `count` have an index for this list, and do not refuse it."""

    def count(self, collection: str, where: Sequence[Where] = ()) -> int:
        """Return how many documents meet every condition.

        Raises:
            InvalidQuery: the store has no index for it.
        """

    def find(self, value: str, type: str | None = None) -> list[str]:
        """Return the ids of profiles that hold this identifier, of one type or of any, sorted.

        Without a type, the id of a profile that was not erased finds that profile, too.
        """

    def merge(self, collection: str, rows: Sequence[Merge]) -> list[Outcome]:
        """Apply each row as `cdp.domain.merge` says; return an outcome for each, in order.

        The rows hold owned fields, as `cdp.domain.payload` types them. Each is applied whole or
        not at all, and against the document as it is then: of two writers at once the newer one
        wins. Of several rows of one document each finds what the one before left.

        After an error any of the rows may have been applied; to apply them again changes nothing.
        Within one call a write is told as WRITTEN though its answer was lost and it was found
        stored when tried again.
        """

    def erase(self, ids: Iterable[str], run: str, seq: int, at: str) -> None:
        """Leave nothing of these profiles but that they were erased; others' fields go, too."""
        self.merge(PROFILES, [Merge(one, seq, run, at, kind=Kind.DELETE) for one in ids])

    def purge(self) -> None:
        """Leave nothing of deleted documents in files of ours; a service has none."""
        return

    def resolve(self, profile_id: str) -> str | None:
        """Return the id under which a profile lives on, its own or the one it was merged into.

        None where there is no such profile, where it was erased, or where merges lead in a circle.
        """
        seen: set[str] = set()
        while profile_id not in seen:
            seen.add(profile_id)
            document = self.get(PROFILES, profile_id)
            if document is None:
                return None
            sync = document.body.get("sync")
            stamp = sync if isinstance(sync, dict) else {}
            if stamp.get("state") == "deleted":
                return None
            if stamp.get("state") != "merged":
                return document.id
            profile_id = stamp["merged_into"]
        return None


_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
)
_RESERVED: Final = re.compile(r"__.*__", re.DOTALL)
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_COLLECTION: Final = re.compile(r"[a-z][a-z0-9_]*")


def check_collection(name: str) -> None:
    """Raise InvalidDocument unless *name* is a plain one; collections are named by code."""
    if not _COLLECTION.fullmatch(name):
        raise InvalidDocument(f"collection {name!r}: use lower-case letters, digits and _")


def check_id(id: str) -> None:
    """Raise InvalidDocument for an id that a store refuses.

    Source: https://cloud.google.com/firestore/quotas#collections_documents_and_fields
    """
    try:
        size = len(id.encode())
    except UnicodeEncodeError:
        raise InvalidDocument("a document id must be valid UTF-8") from None
    if not 0 < size <= 1500:
        raise InvalidDocument(f"a document id has 1 to 1500 bytes, not {size}")
    if "/" in id or "\0" in id or id in {".", ".."} or _RESERVED.fullmatch(id):
        raise InvalidDocument("a document id is not '.', '..' or '__…__' and holds no '/' or NUL")


def check_path(path: str) -> None:
    """Raise InvalidQuery unless *path* is names joined by dots."""
    if not _PATH.fullmatch(path):
        raise InvalidQuery(f"path {path!r}: use names of letters, digits and _, joined by dots")


def encode(body: Mapping[str, Any]) -> str:
    """Return *body* as JSON text.

    Raises:
        TypeError: a value that is not JSON, or that a store refuses: an integer beyond 64 bits, a
            list in a list, maps deeper than 20, or a key that is empty, long or reserved.
        InvalidDocument: over 1 MiB.
    """
    _check_value(body, MAX_DEPTH)
    return encode_checked(body)


def encode_checked(body: Mapping[str, Any]) -> str:
    """Return JSON text as `encode` does, of a body whose values are known to be storable."""
    try:
        text = _ENCODER.encode(body)
        size = len(text.encode())
    except ValueError:
        raise TypeError("not JSON: NaN, infinity or half a surrogate pair") from None
    if size > MAX_BYTES:
        raise InvalidDocument(f"a document has up to {MAX_BYTES} bytes, not {size}")
    return text


def _check_value(value: Any, depth: int) -> None:
    if isinstance(value, dict):
        if depth == 0:
            raise TypeError(f"a document has up to {MAX_DEPTH} levels")
        for key, below in value.items():
            if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
                raise TypeError(f"a key is text of 1 to {MAX_KEY} characters")
            if key.startswith("__") and _RESERVED.fullmatch(key):
                raise TypeError("a key is not '__…__'")
            _check_value(below, depth - 1)
    elif isinstance(value, list):
        for below in value:
            if isinstance(below, list):
                raise TypeError("a list cannot hold a list")
            _check_value(below, depth)
    elif isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise TypeError("an integer has up to 64 bits")
    elif not (value is None or isinstance(value, str | float)):
        raise TypeError(f"{type(value).__name__} is not JSON")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ended: the last document's id and its value in the page's order."""

    id: str
    value: str | int | float | None = None


def cursor(position: Position, order_by: str | None, descending: bool) -> str:
    """Return the text of a cursor. It names a position and nothing else: made up, it reads on."""
    text = json.dumps([order_by, descending, position.value, position.id])
    return base64.urlsafe_b64encode(text.encode()).decode()


def position(text: str, order_by: str | None, descending: bool) -> Position:
    """Return the position that a cursor of this order names; InvalidQuery where it is none."""
    try:
        decoded = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
    except (ValueError, RecursionError, binascii.Error):
        decoded = None
    match decoded:
        case [path, down, None, str(id)] if order_by is None:
            found = Position(id)
        case [path, down, str() | int() | float() as value, str(id)] if order_by is not None:
            found = Position(id, value)
        case _:
            raise InvalidQuery("the cursor is not one of this list; start at its first page")
    if [path, down] != [order_by, descending]:
        raise InvalidQuery("the cursor belongs to another order; start at the first page")
    return found


def check_type(type: str | None) -> None:
    """Raise InvalidQuery for what is no type of identifier."""
    if type is not None and type not in IDENTIFIER_TYPES:
        raise InvalidQuery(f"type {type!r}: use one of {', '.join(IDENTIFIER_TYPES)}")

"""Documents in Firestore, for the deployment on Google Cloud."""

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from google.cloud import firestore
from google.cloud.firestore_v1.types import write as messages
from grpc import StatusCode as Code

from cdp.domain.errors import CdpError
from cdp.domain.merge import Merge, Outcome
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.profiles import firestore_queries as queries
from cdp.profiles import firestore_values as values
from cdp.profiles.firestore_merge import Merger
from cdp.profiles.firestore_rpc import (
    REFUSED,
    TRANSIENT,
    AggregationRequest,
    Backoff,
    BatchGetRequest,
    Ramp,
    Rpc,
    RunQueryRequest,
)
from cdp.profiles.port import (
    PROFILES,
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    DocumentStore,
    InvalidDocument,
    InvalidQuery,
    Page,
    Put,
    Where,
    Write,
    check_collection,
    check_id,
    check_path,
    check_type,
    cursor,
    encode,
    position,
)

if TYPE_CHECKING:  # who ingests has no list to check, and need not load the policy's machinery
    from cdp.profiles.firestore_indexes import Indexes

_WriteMessage: Final[Any] = messages.Write.pb()
_VERSION: Final = re.compile(r"([0-9]{1,12})\.([0-9]{9})", re.ASCII)
_READ_AT_ONCE: Final = 300
_MARK: Final = Create("meta", "owner", {"platform": "composable-cdp"})


class ForeignDatabase(CdpError):  # noqa: N818 - reads as the sentence it is
    """The database holds documents, and nothing says that they are this platform's."""


class FirestoreDocuments(DocumentStore):
    """Several processes and threads may use one database; threads may share a store.

    Args:
        client: of the database; it stays its maker's to close.
        threads: calls at once, of a merge or of a search.
        indexes: returns those that the database has, when the first list is asked for; without
            them Firestore itself says what it lacks.
        ramp: writes a second that the first load of a collection begins with; 0 for no bound.
        backoff: how calls are tried again.
    """

    def __init__(
        self,
        client: firestore.Client,
        *,
        threads: int = 8,
        indexes: "Callable[[], Indexes] | None" = None,
        ramp: int = 0,
        backoff: Backoff | None = None,
    ) -> None:
        self._rpc = Rpc(client, backoff or Backoff())
        self._merger = Merger(self._rpc, Ramp(ramp) if ramp else None)
        self._indexes = cache(indexes) if indexes else None
        self._size = threads
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """End the threads; the next use starts new ones."""
        with self._lock:
            threads, self._threads = self._threads, None
        if threads:
            threads.shutdown()

    def claim(self) -> None:
        """Mark an empty database as this platform's; leave one that is marked as it is.

        Raises:
            ForeignDatabase: it holds documents, and no such mark.
        """
        if self._is_marked():
            return
        # Another process may have marked it, and written, between these two.
        if not self._rpc.is_empty() and not self._is_marked():
            project, database = self._rpc.database.split("/")[1::2]
            raise ForeignDatabase(
                f"the database {database} of project {project} holds documents that are not this "
                "platform's; set CDP_DATABASE (DATABASE in deploy/config.env) to another name. To "
                f"share it all the same, create the document {queries.stored(_MARK.collection)}/"
                f"{_MARK.id} in it, with the field platform and the text {_MARK.body['platform']}"
            )
        with suppress(AlreadyExists):
            self.commit([_MARK])

    def _is_marked(self) -> bool:
        found = self.get(_MARK.collection, _MARK.id)
        return found is not None and found.body == _MARK.body

    def get(self, collection: str, id: str) -> Document | None:
        return self.get_many(collection, [id]).get(id)

    def get_many(self, collection: str, ids: Iterable[str]) -> dict[str, Document]:
        wanted = list(dict.fromkeys(ids))
        for key in wanted:
            check_id(key)
        found: dict[str, Document] = {}
        for start in range(0, len(wanted), _READ_AT_ONCE):
            names = [
                self._rpc.name(collection, key) for key in wanted[start : start + _READ_AT_ONCE]
            ]
            request = BatchGetRequest(database=self._rpc.database, documents=names)
            for answer in self._rpc.get(request):
                if answer.WhichOneof("result") == "found":
                    document = _document(answer.found)
                    found[document.id] = document
        return found

    def commit(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if not isinstance(write, Delete):
                encode(write.body)
        for write in writes:
            check_collection(write.collection)
            check_id(write.id)
        folded = _folded(writes)
        messages = [self._message(write) for write in folded]
        if messages:
            self._commit(folded, messages)

    def _commit(self, writes: Sequence[Write], messages: Sequence[Any]) -> None:
        """Try until the answer is known.

        A try whose answer was lost may have been applied, and then the next one is refused: where
        a document that it was to create is there just as it was to be, all of it was applied.
        """
        failed = 0
        while (code := self._rpc.commit(messages)) in TRANSIENT:
            failed += 1
            if failed >= self._rpc.backoff.tries:
                raise self._rpc.failure(code)
            self._rpc.backoff.wait(failed)
        if code is Code.OK or (failed and code in REFUSED and self._created(writes)):
            return
        if code is Code.ALREADY_EXISTS:
            made = [f"{write.collection}/{write.id}" for write in writes if type(write) is Create]
            raise AlreadyExists(f"{' or '.join(made)} exists already")
        if code in REFUSED and any(getattr(write, "expect", None) for write in writes):
            raise Conflict("a document was changed meanwhile; read it again")
        if code is Code.INVALID_ARGUMENT:
            raise InvalidDocument("Firestore refused a document, for its size or a name in it")
        raise self._rpc.failure(code)

    def _created(self, writes: Sequence[Write]) -> bool:
        for write in writes:
            if isinstance(write, Create):
                stored = self.get(write.collection, write.id)
                return stored is not None and stored.body == write.body
        return False

    def _message(self, write: Write) -> Any:
        name = self._rpc.name(write.collection, write.id)
        message = _WriteMessage()
        if isinstance(write, Delete):
            message.delete = name
        else:
            message.update.name = name
            values.fill(message.update.fields, write.body)
        if isinstance(write, Create):
            message.current_document.exists = False
        elif write.expect is not None:
            version = _VERSION.fullmatch(write.expect)
            if version is None:
                raise Conflict(f"{write.collection}/{write.id} never had such a version")
            message.current_document.update_time.seconds = int(version[1])
            message.current_document.update_time.nanos = int(version[2])
        return message

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
        check_collection(collection)
        if order_by is not None:
            check_path(order_by)
        start = None if after is None else position(after, order_by, descending)
        paths = queries.order(where, order_by)
        if order_by is None and (paths or descending):
            raise InvalidQuery(
                "no index lists by id what lies in a range, or lists ids backwards: "
                "order by a value, or leave the range out"
            )
        if self._indexes:
            self._indexes().check(collection, where, (paths, descending))
        # Among documents of one value, by id: and ids go one way only.
        query = queries.page(
            collection,
            where,
            paths=paths,
            descending=descending and bool(paths),
            start=start,
            limit=limit + 1,
            parent=self._rpc.parent,
        )
        found = self._found(query)
        shown = found[:limit]
        more = len(found) > limit
        last = queries.position(shown[-1], paths, order_by) if more else None
        return Page(
            [_document(message) for message in shown],
            cursor(last, order_by, descending) if last else None,
        )

    def lists(
        self,
        collection: str,
        *,
        where: Sequence[Where] = (),
        order_by: str | None = None,
        descending: bool = False,
    ) -> bool:
        paths = queries.order(where, order_by)
        if order_by is None and (paths or descending):
            return False
        return not self._indexes or self._indexes().serve(collection, where, (paths, descending))

    def count(self, collection: str, where: Sequence[Where] = ()) -> int:
        check_collection(collection)
        paths, descending = (
            self._indexes().counting(collection, where) if self._indexes else ((), False)
        )
        request = AggregationRequest(parent=self._rpc.parent)
        request.structured_aggregation_query.structured_query.CopyFrom(
            queries.count(collection, where, paths, descending)
        )
        request.structured_aggregation_query.aggregations.add(alias="n").count.SetInParent()
        answers = self._rpc.aggregate(request)
        return sum(answer.result.aggregate_fields["n"].integer_value for answer in answers)

    def find(self, value: str, type: str | None = None) -> list[str]:
        check_type(type)
        types = IDENTIFIER_TYPES if type is None else (type,)
        found: set[str] = set()
        for ids in self._pool().map(lambda name: self._holders(name, value), types):
            found.update(ids)
        if type is None and self._is_known(value):
            found.add(value)
        return sorted(found)

    def _holders(self, type: str, value: str) -> list[str]:
        query = queries.conditions(PROFILES, [Where(f"identifiers.{type}", "contains", value)])
        query.select.fields.add().field_path = "__name__"
        return [message.name.rpartition("/")[2] for message in self._found(query)]

    def _is_known(self, id: str) -> bool:
        try:
            document = self.get(PROFILES, id)
        except InvalidDocument:
            return False
        sync = document.body.get("sync") if document else None
        erased = isinstance(sync, dict) and sync.get("state") == "deleted"
        return document is not None and not erased

    def merge(self, collection: str, rows: Sequence[Merge]) -> list[Outcome]:
        check_collection(collection)
        for row in rows:
            check_id(row.id)
        return self._merger.merge(self._pool(), collection, rows)

    def _found(self, query: Any) -> list[Any]:
        request = RunQueryRequest(parent=self._rpc.parent, structured_query=query)
        return [
            answer.document for answer in self._rpc.query(request) if answer.HasField("document")
        ]

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._size, "firestore")
            return self._threads


def _document(message: Any) -> Document:
    at = message.update_time
    key = message.name.rpartition("/")[2]
    return Document(key, f"{at.seconds}.{at.nanos:09}", values.body(message.fields))


def _folded(writes: Sequence[Write]) -> list[Write]:
    """Return *writes* with one for each document, which does what its writes in turn do.

    Raises:
        AlreadyExists, Conflict: a write finds what one before it in the same commit left.
    """
    last: dict[tuple[str, str], Write] = {}
    for write in writes:
        key = (write.collection, write.id)
        before = last.get(key)
        last[key] = write if before is None else _after(before, write)
    return list(last.values())


def _after(before: Write, write: Write) -> Write:
    """Return one write that does what two of one document do."""
    name = f"{write.collection}/{write.id}"
    if isinstance(write, Create):
        if not isinstance(before, Delete):
            raise AlreadyExists(f"{name} exists already")
        return Put(write.collection, write.id, write.body, before.expect)
    if write.expect is not None:
        raise Conflict(f"{name} is changed by a write before in the same commit")
    if isinstance(before, Create):
        if isinstance(write, Delete):
            raise InvalidDocument(f"{name} is created and deleted in one commit; leave both out")
        return Create(write.collection, write.id, write.body)
    if isinstance(write, Delete):
        return Delete(write.collection, write.id, before.expect)
    return Put(write.collection, write.id, write.body, before.expect)

"""Calls to Firestore: what is tried again, and what an error means in words."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc
from google.api_core.gapic_v1 import routing_header
from google.cloud import firestore
from google.cloud.firestore_v1.types import firestore as messages
from grpc import StatusCode as Code

from cdp.domain.errors import CdpError, Unavailable
from cdp.profiles.firestore_queries import stored
from cdp.profiles.port import InvalidQuery

SECONDS: Final = 60.0  # for the answer to one call

TRANSIENT: Final = frozenset(
    {
        Code.ABORTED,
        Code.RESOURCE_EXHAUSTED,
        Code.UNAVAILABLE,
        Code.DEADLINE_EXCEEDED,
        Code.INTERNAL,
    }
)
"""Answers after which the same call may succeed. A write may have been applied all the same."""

BatchWriteRequest: Final[Any] = messages.BatchWriteRequest.pb()
CommitRequest: Final[Any] = messages.CommitRequest.pb()
BatchGetRequest: Final[Any] = messages.BatchGetDocumentsRequest.pb()
RunQueryRequest: Final[Any] = messages.RunQueryRequest.pb()
AggregationRequest: Final[Any] = messages.RunAggregationQueryRequest.pb()
CollectionsRequest: Final[Any] = messages.ListCollectionIdsRequest.pb()


class FirestoreError(CdpError):
    """Firestore refused, or did not answer; the message says what to do."""


class FirestoreUnavailable(FirestoreError, Unavailable):  # noqa: N818
    """Firestore did not answer, or is over its quota, although it was asked again."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often a call is tried, and the wait between: doubled each time, with jitter.

    Args:
        first, most: seconds.
    """

    tries: int = 10
    first: float = 0.1
    most: float = 10.0
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def wait(self, failed: int) -> None:
        """Wait after the *failed*-th failure in a row."""
        longest = min(self.most, self.first * 2 ** (failed - 1))
        self.sleep(longest * (0.5 + self.chance() / 2))


class Ramp:
    """Holds writes back as Firestore asks for on the first load of a collection.

    500 a second, and every five minutes half as many again; the clock starts with the first write.
    It counts one process: where several load at once, they share the 500.

    Args:
        rate: writes a second at first.

    Source: https://cloud.google.com/firestore/docs/best-practices#ramping_up_traffic
    """

    def __init__(
        self,
        rate: int = 500,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._start: float | None = None
        self._free = 0.0  # when the next write may go

    def take(self, writes: int) -> None:
        """Return when so many writes may be sent."""
        with self._lock:
            now = self._clock()
            if self._start is None:
                self._start = self._free = now
            turn = max(now, self._free)
            self._free = turn + writes / (self._rate * 1.5 ** int((turn - self._start) // 300))
        if turn > now:
            self._sleep(turn - now)


class Rpc:
    """The calls of one database.

    Args:
        client: its channel, credentials and database are used.
    """

    def __init__(self, client: firestore.Client, backoff: Backoff) -> None:
        channel = client._firestore_api.transport.grpc_channel
        self.backoff = backoff
        self.database: str = client._database_string
        self._metadata = [
            *client._rpc_metadata,
            routing_header.to_grpc_metadata({"database": self.database}),  # type: ignore[no-untyped-call]
        ]

        def unary(method: str, request: Any, response: Any) -> Any:
            return channel.unary_unary(
                f"/google.firestore.v1.Firestore/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )

        def stream(method: str, request: Any, response: Any) -> Callable[..., Any]:
            call = channel.unary_stream(
                f"/google.firestore.v1.Firestore/{method}",
                request_serializer=request.SerializeToString,
                response_deserializer=response.FromString,
            )
            return lambda *args, **more: list(call(*args, **more))

        self._batch_write = unary("BatchWrite", BatchWriteRequest, messages.BatchWriteResponse.pb())
        self._commit = unary("Commit", CommitRequest, messages.CommitResponse.pb())
        self._collections = unary(
            "ListCollectionIds", CollectionsRequest, messages.ListCollectionIdsResponse.pb()
        )
        self._get = stream(
            "BatchGetDocuments", BatchGetRequest, messages.BatchGetDocumentsResponse.pb()
        )
        self._query = stream("RunQuery", RunQueryRequest, messages.RunQueryResponse.pb())
        self._aggregate = stream(
            "RunAggregationQuery", AggregationRequest, messages.RunAggregationQueryResponse.pb()
        )

    def name(self, collection: str, id: str) -> str:
        """Return the whole name of a document."""
        return f"{self.parent}/{stored(collection)}/{id}"

    @property
    def parent(self) -> str:
        """The name above every collection."""
        return f"{self.database}/documents"

    def batch_write(self, request: Any) -> list[Code]:
        """Try once; return a code for each write, the same for all where the call failed."""
        try:
            answer = self._batch_write(request, timeout=SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            code = error.code()
            if code not in TRANSIENT and code is not Code.INVALID_ARGUMENT:
                raise self.error(error) from None
            return [code] * len(request.writes)
        return [_CODES.get(status.code, Code.UNKNOWN) for status in answer.status]

    def commit(self, writes: Sequence[Any]) -> Code:
        """Try once; return what became of it."""
        request = CommitRequest(database=self.database, writes=writes)
        try:
            self._commit(request, timeout=SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            code: Code = error.code()
            if code in TRANSIENT or code in REFUSED or code is Code.INVALID_ARGUMENT:
                return code
            raise self.error(error) from None
        return Code.OK

    def is_empty(self) -> bool:
        """Whether the database holds no document, anybody's."""
        request = CollectionsRequest(parent=self.parent, page_size=1)
        answer: Any = self._read(self._collections, request)
        return not answer.collection_ids

    def get(self, request: Any) -> Sequence[Any]:
        """Return the answers to a request for documents."""
        answers: Sequence[Any] = self._read(self._get, request)
        return answers

    def query(self, request: Any) -> Sequence[Any]:
        """Return the answers to a query."""
        answers: Sequence[Any] = self._read(self._query, request)
        return answers

    def aggregate(self, request: Any) -> Sequence[Any]:
        """Return the answers to an aggregation."""
        answers: Sequence[Any] = self._read(self._aggregate, request)
        return answers

    def _read(self, call: Callable[..., Any], request: Any) -> Any:
        failed = 0
        while True:
            try:
                answers = call(request, timeout=SECONDS, metadata=self._metadata)
            except grpc.RpcError as error:
                failed += 1
                if error.code() not in TRANSIENT or failed >= self.backoff.tries:
                    raise self.error(error) from None
                self.backoff.wait(failed)
            else:
                return answers

    def error(self, error: grpc.RpcError) -> CdpError:
        """Return what an error means. Its details are left out: they may quote a document."""
        code, details = error.code(), error.details() or ""
        if code is Code.FAILED_PRECONDITION and "index" in details:
            return InvalidQuery(
                "Firestore has no index for this list: deploy firestore.indexes.json, and wait "
                "until its indexes are built"
            )
        if "metadata from plugin" in details:  # what gRPC says where google-auth gets no token
            return FirestoreUnavailable(
                "Google Cloud gives out no token: run `gcloud auth application-default login` if "
                "the sign-in is over, or try again"
            )
        return self.failure(code)

    def failure(self, code: Code) -> CdpError:
        """Return the error of a *code*, in words."""
        if code is Code.INVALID_ARGUMENT:
            return InvalidQuery("Firestore cannot answer this combination of conditions; use fewer")
        project, database = self.database.split("/")[1::2]
        fixes = {
            Code.PERMISSION_DENIED: "refused access: grant roles/datastore.user to the account "
            "that this process runs as",
            Code.UNAUTHENTICATED: "knows no account: run `gcloud auth application-default login`, "
            "or give the service an account",
            Code.NOT_FOUND: f"has no database {database}: create it with `gcloud firestore "
            f"databases create --database='{database}' --project={project}`, or set CDP_DATABASE",
            Code.FAILED_PRECONDITION: f"cannot serve database {database}: it must be in native "
            "mode",
            Code.RESOURCE_EXHAUSTED: "is over its quota: wait, or raise the quota of the project",
        }
        fix = fixes.get(code, "did not answer; try again")
        kind = FirestoreUnavailable if code in TRANSIENT else FirestoreError
        return kind(f"Firestore of project {project} {fix} ({code.name})")


REFUSED: Final = frozenset({Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION, Code.NOT_FOUND})
"""Answers to a write whose document is not as the write expects."""

_CODES: Final[dict[int, Code]] = {code.value[0]: code for code in Code}

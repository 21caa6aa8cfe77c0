"""How rows of a shard reach Firestore: many at once, each against the document as it is then.

Every write names the fields that it changes, and the version of the document that it was decided
on, or that there must be none. Firestore refuses it where another writer was quicker; then the
document is read again, and `cdp.domain.merge` decides again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from typing import Any, Final

from grpc import StatusCode as Code

from cdp.domain.merge import Kind, Merge, Outcome, merged, outcome
from cdp.domain.payload import FIELDS
from cdp.profiles import firestore_values as values
from cdp.profiles.firestore_rpc import (
    REFUSED,
    TRANSIENT,
    BatchGetRequest,
    BatchWriteRequest,
    FirestoreError,
    FirestoreUnavailable,
    Ramp,
    Rpc,
)
from cdp.profiles.port import MAX_BYTES, InvalidDocument, encode

ROWS: Final = 250  # in one call; Firestore takes 500, which is no faster and holds more in memory
BYTES: Final = 2 << 20  # in one call; Firestore takes 10 MiB, its emulator 4
SAMPLED: Final = 20  # of a call's rows, to tell a first load from a later one

_OWNED: Final = frozenset({path.partition(".")[0] for path in FIELDS} | {"consent"})
_NEARLY: Final = 0.95  # of the largest document: what Firestore counts besides is not all told


@dataclass(frozen=True, slots=True)
class _Stored:
    """A document as far as it was read; without a version there is none, or so it is assumed."""

    body: dict[str, Any] | None
    version: Any = None  # protobuf's Timestamp


_ABSENT: Final = _Stored(None)


class Merger:
    """Applies rows.

    Args:
        threads: run the calls; a row is in one call at a time.
        ramp: holds back what makes documents, on the first load of a collection.
    """

    def __init__(self, rpc: Rpc, ramp: Ramp | None) -> None:
        self._rpc = rpc
        self._ramp = ramp

    def merge(self, threads: Executor, collection: str, rows: Sequence[Merge]) -> list[Outcome]:
        """Return an outcome for each row, in order; see the port."""
        outcomes: dict[int, Outcome] = {}
        for turn in _turns(rows):
            calls = [turn[start : start + ROWS] for start in range(0, len(turn), ROWS)]
            running = [
                threads.submit(self._apply, collection, [rows[n] for n in numbers])
                for numbers in calls
            ]
            try:
                for numbers, call in zip(calls, running, strict=True):
                    outcomes.update(zip(numbers, call.result(), strict=True))
            finally:  # after an error nothing is written behind the caller's back
                for call in running:
                    call.cancel()
                wait(running)
        return [outcomes[number] for number in range(len(rows))]

    def _apply(self, collection: str, rows: Sequence[Merge]) -> list[Outcome]:
        """Apply rows of different documents; return an outcome for each, in order."""
        batch = _Batch(self._rpc, self._ramp, collection, rows)
        failed = 0
        while batch.pending:
            settled = len(batch.pending)
            batch.read()
            answers = batch.write()
            if len(batch.pending) < settled:
                failed = 0
            else:
                failed += 1
            if failed >= self._rpc.backoff.tries:
                raise self._given_up(answers)
            if failed or answers & TRANSIENT:
                self._rpc.backoff.wait(max(failed, 1))
        return [batch.outcomes[row.id] for row in rows]

    def _given_up(self, answers: Collection[Code]) -> FirestoreError:
        for code in answers:
            if code in TRANSIENT:
                return FirestoreUnavailable(str(self._rpc.failure(code)))
        return FirestoreUnavailable(
            "others changed the same documents again and again; deliver the shard again later"
        )


class _Batch:
    """Rows of one collection and of different documents, on their way."""

    def __init__(self, rpc: Rpc, ramp: Ramp | None, collection: str, rows: Sequence[Merge]) -> None:
        self._rpc = rpc
        self._ramp = ramp
        self._collection = collection
        self.pending = {row.id: row for row in rows}
        self.outcomes: dict[str, Outcome] = {}
        self._known: dict[str, _Stored] = {}
        self._unsure: set[str] = set()  # a write was sent, and its fate is not known
        self._sampled = False

    def read(self) -> None:
        """Learn what is stored of each row that is pending and not known.

        On a first load nothing is: where a sample finds no document, the others are taken for
        absent too, which costs no read. Each write says so, and is refused where it is wrong.
        """
        unknown = [key for key in self.pending if key not in self._known]
        if not self._sampled:
            self._sampled = True
            sample = unknown[:: max(1, len(unknown) // SAMPLED)]
            self._read(sample)
            unknown = [key for key in unknown if key not in self._known]
            if all(self._known[key] is _ABSENT for key in sample):
                self._known.update(dict.fromkeys(unknown, _ABSENT))
                return
        self._read(unknown)

    def _read(self, ids: Sequence[str]) -> None:
        """Read the stamps, and of other fields only the maps that a row may take fields out of."""
        if not ids:
            return
        maps = {"sync"}.union(*(_touched(self.pending[key]) for key in ids))
        request = BatchGetRequest(
            database=self._rpc.database,
            documents=[self._rpc.name(self._collection, key) for key in ids],
        )
        request.mask.field_paths.extend(sorted(maps))
        self._known.update(dict.fromkeys(ids, _ABSENT))
        for answer in self._rpc.get(request):
            if answer.WhichOneof("result") == "found":
                found = answer.found
                stored = _Stored(values.body(found.fields), found.update_time)
                self._known[found.name.rpartition("/")[2]] = stored

    def write(self) -> set[Code]:
        """Settle what can be settled; return why the rest could not be."""
        answers: set[Code] = set()
        for ids, request in self._requests():
            if self._ramp and (made := sum(self._known[key] is _ABSENT for key in ids)):
                self._ramp.take(made)
            answers |= self._send(ids, request)
        return answers

    def _requests(self) -> Iterator[tuple[list[str], Any]]:
        """Yield the writes of pending rows in requests of a fair size; settle the others."""
        ids: list[str] = []
        request, size = BatchWriteRequest(database=self._rpc.database), 0
        for row in list(self.pending.values()):
            stored = self._known[row.id]
            result = outcome(stored.body, row)
            if result is not Outcome.WRITTEN:
                self._settle(row.id, self._told(row, stored, result))
                continue
            write = request.writes.add()
            name = self._rpc.name(self._collection, row.id)
            bytes_ = _fill(write, name, row, stored)
            if bytes_ > BYTES:  # no document has half of that, and a call that large is none either
                del request.writes[-1]
                self._settle(row.id, Outcome.TOO_LARGE)
                continue
            if size + bytes_ > BYTES and ids:
                last = BatchWriteRequest(database=self._rpc.database, writes=[write])
                del request.writes[-1]
                yield ids, request
                ids, request, size = [], last, 0
            ids.append(row.id)
            size += bytes_
        if ids:
            yield ids, request

    def _told(self, row: Merge, stored: _Stored, result: Outcome) -> Outcome:
        """Return the outcome of a row that needs no write: it may be one of our own that landed."""
        own = row.id in self._unsure and stored.body is not None and row.denial is None
        if own and stored.body["sync"] == merged(None, row)["sync"]:  # type: ignore[index]
            return Outcome.WRITTEN
        return result

    def _send(self, ids: Sequence[str], request: Any) -> set[Code]:
        codes = self._rpc.batch_write(request)
        if len(ids) > 1 and set(codes) == {Code.INVALID_ARGUMENT}:
            # One write can make the whole call invalid: halves tell which.
            answers: set[Code] = set()
            middle = len(ids) // 2
            for part in (slice(None, middle), slice(middle, None)):
                half = BatchWriteRequest(database=request.database, writes=request.writes[part])
                answers |= self._send(ids[part], half)
            return answers
        return {code for key, code in zip(ids, codes, strict=True) if not self._answered(key, code)}

    def _answered(self, id: str, code: Code) -> bool:
        """Note what became of a write; return whether its row is settled."""
        if code is Code.OK:
            self._settle(id, Outcome.WRITTEN)
        elif code in TRANSIENT:
            self._unsure.add(id)
        elif code in REFUSED:
            self._known.pop(id)
        elif code is Code.INVALID_ARGUMENT:
            self._check_size(self.pending[id])
            self._settle(id, Outcome.TOO_LARGE)
        else:
            raise self._rpc.failure(code)
        return id in self.outcomes

    def _settle(self, id: str, result: Outcome) -> None:
        self.outcomes[id] = result
        del self.pending[id]

    def _check_size(self, row: Merge) -> None:
        """Raise unless the document that Firestore refused is about its largest, or larger."""
        name = self._rpc.name(self._collection, row.id)
        request = BatchGetRequest(database=self._rpc.database, documents=[name])
        [answer] = self._rpc.get(request)
        stored = values.body(answer.found.fields) if answer.HasField("found") else None
        document = merged(stored, row)
        try:
            encode(document)
        except InvalidDocument:
            return
        if values.stored_size(name, document) < _NEARLY * MAX_BYTES:
            raise FirestoreError("Firestore refused a document for another reason than its size")


def _turns(rows: Sequence[Merge]) -> Iterator[list[int]]:
    """Yield the numbers of rows that may be written at once: no document twice, each in order."""
    turns: list[list[int]] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows):
        turn = seen.get(row.id, 0)
        seen[row.id] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(number)
    yield from turns


def _touched(row: Merge) -> Iterable[str]:
    """Return the maps that must be known to tell what the row takes out of a document."""
    if row.kind is Kind.DELETE:
        return ()
    if row.denial or row.kind is not Kind.UPSERT or "" in row.unset:
        return _OWNED
    return {path.partition(".")[0] for path in row.unset}


def _fill(write: Any, name: str, row: Merge, stored: _Stored) -> int:
    """Make *write* what the row does to the stored document; return its size in bytes."""
    document = write.update
    document.name = name
    after = merged(stored.body, row)
    if stored.version is None:
        write.current_document.exists = False
        values.fill(document.fields, after)
    else:
        write.current_document.update_time.CopyFrom(stored.version)
        if row.kind is Kind.DELETE:  # no mask: nothing else stays
            values.fill(document.fields, after)
        else:
            # The stamp is written whole, but by a withdrawal, which leaves it.
            stamp = {} if row.denial else {"sync": after["sync"]}
            mask: list[tuple[str, ...]] = [(key,) for key in stamp]
            before, fields = (
                {key: below for key, below in body.items() if key != "sync"}
                for body in (stored.body or {}, after)
            )
            values.fill(document.fields, _changed(before, fields, (), mask) | stamp)
            write.update_mask.field_paths.extend(map(values.path, mask))
    size: int = write.ByteSize()
    return size


def _changed(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    at: tuple[str, ...],
    mask: list[tuple[str, ...]],
) -> dict[str, Any]:
    """Return what *after* has else than *before*, and add each path that changes to *mask*.

    Maps are compared deep, so that fields of others in them, even unread ones, stay.
    """
    changed: dict[str, Any] = {}
    for key, value in after.items():
        known, path = before.get(key), (*at, key)
        if isinstance(value, dict):
            if below := _changed(known if isinstance(known, dict) else {}, value, path, mask):
                changed[key] = below
        elif key not in before or type(known) is not type(value) or known != value:
            changed[key] = value
            mask.append(path)
    mask += [(*at, key) for key in before if key not in after]
    return changed

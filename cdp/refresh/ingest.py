"""A shard of a run becomes writes to profiles, and leaves a receipt.

Rows are applied as `cdp.domain.merge` says, and their fields typed as `cdp.domain.payload` says.
What their own consent does not permit, `cdp.refresh.gate` keeps out. A bad row is set aside and
counted; a shard that cannot be read fails as a whole.
"""

import gzip
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, Final, Self, cast

from cdp.domain.errors import CdpError
from cdp.domain.merge import Kind, Merge, Outcome
from cdp.domain.payload import FIELDS, FieldType, field_type, owns, timestamp, typed
from cdp.domain.payload import cast as as_type
from cdp.objects.port import GenerationChanged, ObjectNotFound, ObjectStore
from cdp.profiles.port import (
    PROFILES,
    AlreadyExists,
    Create,
    DocumentStore,
    InvalidDocument,
    check_id,
)
from cdp.queue.port import Refused
from cdp.refresh.gate import Gate
from cdp.refresh.pending import Pending

RECEIPTS: Final = "receipts"
MAX_LINE: Final = 1_048_576
BATCH_ROWS: Final = 5_000
BATCH_BYTES: Final = 8 << 20  # so few rows of the largest size at once
FOREIGN: Final = "the stored profile has a seq that no run of this platform had: another wrote it"

_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PART: Final = re.compile(r"part-[A-Za-z0-9._-]{1,250}")


class Truncated(CdpError):  # noqa: N818 - reads as the sentence it is
    """The object does not hold as many rows as the message says."""


@dataclass(frozen=True, slots=True)
class Shard:
    """What a message says: which object, and how many rows it has."""

    run_id: str
    shard: int
    name: str
    generation: int
    rows: int | None  # None: the exporter split a shard, and knows only the sum

    @property
    def receipt_id(self) -> str:
        return f"{self.run_id}.{self.shard}"

    @classmethod
    def parse(cls, message: Mapping[str, Any]) -> Self:
        """Return the shard that *message* names; Refused where it says more, less or else."""
        if set(message) != set(cls.__slots__):
            raise Refused(f"the message must hold exactly {', '.join(cls.__slots__)}")
        run_id, name = message["run_id"], message["name"]
        if not isinstance(run_id, str) or not _RUN.fullmatch(run_id):
            raise Refused("run_id must be up to 100 letters, digits, - and _")
        folder = f"runs/{run_id}/"
        if not isinstance(name, str) or not name.startswith(folder):
            raise Refused("name must be below the run's own folder")
        if not _PART.fullmatch(name.removeprefix(folder)):
            raise Refused("name must go on with part- and up to 250 of letters, digits and . _ -")
        return cls(
            run_id,
            _natural(message, "shard"),
            name,
            _natural(message, "generation"),
            None if message["rows"] is None else _natural(message, "rows"),
        )


def _natural(message: Mapping[str, Any], key: str) -> int:
    number = as_type(FieldType.INTEGER, message[key])
    if not isinstance(number, int) or number < 0:
        raise Refused(f"{key} must be a number of 0 or more")
    return number


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a shard: rows = written + unchanged + stale + rejected."""

    run_id: str
    shard: int
    rows: int
    written: int
    unchanged: int
    stale: int
    rejected: int
    at: str
    seconds: float
    attempt: int


def ingest_shard(
    objects: ObjectStore,
    documents: DocumentStore,
    message: Mapping[str, Any],
    *,
    attempt: int = 1,
    batch_rows: int = BATCH_ROWS,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Receipt:
    """Write the rows of the shard that *message* names, and leave a receipt when all are written.

    Delivered again, a shard with a receipt does nothing; one without starts from its first row,
    which changes nothing where the rows were written already. With its receipt the shard's object
    goes: it is personal data that nobody needs any more.

    Raises:
        Refused: no delivery of this message can succeed.
        ObjectNotFound: there is no such object.
        GenerationChanged: it is no longer the one that was exported.
        Truncated: it holds another number of rows.
        OSError, EOFError: it cannot be read or unpacked.
    """
    started = time.monotonic()
    shard = Shard.parse(message)
    if known := _receipt(documents, shard):
        return known
    gate = Gate.of(documents, shard.run_id)
    at = timestamp(clock())
    try:
        counts, rows = _write(objects, documents, shard, gate, at=at, batch_rows=batch_rows)
    except (ObjectNotFound, GenerationChanged):
        if known := _receipt(documents, shard):  # delivered twice at once: the other was quicker
            return known
        raise
    receipt = Receipt(
        run_id=shard.run_id,
        shard=shard.shard,
        rows=rows,
        written=counts[Outcome.WRITTEN],
        unchanged=counts[Outcome.UNCHANGED],
        stale=counts[Outcome.STALE],
        rejected=rows - sum(counts[outcome] for outcome in _KEPT),
        at=at,
        seconds=round(time.monotonic() - started, 3),
        attempt=attempt,
    )
    try:
        documents.commit([Create(RECEIPTS, shard.receipt_id, asdict(receipt))])
    except AlreadyExists:  # likewise
        known = _receipt(documents, shard)
        assert known is not None
        return known
    _discard(objects, shard)
    return receipt


_KEPT: Final = (Outcome.WRITTEN, Outcome.UNCHANGED, Outcome.STALE)


def _receipt(documents: DocumentStore, shard: Shard) -> Receipt | None:
    found = documents.get(RECEIPTS, shard.receipt_id)
    return Receipt(**found.body) if found else None


def _discard(objects: ObjectStore, shard: Shard) -> None:
    """Delete the very object that was delivered; what stays goes when the run ends."""
    with suppress(CdpError, OSError):
        objects.delete(shard.name, shard.generation)


def _write(
    objects: ObjectStore,
    documents: DocumentStore,
    shard: Shard,
    gate: Gate,
    *,
    at: str,
    batch_rows: int,
) -> tuple[Mapping[Outcome, int], int]:
    """Write the rows that the gate lets through; return what became of them, and all rows."""
    counts = dict.fromkeys(Outcome, 0)
    pending = Pending(documents, gate.weighed)
    with ExitStack() as stack:
        stream = stack.enter_context(objects.open(shard.name, shard.generation))
        rejects = stack.enter_context(Rejects())
        lines = Lines(_unpacked(stack, stream, shard.name))
        batch: list[tuple[int, Merge]] = []
        size = 0

        def flush() -> None:
            rows = pending.kept_out([row for _, row in batch])
            outcomes = documents.merge(PROFILES, rows)
            pending.written(rows, outcomes)
            for (number, row), outcome in zip(batch, outcomes, strict=True):
                counts[outcome] += 1
                if outcome is Outcome.TOO_LARGE:
                    rejects.add(number, row.id, "the merged document is over 1 MiB")
                elif outcome is Outcome.STALE and gate.running:
                    # No run has a greater number than the one that holds the lease.
                    rejects.add(number, row.id, FOREIGN)
            batch.clear()

        for number, line in lines:
            try:
                row = parse_row(line, run=shard.run_id, at=at)
            except BadRow as error:
                rejects.add(number, error.profile_id, error.reason)
                continue
            if reason := gate.refusal(row):
                rejects.add(number, row.id, reason)
                continue
            batch.append((number, row))
            size += len(line or b"")
            if len(batch) >= batch_rows or size >= BATCH_BYTES:
                flush()
                size = 0
        flush()
        if shard.rows not in {None, lines.count}:
            raise Truncated(f"{shard.name} has {lines.count} rows, its message says {shard.rows}")
        rejects.store(objects, f"runs/{shard.run_id}/rejected/{shard.shard}.ndjson")
    return counts, lines.count


class BadRow(Exception):  # noqa: N818 - reads as the sentence it is
    """A row that breaks the contract; the reason quotes no value."""

    def __init__(self, reason: str, profile_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.profile_id = profile_id


def parse_row(line: bytes | None, *, run: str, at: str) -> Merge:
    """Return the row on *line*, None being one over the limit; BadRow where it is not one."""
    if line is None:
        raise BadRow("over 1 MiB")
    try:
        row = _DECODER.decode(line.decode())
        if b"\\u" in line:  # half a surrogate pair is JSON, but no text
            json.dumps(row, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise BadRow("not JSON") from None
    if not isinstance(row, dict):
        raise BadRow("not a JSON object")
    # BigQuery leaves nulls out of its exports and makes null lists empty; others write nulls.
    row = {key: value for key, value in row.items() if value is not None}
    if row.get("unset") == []:
        del row["unset"]
    profile_id = row.pop("profile_id", None)
    if not isinstance(profile_id, str):
        raise BadRow("no profile_id")
    try:
        check_id(profile_id)
    except InvalidDocument as error:
        raise BadRow(str(error)) from None
    try:
        return _merge(profile_id, row, run, at)
    except (ValueError, InvalidDocument) as error:
        raise BadRow(str(error), profile_id) from None


def _merge(profile_id: str, row: dict[str, Any], run: str, at: str) -> Merge:
    """Return the row of *profile_id*; ValueError, which quotes no value, where it is none."""
    seq = as_type(FieldType.INTEGER, row.pop("seq", None))
    if seq is None or seq < 0:
        raise ValueError("seq takes an integer of 0 or more")
    delete, hash_ = row.pop("delete", False), row.pop("hash", None)
    confirm = row.pop("confirm", False)
    if not isinstance(confirm, bool):
        raise ValueError("confirm takes true or false")  # noqa: TRY004 - a bad row, not a bug
    if delete is True and not row:
        return Merge(profile_id, seq, run, at, kind=Kind.DELETE)
    if not isinstance(hash_, str) or not hash_:
        raise ValueError("hash takes text")
    match delete, row:
        case False, {"merged_into": str(into), **rest} if not rest and into != profile_id:
            check_id(into)
            return Merge(
                profile_id, seq, run, at, hash_, kind=Kind.MERGED, into=into, confirm=confirm
            )
        case False, {"gone": True, **rest} if not rest:
            return Merge(profile_id, seq, run, at, hash_, kind=Kind.GONE, confirm=confirm)
        case False, _ if row.keys() <= {"set", "unset"}:
            fields, unset = row.get("set", {}), row.get("unset", [])
        case _:
            raise ValueError("the row is no upsert, no deletion and no merge into another profile")
    if isinstance(fields, dict) and isinstance(unset, list) and "consent" in fields:
        # Consent comes whole: what it says no more of a purpose must not stay.
        fields, unset = {**fields, "consent": _by_purpose(fields["consent"])}, ["consent", *unset]
    if not isinstance(fields, dict) or not isinstance(unset, list):
        raise ValueError("set takes a map and unset a list")  # noqa: TRY004 - a bad row, not a bug
    if not all(isinstance(path, str) and owns(path) for path in unset):
        raise ValueError("unset takes paths that the platform owns")
    fields = _typed(fields, "")
    return Merge(profile_id, seq, run, at, hash_, set=fields, unset=unset, confirm=confirm)


def _by_purpose(stated: Any) -> Any:
    """Return consent as a map: exporters, whose columns are fixed, list `purpose` with the rest."""
    if not isinstance(stated, list):
        return stated
    if not all(isinstance(one, dict) and isinstance(one.get("purpose"), str) for one in stated):
        raise ValueError("consent takes a map, or a list of records that name their purpose")
    return {
        one["purpose"]: {key: value for key, value in one.items() if key != "purpose"}
        for one in stated
    }


def _typed(fields: dict[str, Any], at: str) -> dict[str, Any]:
    """Return the map at path *at* with its values typed and its nulls dropped."""
    result: dict[str, Any] = {}
    for key, value in fields.items():
        path = f"{at}.{key}" if at else key
        if "." in key or not owns(path):
            raise ValueError(f"set{'.' if at else ''}{at} holds a field the platform does not own")
        if value is None or value == []:
            continue
        if path in FIELDS or field_type(path):
            result[key] = typed(path, value)
        elif isinstance(value, dict):
            result[key] = _typed(value, path)
        else:
            raise ValueError(f"{path} takes a map, not {type(value).__name__}")
    return result


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


class Lines:
    """The lines of a stream that hold more than space, numbered; None for one over the limit."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.count = 0

    def __iter__(self) -> Iterator[tuple[int, bytes | None]]:
        number = 0
        while line := self._stream.readline(MAX_LINE + 1):
            number += 1
            whole = line.removesuffix(b"\n")
            if len(whole) > MAX_LINE:
                while line and not line.endswith(b"\n"):
                    line = self._stream.readline(MAX_LINE)
                self.count += 1
                yield number, None
            elif whole.strip():
                self.count += 1
                yield number, whole


class Rejects:
    """The rows that were set aside: where each was, of which profile, and why; never its values.

    Among them those that are stale where nothing can be, which count as stale.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=1 << 20)  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: int, profile_id: str | None, reason: str) -> None:
        """Set one row aside."""
        entry = {"line": line, "profile_id": profile_id, "reason": reason}
        self._file.write(json.dumps(entry).encode() + b"\n")

    def store(self, objects: ObjectStore, name: str) -> None:
        """Store them as an object, if there are any; each attempt replaces the one before."""
        if self._file.tell():
            self._file.seek(0)
            objects.put(name, cast(BinaryIO, self._file))


def _unpacked(stack: ExitStack, stream: BinaryIO, name: str) -> IO[bytes]:
    if not name.endswith(".gz"):
        return stream
    return cast(IO[bytes], stack.enter_context(gzip.GzipFile(fileobj=stream)))

"""Executions of the embedded deployment: each a process of its own, its trace in one SQLite file.

The process holds a lock for as long as it lives: one that was killed is told from one that works.
"""

import builtins
import fcntl
import json
import os
import sqlite3
import subprocess
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cdp.domain.errors import unusable
from cdp.executions.port import Execution, ExecutionNotFound, State, Step
from cdp.sqlite_file import SqliteFile

_MIGRATIONS: Final = (
    (
        "create table execution (id text primary key, state text not null, argument text not null, "
        "started_by text not null, created_at text not null, ended_at text, result text, "
        "error text, cancel_requested_by text) strict",
        "create index execution_newest on execution (created_at desc)",
        "create table entry (execution_id text not null, id integer not null, "
        "revision integer not null, parent integer, routine text not null, step text not null, "
        "type text not null, state text not null, attempt integer not null, "
        "started_at text not null, ended_at text, exception text, "
        "primary key (execution_id, id)) strict, without rowid",
        "create index entry_revision on entry (execution_id, revision)",
    ),
)
_FLUSH_SECONDS: Final = 0.1


class LocalExecutions:
    """Executions below the folder *home*.

    Args:
        command: with `execute ID --lock N` behind it, runs one.
        env: variables of that process, besides this one's.
    """

    def __init__(
        self,
        home: Path,
        command: Sequence[str] = (sys.executable, "-m", "cdp"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = home / "executions"
        self._file = SqliteFile(home / "executions.sqlite", _MIGRATIONS)
        self._command = command
        self._env = {**os.environ, **(env or {})}

    def start(self, argument: Mapping[str, Any], *, by: str) -> str:
        new = str(uuid.uuid4())
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise unusable(self._folder, error) from error
        with self._file.writing() as db:
            db.execute(
                "insert into execution (id, state, argument, started_by, created_at) "
                "values (?, ?, ?, ?, ?)",
                (new, State.QUEUED, json.dumps(dict(argument)), by, _now()),
            )
        # The child inherits the lock, so that there is no moment in which nobody holds it.
        lock = os.open(self._lock(new), os.O_CREAT | os.O_RDWR, 0o600)
        log = os.open(self._folder / f"{new}.log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(  # noqa: S603 - our own command
                [*self._command, "execute", new, "--lock", str(lock)],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock],
            )
        finally:
            os.close(lock)
            os.close(log)
        # Somebody must hear of its end, or it stays a zombie for as long as this process lives.
        threading.Thread(target=process.wait, name=f"reap {new}", daemon=True).start()
        return new

    def get(self, id: str) -> Execution:
        return self._checked(self._read("where id = ?", (id,), id)[0])

    def list(self, *, limit: int = 50) -> list[Execution]:
        return [
            self._checked(found)
            for found in self._read("order by created_at desc, id limit ?", (limit,))
        ]

    def cancel(self, id: str, *, by: str) -> None:
        if self.get(id).state.ended:
            return
        with self._file.writing() as db:
            db.execute(
                "update execution set cancel_requested_by = ? "
                "where id = ? and cancel_requested_by is null and ended_at is null",
                (by, id),
            )

    def steps(self, id: str, *, after: int = 0, routine: str | None = None) -> builtins.list[Step]:
        with self._file.reading() as db:
            rows = db.execute(
                "select id, revision, parent, routine, step, type, state, attempt, started_at, "
                "ended_at, exception from entry where execution_id = ? and revision > ? "
                "and routine = coalesce(?, routine) order by id",
                (id, after, routine),
            ).fetchall()
        if not rows:
            self._read("where id = ?", (id,), id)
        return [_step(row) for row in rows]

    # --- inside the execution's own process -------------------------------------------------------

    def begin(self, id: str) -> Execution:
        """Mark the execution as active and return it."""
        with self._file.writing() as db:
            db.execute(
                "update execution set state = ? where id = ? and state = ?",
                (State.ACTIVE, id, State.QUEUED),
            )
        return self._read("where id = ?", (id,), id)[0]

    def end(self, id: str, state: State, *, result: Any = None, error: str | None = None) -> None:
        """Write how the execution ended; of several ends the first stands.

        A cancel that came before is never a success: it may have come during the last call.
        """
        with self._file.writing() as db:
            if state is State.SUCCEEDED and (by := _asked(db, id)):
                state, result, error = State.CANCELLED, None, f"cancelled by {by}"
            db.execute(
                "update execution set state = ?, result = ?, error = ?, ended_at = ? "
                "where id = ? and ended_at is null",
                (state, json.dumps(result), error, _now(), id),
            )

    def recorder(self, id: str) -> "Recorder":
        """Return what writes the trace of the execution."""
        return Recorder(self._file, id)

    # --- reading ----------------------------------------------------------------------------------

    def _lock(self, id: str) -> Path:
        return self._folder / f"{id}.lock"

    def _read(
        self, clause: str, values: tuple[Any, ...], id: str | None = None
    ) -> Sequence[Execution]:
        with self._file.reading() as db:
            rows = db.execute(
                "select id, state, argument, started_by, created_at, ended_at, result, error, "  # noqa: S608 - our own clauses
                f"cancel_requested_by from execution {clause}",
                values,
            ).fetchall()
        if id is not None and not rows:
            raise ExecutionNotFound(f"no run {id}; `cdp runs` lists them")
        return [
            Execution(
                row[0],
                State(row[1]),
                json.loads(row[2]),
                row[3],
                _time(row[4]),
                _time(row[5]) if row[5] else None,
                json.loads(row[6]) if row[6] else None,
                row[7],
                row[8],
            )
            for row in rows
        ]

    def _checked(self, found: Execution) -> Execution:
        """Return *found*, as failed where its process is no more."""
        if found.state.ended or self._alive(found.id):
            return found
        error = (
            "its process ended without a word (killed, out of memory, or the machine stopped); "
            "refresh again: what was not confirmed is delivered anew"
        )
        if last := self._last_words(found.id):
            error = f"its process ended unexpectedly: {last}"
        self.end(found.id, State.FAILED, error=error)
        with self._file.writing() as db:
            db.execute(
                "update entry set state = 'STATE_FAILED', exception = 'the process ended', "
                "ended_at = ?, revision = revision + 1000000000 "
                "where execution_id = ? and ended_at is null",
                (_now(), found.id),
            )
        return self._read("where id = ?", (found.id,), found.id)[0]

    def _last_words(self, id: str) -> str | None:
        """Return the last line that the execution's process printed, but for its logs."""
        file = self._folder / f"{id}.log"
        text = file.read_text("utf-8", "replace") if file.exists() else ""
        lines = [line for line in text.splitlines() if line.strip() and not line.startswith("{")]
        return lines[-1] if lines else None

    def _alive(self, id: str) -> bool:
        try:
            handle = os.open(self._lock(id), os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        # It may have ended between our reading the row and our trying the lock.
        return self._read("where id = ?", (id,), id)[0].state.ended


class Recorder:
    """Writes a trace in short batches, from a thread of its own; use it as a context manager.

    It is the engine's observer, and tells whether somebody asked to cancel.
    """

    def __init__(self, file: SqliteFile, execution_id: str) -> None:
        self._file = file
        self._id = execution_id
        self._changed: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._revision = 0
        self._stop = threading.Event()
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._flush_often, name="trace", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._flush()

    def step_started(self, entry: Any) -> None:
        self._note(entry)

    def step_ended(self, entry: Any) -> None:
        self._note(entry)

    def step_retried(self, entry: Any) -> None:
        self._note(entry)

    def cancelled(self) -> bool:
        """Whether somebody asked the execution to stop."""
        return self._cancelled.is_set()

    def stop(self) -> None:
        """Make `cancelled` true from inside: the execution may not go on."""
        self._cancelled.set()

    def _note(self, entry: Any) -> None:
        with self._lock:
            self._revision += 1
            self._changed[entry.id] = (
                self._id,
                entry.id,
                self._revision,
                entry.parent,
                entry.routine,
                entry.step,
                str(entry.step_type),
                str(entry.state),
                entry.attempt,
                entry.started_at.isoformat(),
                entry.ended_at.isoformat() if entry.ended_at else None,
                entry.exception,
            )

    def _flush_often(self) -> None:
        while not self._stop.wait(_FLUSH_SECONDS):
            try:
                self._flush()
            except Exception:  # noqa: BLE001 - without a trace nobody could follow or cancel
                traceback.print_exc()
                self._cancelled.set()
                return

    def _flush(self) -> None:
        with self._lock:
            rows, self._changed = list(self._changed.values()), {}
        if rows:
            with self._file.writing() as db:
                db.executemany(
                    "insert or replace into entry (execution_id, id, revision, parent, routine, "
                    "step, type, state, attempt, started_at, ended_at, exception) "
                    "values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    rows,
                )
        with self._file.reading() as db:
            asked = _asked(db, self._id)
        if asked:
            self._cancelled.set()


class Heartbeat:
    """Calls *beat* every *seconds* until it ends; when *beat* fails, *failed* is called once."""

    def __init__(
        self, beat: Callable[[], None], seconds: float, failed: Callable[[Exception], None]
    ) -> None:
        self._beat = beat
        self._seconds = seconds
        self._failed = failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - handed to whom it concerns
                self._failed(error)
                return


def hold(lock: int) -> None:
    """Keep the inherited lock to this process: its own children must not outlive it with it."""
    os.set_inheritable(lock, False)


def _asked(db: sqlite3.Connection, id: str) -> str | None:
    """Return who asked the execution to stop."""
    row = db.execute("select cancel_requested_by from execution where id = ?", (id,)).fetchone()
    return row[0] if row else None


def _step(row: Sequence[Any]) -> Step:
    id, revision, parent, routine, step, type, state, attempt, started_at, ended_at, error = row  # noqa: A001
    ended = _time(ended_at) if ended_at else None
    started = _time(started_at)
    return Step(id, revision, parent, routine, step, type, state, attempt, started, ended, error)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)

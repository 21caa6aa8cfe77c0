"""Messages in a SQLite outbox, delivered by worker processes, for the embedded deployment.

A worker leases a message for a short time and keeps extending the lease while the function runs.
When it dies the lease ends, and another worker takes the message.
"""

import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

from cdp.domain.payload import timestamp
from cdp.queue.port import Dead, DeadLetters, Queue, encode
from cdp.sqlite_file import SqliteFile

_MIGRATIONS: Final = (
    (
        """create table message (
             seq integer primary key,
             id text not null unique,
             topic text not null,
             data text not null,           -- JSON
             published text not null,      -- UTC
             attempts integer not null default 0,
             ready_at real not null,       -- seconds since 1970: free, or the lease ends
             lease text,                   -- null while free
             dead_at text,                 -- UTC; null while there is hope
             reason text                   -- why it is dead; never a value of its data
           )""",
        "create index message_alive on message (seq) where dead_at is null",
    ),
)


@dataclass(frozen=True, slots=True)
class Policy:
    """When a message is delivered again, and when no more; times in seconds: see `Delivery`."""

    lease: float = 10.0
    attempts: int = 5
    backoff: float = 1.0
    max_backoff: float = 60.0


@dataclass(frozen=True, slots=True)
class Leased:
    """A message that one worker holds; `attempt` counts from 1."""

    id: str
    topic: str
    data: str
    published: str
    attempt: int
    lease: str


class LocalQueue(Queue, DeadLetters):
    """The outbox; several processes and threads may use one file."""

    def __init__(self, path: Path, policy: Policy | None = None) -> None:
        self._file = SqliteFile(path, _MIGRATIONS)
        self._policy = policy or Policy()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        self._file.close()

    def publish(self, topic: str, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        """See the port. Every message is accepted, or none."""
        at = _now()
        rows = [
            (secrets.token_hex(8), topic, encode(message), at, time.time()) for message in messages
        ]
        with self._file.writing() as db:
            db.executemany(
                "insert into message (id, topic, data, published, ready_at) values (?, ?, ?, ?, ?)",
                rows,
            )
        return [row[0] for row in rows]

    def pending(self, topic: str) -> int:
        """Return how many messages wait or are being delivered."""
        query = "select count(*) from message where topic = ? and dead_at is null"
        with self._file.reading() as db:
            return int(db.execute(query, (topic,)).fetchone()[0])

    def dead(self, topic: str, run_id: str | None = None) -> list[Dead]:
        query = """select id, data, attempts, reason, dead_at from message
            where topic = ? and dead_at is not null
            and (? is null or json_extract(data, '$.run_id') = ?) order by seq"""
        with self._file.reading() as db:
            rows = db.execute(query, (topic, run_id, run_id)).fetchall()
        return [Dead(row[0], json.loads(row[1]), *row[2:]) for row in rows]

    def lease(self, holder: str) -> Leased | None:
        """Return the oldest message that is free, leased to *holder*; None where there is none."""
        ready = """select seq, id, topic, data, published, attempts + 1 from message
            where dead_at is null and ready_at <= ? order by seq limit 1"""
        with self._file.reading() as db:  # looking must not wait for who writes
            if db.execute(ready, (time.time(),)).fetchone() is None:
                return None
        lease = f"{holder}.{secrets.token_hex(8)}"
        with self._file.writing() as db:
            row = db.execute(ready, (time.time(),)).fetchone()
            if row is None:
                return None
            seq, key, topic, data, published, attempt = row
            if attempt > self._policy.attempts:
                reason = f"gave up after {attempt - 1} attempts: the worker died in the last one"
                _bury(db, "seq", seq, reason)
                return None
            db.execute(
                "update message set lease = ?, attempts = ?, ready_at = ? where seq = ?",
                (lease, attempt, time.time() + self._policy.lease, seq),
            )
        return Leased(key, topic, data, published, attempt, lease)

    def extend(self, leased: Leased) -> None:
        """Hold the message for another lease from now."""
        query = "update message set ready_at = ? where lease = ?"
        with self._file.writing() as db:
            db.execute(query, (time.time() + self._policy.lease, leased.lease))

    def ack(self, leased: Leased) -> None:
        """Forget the message: it was handled. Nothing happens where the lease was lost."""
        with self._file.writing() as db:
            db.execute("delete from message where lease = ?", (leased.lease,))

    def nack(self, leased: Leased, reason: str, *, final: bool = False) -> None:
        """Deliver the message later; no more if this is *final*, or was the last attempt."""
        wait = min(self._policy.backoff * 2.0 ** (leased.attempt - 1), self._policy.max_backoff)
        query = "update message set lease = null, ready_at = ? where lease = ?"
        with self._file.writing() as db:
            if final:
                _bury(db, "lease", leased.lease, reason)
            elif leased.attempt >= self._policy.attempts:
                gave_up = f"gave up after {leased.attempt} attempts: {reason}"
                _bury(db, "lease", leased.lease, gave_up)
            else:
                db.execute(query, (time.time() + wait, leased.lease))

    def release(self, holder: str) -> None:
        """Free the messages that *holder* leased: it is dead."""
        query = "update message set lease = null, ready_at = ? where lease glob ?"
        with self._file.writing() as db:
            db.execute(query, (time.time(), f"{holder}.*"))


class Delivery:
    """Worker processes that deliver the messages of one outbox to one function.

    Args:
        path: the outbox's file.
        target: the function's CloudEvent entry point, "module:name"; each worker imports it.
        workers: how many processes. Each is a fresh Python that imports only the target, so they
            start quickly and know nothing of the program around them.
        attempts: deliveries before a message is dead.
        backoff: seconds before the second delivery; doubles with each one, up to `max_backoff`.
        lease: seconds; a worker that dies unseen holds its message for up to so long.
        timeout: seconds; a function that runs longer is stopped with its worker, and the message
            delivered again, as Cloud Run does.
        poll: seconds between looks into the outbox.
    """

    def __init__(
        self,
        path: Path,
        target: str,
        *,
        workers: int = 2,
        attempts: int = 5,
        backoff: float = 1.0,
        max_backoff: float = 60.0,
        lease: float = 10.0,
        timeout: float = 540.0,
        poll: float = 0.05,
    ) -> None:
        policy = Policy(lease, attempts, backoff, max_backoff)
        self._queue = LocalQueue(path, policy)
        self._options = {
            "path": str(path.resolve()),
            "target": target,
            "policy": asdict(policy),
            "timeout": timeout,
            "poll": poll,
        }
        self._poll = poll
        self._stopping = threading.Event()
        self._workers: list[_Worker] = []
        self._count = workers
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> Self:
        """Start the workers; they wait for messages."""
        self._workers = [self._spawn() for _ in range(self._count)]
        self._keeper.start()
        return self

    def stop(self, timeout: float = 30.0) -> None:
        """Let each worker finish its message, and kill those that take longer than *timeout*."""
        self._stopping.set()
        if self._keeper.is_alive():
            self._keeper.join()
        for worker in self._workers:
            worker.dismiss()
        deadline = time.monotonic() + timeout
        for worker in self._workers:
            worker.end(max(0.0, deadline - time.monotonic()))
            self._queue.release(worker.holder)
        self._workers = []
        self._queue.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def processes(self) -> list[int]:
        """The workers' process ids."""
        return [worker.process.pid for worker in self._workers]

    def _keep(self) -> None:
        """Replace workers that die, until told to stop."""
        while not self._stopping.wait(self._poll):
            for index, worker in enumerate(self._workers):
                # One that dies young would die again at once: wait a second first.
                if worker.process.poll() is not None and worker.age() > 1.0:
                    worker.end(0.0)
                    self._queue.release(worker.holder)
                    self._workers[index] = self._spawn()

    def _spawn(self) -> "_Worker":
        holder = secrets.token_hex(4)
        options = self._options | {"holder": holder, "parent": os.getpid()}
        process = subprocess.Popen(  # noqa: S603 - this Python, this module, no shell
            [sys.executable, "-m", "cdp.queue.worker", json.dumps(options)],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return _Worker(process, holder, time.monotonic())


@dataclass(frozen=True, slots=True)
class _Worker:
    process: subprocess.Popen[bytes]
    holder: str
    started: float

    def age(self) -> float:
        return time.monotonic() - self.started

    def dismiss(self) -> None:
        """Close its standard input, which tells it to go; so does the death of this process."""
        if self.process.stdin:
            with suppress(BrokenPipeError):
                self.process.stdin.close()

    def end(self, timeout: float) -> None:
        self.dismiss()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _bury(db: Any, column: str, value: object, reason: str) -> None:
    query = f"update message set dead_at = ?, reason = ?, lease = null where {column} = ?"  # noqa: S608
    db.execute(query, (_now(), reason, value))


def _now() -> str:
    return timestamp(datetime.now(UTC))

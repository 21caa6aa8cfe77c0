"""A SQLite file that several processes and threads share; the embedded adapters stand on it."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp

from cdp.domain.errors import CdpError

BUSY_SECONDS = 60


class NewerFile(CdpError):  # noqa: N818 - reads as the sentence it is
    """The file was written by a newer release than this one."""


class SqliteFile:
    """Made on first use, readable by its owner only.

    Args:
        path: the file; its folder is made, too.
        migrations: the statements that lead from each version to the next; an empty file has
            version 0. Never change one that was released.
        lacking: returns the statements that the file still needs besides, none where it has all.
    """

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Sequence[str]],
        lacking: Callable[[sqlite3.Connection], Sequence[str]] = lambda _: (),
    ) -> None:
        self._path = path
        self._migrations = migrations
        self._lacking = lacking
        self._lock = threading.Lock()
        self._idle: deque[sqlite3.Connection] = deque()
        self._inherited: deque[sqlite3.Connection] | None = None
        self._process: int | None = None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one state of the file throughout."""
        with self._transaction("begin") as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the one connection that may write; what it wrote is kept, or nothing on an error.

        The lock is taken first: a transaction that reads and then writes would fail half-way
        where another process wrote in between.
        """
        with self._transaction("begin immediate") as db:
            yield db

    def close(self) -> None:
        """Close the connections that nobody uses; the next use opens new ones."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        db = self._take()
        try:
            db.execute(begin)
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")
        finally:
            if db.in_transaction:  # the commit failed
                db.close()
            else:
                self._idle.append(db)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._process != os.getpid():
                # After a fork these are the parent's: using or closing them could corrupt the file.
                self._inherited, self._idle = self._idle, deque()
                self._prepare()
                self._process = os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            db = _open(self._path)
            # What a statement over many rows may have to undo. Not for migrations: theirs is large.
            db.execute("pragma temp_store = memory")
            return db

    def _prepare(self) -> None:
        if not self._path.exists():
            self._create()
        db = _open(self._path)
        try:
            version = _version(db)
            if version > len(self._migrations):
                raise NewerFile(
                    f"{self._path} has version {version}, this release reads up to "
                    f"{len(self._migrations)}; use the release that wrote it, or another folder"
                )
            if version < len(self._migrations) or self._lacking(db):
                self._migrate(db)
        finally:
            db.close()

    def _create(self) -> None:
        """Make the file beside its place: switching to WAL fails where others wait for it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = mkstemp(dir=self._path.parent, prefix=".")
        os.close(handle)
        new = Path(name)
        try:
            db = _open(new)
            db.execute("pragma journal_mode = wal")
            self._migrate(db)
            db.close()
            with suppress(FileExistsError):  # another process was quicker
                os.link(new, self._path)
        finally:
            new.unlink()

    def _migrate(self, db: sqlite3.Connection) -> None:
        db.execute("begin immediate")
        # Read again: another process may have migrated while this one waited for the lock.
        for statements in self._migrations[_version(db) :]:
            for statement in statements:
                db.execute(statement)
        for statement in self._lacking(db):
            db.execute(statement)
        db.execute(f"pragma user_version = {len(self._migrations)}")
        db.execute("commit")


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # full: what was acknowledged survives a power cut.
    db.execute("pragma synchronous = full")
    db.execute("pragma cache_size = -65536")
    # Many rows change the same pages of the indexes: let the log gather them, up to 64 MB.
    db.execute("pragma wal_autocheckpoint = 16384")
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("pragma user_version").fetchone()[0])

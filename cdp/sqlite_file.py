"""A SQLite file that several processes and threads share; the embedded adapters stand on it."""

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Final

from cdp.domain.errors import CdpError, Unusable, unusable

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

    def purge(self) -> None:
        """Leave nothing of what was deleted in the file, nor in its log."""
        with _in_words(self._path), closing(_open(self._path)) as db:
            # Pages of an earlier release, which did not overwrite, may still hold what was there.
            db.execute("vacuum")
            db.execute("pragma wal_checkpoint(truncate)")

    def close(self) -> None:
        """Close the connections that nobody uses; the next use opens new ones."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with _in_words(self._path):
            db = self._take()
            try:
                db.execute(begin)
                try:
                    yield db
                except BaseException:
                    if db.in_transaction:  # a full disk ends it by itself
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
        try:
            if not self._path.exists():
                self._create()
            if self._path.stat().st_mode & 0o077:  # its log is made with the same rights
                self._path.chmod(0o600)
        except OSError as error:
            raise unusable(self._path, error) from error
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
            with closing(_open(new)) as db:
                db.execute("pragma journal_mode = wal")
                self._migrate(db)
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


def problem(path: Path) -> str | None:
    """Return what is wrong with the file, with the fix; None where it is whole, or not there."""
    if not path.exists():
        return None
    try:
        with _in_words(path), closing(_open(path)) as db:
            (found,) = db.execute("pragma quick_check(1)").fetchone()
            db.execute("select count(*) from sqlite_master").fetchone()
    except CdpError as error:
        return str(error)
    return None if found == "ok" else str(_damaged(path, found.splitlines()[-1]))


_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CLOSED: Final = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN)
_DISK: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Tell what is wrong with the file; a statement that is wrong keeps its traceback."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the details
        if code in _DAMAGED:
            raise _damaged(path, str(error)) from error
        if code in _CLOSED:
            raise Unusable(
                f"{path} cannot be used ({error}); make it and its folder writable for you"
            ) from error
        if code in _DISK:
            raise Unusable(
                f"{path} cannot be read or written ({error}); free some space on its disk, and "
                "check the disk"
            ) from error
        if code == sqlite3.SQLITE_BUSY:
            raise Unusable(
                f"{path}: another process has written it for {BUSY_SECONDS} s; wait until it ends"
            ) from error
        raise


def _damaged(path: Path, why: str) -> Unusable:
    return Unusable(
        f"{path} is damaged ({why}); put a copy of it back, or move it away: it is made anew, "
        "without what only it held"
    )


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    # full: what was acknowledged survives a power cut.
    db.execute("pragma synchronous = full")
    db.execute("pragma cache_size = -65536")
    # What is deleted is overwritten: people ask for it.
    db.execute("pragma secure_delete = on")
    # Many rows change the same pages of the indexes: let the log gather them, up to 64 MB.
    db.execute("pragma wal_autocheckpoint = 16384")
    return db


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("pragma user_version").fetchone()[0])

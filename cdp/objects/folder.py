"""Objects as files below one folder, for the embedded deployment."""

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final

from cdp.domain.errors import unusable
from cdp.objects.port import (
    Data,
    GenerationChanged,
    InvalidName,
    ObjectExists,
    ObjectNotFound,
    ObjectStore,
    Stored,
    check_name,
)

_CHUNK: Final = 1 << 20


class FolderObjects(ObjectStore):
    """A name with '/' becomes a path; so no object's name can be the folder of another's.

    The generation is the file's time of modification in microseconds, which `put` sets so that it
    always grows: the content and its generation become visible in one rename.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, data: Data, *, if_absent: bool = False) -> Stored:
        with self._in_words():
            return self._put(name, data, if_absent=if_absent)

    def _put(self, name: str, data: Data, *, if_absent: bool) -> Stored:
        path = self._path(name)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise InvalidName(f"{name!r}: a part of this name is an object already") from None
        # A name that begins with a dot is no object's: half of one cannot be listed or opened.
        with NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            try:
                digest = hashlib.md5(usedforsecurity=False)
                for chunk in _chunks(data):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                generation = max(time.time_ns() // 1000, _generation(path) + 1)
                os.utime(file.name, ns=(generation * 1000, generation * 1000))
                os.fsync(file.fileno())
                size = file.tell()
                if if_absent:
                    os.link(file.name, path)  # unlike a rename, fails where there is one
                else:
                    Path(file.name).replace(path)
            except FileExistsError:
                raise ObjectExists(f"{name!r} exists already") from None
            except IsADirectoryError:
                raise InvalidName(f"{name!r}: other objects have names below this one") from None
            finally:
                Path(file.name).unlink(missing_ok=True)
        _sync(path.parent)
        return Stored(name, generation, size, _moment(generation), digest.hexdigest())

    def open(self, name: str, generation: int | None = None) -> BinaryIO:
        try:
            file = self._path(name).open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise ObjectNotFound(f"there is no object {name!r}") from None
        except OSError as error:
            raise unusable(self._root, error) from error
        # Asked of the open file: what the path names may be replaced meanwhile.
        found = os.fstat(file.fileno()).st_mtime_ns // 1000
        if generation not in {None, found}:
            file.close()
            raise GenerationChanged(f"{name!r} is generation {found}, not {generation}")
        return file

    def stat(self, name: str) -> Stored:
        with self._in_words():
            path = self._path(name)
            if not path.is_file():
                raise ObjectNotFound(f"there is no object {name!r}")
            return _stored(name, path)

    def list(self, prefix: str = "") -> Sequence[Stored]:
        with self._in_words():
            return self._list(prefix)

    def _list(self, prefix: str) -> Sequence[Stored]:
        folder, slash, _ = prefix.rpartition("/")
        start = self._path(folder) if slash else self._root
        found: list[Stored] = []
        for parent, folders, files in os.walk(start):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for file in files:
                path = Path(parent, file)
                name = path.relative_to(self._root).as_posix()
                if not file.startswith(".") and name.startswith(prefix):
                    with suppress(ObjectNotFound):  # deleted meanwhile
                        found.append(replace(_stored(name, path), md5=_md5(path)))
        return sorted(found, key=lambda stored: stored.name)

    def delete(self, name: str, generation: int | None = None) -> None:
        with self._in_words():
            path = self._path(name)
            if path.is_file() and generation in {None, _generation(path)}:
                path.unlink(missing_ok=True)
                _sync(path.parent)

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno is None:  # what is stored could not be read
                raise
            raise unusable(self._root, error) from error

    def _path(self, name: str) -> Path:
        check_name(name)
        path = self._root / name
        if not path.parent.resolve().is_relative_to(self._root.resolve()):
            raise InvalidName(f"{name!r} leads out of the object store")
        return path


def _chunks(data: Data) -> Iterator[bytes]:
    if isinstance(data, bytes):
        yield data
    elif hasattr(data, "read"):
        while chunk := data.read(_CHUNK):
            yield chunk
    else:
        yield from data


def _generation(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns // 1000
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _stored(name: str, path: Path) -> Stored:
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ObjectNotFound(f"there is no object {name!r}") from None
    generation = found.st_mtime_ns // 1000
    return Stored(name, generation, found.st_size, _moment(generation))


def _moment(generation: int) -> datetime:
    return datetime.fromtimestamp(generation / 1e6, UTC)


def _md5(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except FileNotFoundError:
        raise ObjectNotFound(f"there is no object {path.name!r}") from None


def _sync(folder: Path) -> None:
    """Make a rename in *folder* survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

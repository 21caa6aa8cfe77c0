"""Port: objects (files) by name. Contract: tests/contract/test_objects.py.

An object is never half visible. Every overwrite gives it another generation, so a reader can insist
on the very object it was told of.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Final, Protocol

from cdp.domain.errors import CdpError

Data = bytes | Iterable[bytes] | BinaryIO


class ObjectNotFound(CdpError):  # noqa: N818 - reads as the sentence it is
    """There is no such object."""


class ObjectExists(CdpError):  # noqa: N818 - reads as the sentence it is
    """There is such an object already; it was left as it is."""


class GenerationChanged(CdpError):  # noqa: N818 - reads as the sentence it is
    """The object is no longer the generation that was asked for."""


class InvalidName(CdpError):  # noqa: N818 - reads as the sentence it is
    """The name is one that a store refuses, or one that leads out of it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was at one moment; `md5` (hexadecimal) where the store knows it.

    `at`: when it was stored, aware.
    """

    name: str
    generation: int
    size: int
    at: datetime
    md5: str | None = None


class ObjectStore(Protocol):
    """Every method raises InvalidName for a name that a store refuses."""

    def put(self, name: str, data: Data, *, if_absent: bool = False) -> Stored:
        """Store *data* under *name*, all of it or, where reading it fails, nothing.

        Raises:
            ObjectExists: *if_absent*, and there is one already.
        """

    def open(self, name: str, generation: int | None = None) -> BinaryIO:
        """Return the object for reading, as a stream of the one generation that it opened.

        Raises:
            ObjectNotFound: there is none.
            GenerationChanged: it is not *generation*. Reading may raise it, too: where a store
                keeps no more than the newest, an overwrite ends the reading of the one before.
        """

    def stat(self, name: str) -> Stored:
        """Return what is known of the object; ObjectNotFound where there is none."""

    def list(self, prefix: str = "") -> Sequence[Stored]:
        """Return the objects whose names begin with *prefix*, sorted by name."""

    def delete(self, name: str, generation: int | None = None) -> None:
        """Remove the object, if there is one; with *generation* only that one, never a newer."""


_SEGMENT: Final = re.compile(r"[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*")


def check_name(name: str) -> None:
    """Raise InvalidName unless *name* is segments joined by '/'; none begins with a dot."""
    segments = name.split("/")
    try:
        fits = len(name.encode()) <= 1024 and all(len(part.encode()) <= 255 for part in segments)
    except UnicodeEncodeError:
        fits = False
    if not fits or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise InvalidName(
            f"object name {name!r}: use up to 1024 bytes, in segments joined by '/' that are not "
            "empty, begin with no dot and hold no backslash or control character"
        )

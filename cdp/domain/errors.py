"""What can go wrong in words a person can act on; entry points show these without a traceback."""

import errno
import json
import os
from typing import Any, Final


class CdpError(Exception):
    """A condition a user or an operator can fix; the message names the fix."""


class InputError(CdpError):
    """Input that cannot be read; names the file and, where there is one, the line."""


class Unavailable(CdpError):  # noqa: N818 - reads as the sentence it is
    """A service did not answer although it was asked again; later it may."""


class Unusable(CdpError):  # noqa: N818 - reads as the sentence it is
    """A file or a folder cannot be read or written; says which, why, and the fix."""


_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_FOLDER: Final = (errno.ENOTDIR, errno.EEXIST, errno.ENOENT)


def unusable(path: object, error: OSError) -> Unusable:
    """Return what *error* means for who works with the file or folder *path*."""
    if error.errno in _FULL:
        return disk_full(path)
    reason = (error.strerror or str(error)).lower()
    fix = "check its disk"
    if error.errno in _CLOSED:
        fix = "make it and what is in it readable and writable for you, or set CDP_HOME elsewhere"
    elif error.errno in _NO_FOLDER:
        fix = "set CDP_HOME to a folder that can be written"
    return Unusable(f"{path} cannot be used ({reason}); {fix}")


def disk_full(path: object) -> Unusable:
    return Unusable(f"{path} cannot be written: its disk is full; free some space, then try again")


def tells_full_disk(text: str) -> bool:
    """Whether an engine's words are those of a disk, or a quota, without space."""
    return any(os.strerror(number) in text for number in _FULL)


def describe(error: Any) -> str:
    """Return what a workflow raised, an error map or any JSON value, as one line to read."""
    if isinstance(error, str):
        return error
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        code = error.get("code")
        text = error["message"] if code is None else f"{error['message']} (code {code})"
        match error.get("body"):
            # What the service itself said: ours, or Google's.
            case {"error": str(told)} | {"error": {"message": str(told)}}:
                return f"{told} (code {code})"
        match error.get("branches"):
            case [{"error": {"payload": first}}, *_]:  # what went wrong is told below, not here
                return f"{text}: {describe(first)}"
        return str(text)
    return json.dumps(error, ensure_ascii=False, default=repr)

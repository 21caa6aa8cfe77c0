"""What can go wrong in words a person can act on; entry points show these without a traceback."""

import json
from typing import Any


class CdpError(Exception):
    """A condition a user or an operator can fix; the message names the fix."""


class InputError(CdpError):
    """Input that cannot be read; names the file and, where there is one, the line."""


class Unavailable(CdpError):  # noqa: N818 - reads as the sentence it is
    """A service did not answer although it was asked again; later it may."""


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

"""Who may do what, and how much of an identifier somebody sees."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final

from cdp.domain.errors import CdpError

HIDDEN: Final = "•••"


class Role(StrEnum):
    """A marketer reads; an admin also acts."""

    MARKETER = "marketer"
    ADMIN = "admin"


class NotPermitted(CdpError):  # noqa: N818 - reads as the sentence it is
    """The acting user's role does not permit the action; nothing was done."""


def mask(type: str, value: str) -> str:
    """Return as much of an identifier as tells two of one person apart, and no more.

    `ana.weber@example.com` becomes `a•••@e•••.com`, a phone number or an id keeps its last two
    characters, a short one none.
    """
    return _MASKS.get(type, _tail)(value)


def _email(value: str) -> str:
    name, _, host = value.rpartition("@")
    domain, dot, top = host.rpartition(".")
    return f"{name[:1]}{HIDDEN}@{domain[:1]}{HIDDEN}{dot}{top if dot else ''}"


def _phone(value: str) -> str:
    return f"{value[:3]}{HIDDEN}{value[-2:]}" if len(value) >= 10 else HIDDEN


def _tail(value: str) -> str:
    return f"{HIDDEN}{value[-2:]}" if len(value) >= 6 else HIDDEN


_MASKS: Final[Mapping[str, Callable[[str], str]]] = {"email": _email, "phone": _phone}

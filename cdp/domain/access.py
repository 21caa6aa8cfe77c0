"""Who may do what, and how much of an identifier somebody sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cdp.domain.errors import CdpError
from cdp.domain.policy import Policy

HIDDEN: Final = "•••"


class Role(StrEnum):
    """A marketer reads; an admin also acts."""

    MARKETER = "marketer"
    ADMIN = "admin"


class NotPermitted(CdpError):  # noqa: N818 - reads as the sentence it is
    """The acting user's role does not permit the action; nothing was done."""


class Sight(StrEnum):
    """How much of an identifier somebody sees."""

    WHOLE = "whole"
    MASKED = "masked"
    WITHHELD = "withheld"


def sight(*, permitted: bool, masked: bool, revealed: bool = False) -> Sight:
    """Return what the console shows of an identifier; it shows nothing by another rule.

    Consent comes first: what it withholds nobody sees, whatever their role, and no reveal changes
    that. What is only masked for the role, a reveal shows.

    Args:
        permitted: see `permits`.
        masked: the policy masks the type for the viewer's role.
        revealed: the viewer gave a reason, which the audit log has.
    """
    if not permitted:
        return Sight.WITHHELD
    return Sight.MASKED if masked and not revealed else Sight.WHOLE


@dataclass(frozen=True, slots=True)
class Ground:
    """What the warehouse knows of the consent behind an identifier.

    Attributes:
        granted: the purposes that its consent permits; None where it is in no profile.
        link: source and state of consent of the link that tells of it; None where none does.
    """

    granted: frozenset[str] | None
    link: tuple[str, str] | None = None


def permits(policy: Policy, type: str, ground: Ground) -> bool:
    """Return whether consent permits to show an identifier of *type* to anybody at all.

    A link shows neither end unless its own consent permits to link. An identifier in a profile
    needs what its field needs, of the profile; in none, the link's consent is all there is.
    """
    if ground.link is not None and not _permits_to_link(policy, *ground.link):
        return False
    purpose = policy.purpose_of(f"identifiers.{type}")
    if ground.granted is not None:
        return purpose in ground.granted
    return ground.link is not None and purpose == policy.linking.purpose


def _permits_to_link(policy: Policy, source: str, state: str) -> bool:
    if state == "unknown":
        silence = policy.purposes[policy.linking.purpose].unknown
        state = silence if source == "ga4" else policy.linking.unstated
    return state == "granted"


def shown(type: str, value: str, sight: Sight) -> str:
    """Return an identifier as *sight* lets it be seen; of a withheld one, nothing."""
    match sight:
        case Sight.WHOLE:
            return value
        case Sight.MASKED:
            return mask(type, value)
        case Sight.WITHHELD:
            return HIDDEN


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

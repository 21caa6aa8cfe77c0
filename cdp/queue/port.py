"""Port: messages to functions, delivered at least once. Contract: tests/contract/test_queue.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cdp.domain.errors import CdpError


class Refused(CdpError):  # noqa: N818 - reads as the sentence it is
    """A function cannot ever accept this message: it is dead-lettered, not delivered again."""


@dataclass(frozen=True, slots=True)
class Dead:
    """A message that is delivered no more, and why; the reason quotes no value of its data."""

    id: str
    data: Mapping[str, Any]
    attempts: int
    reason: str
    at: str


class Queue(Protocol):
    """A message is delivered until the function returns, or has failed too often.

    It may be delivered twice, and by two workers at once.
    """

    def publish(self, topic: str, messages: Sequence[Mapping[str, Any]]) -> list[str]:
        """Accept every message or none; return an id for each, in order.

        Raises:
            TypeError: a message is not JSON.
        """

    def pending(self, topic: str) -> int:
        """Return how many messages wait or are being delivered."""

    def dead(self, topic: str) -> list[Dead]:
        """Return the messages that are delivered no more, oldest first."""

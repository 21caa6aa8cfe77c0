"""Ports: messages to functions, delivered at least once, and those that no function accepted.

Contract: tests/contract/test_queue.py.
"""

import json
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
        """Accept every message; return an id for each, in order.

        Raises:
            TypeError: a message is not JSON; none was sent.
            CdpError: not every message was accepted, and any of them may be delivered. Send them
                all again: functions do nothing for a message whose work is done.
        """


class DeadLetters(Protocol):
    """The messages that are delivered no more."""

    def dead(self, topic: str, run_id: str | None = None) -> list[Dead]:
        """Return those of one topic, perhaps only those whose data names this run, oldest first."""


def encode(message: Mapping[str, Any]) -> str:
    """Return the message as JSON text; TypeError where it is not JSON."""
    try:
        return json.dumps(message, allow_nan=False)
    except ValueError:
        raise TypeError("a message is JSON: no NaN, no infinity") from None

"""Messages that are delivered no more, as documents: a queue in the cloud forgets them."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from cdp.domain.payload import timestamp
from cdp.profiles.port import AlreadyExists, Create, DocumentStore, Where
from cdp.queue.port import Dead, DeadLetters

_COLLECTION: Final = "dead_letters"
_AT_ONCE: Final = 300


class DocumentDeadLetters(DeadLetters):
    """Documents `dead_letters/<message id>`.

    Args:
        clock: returns the time, aware.
    """

    def __init__(
        self,
        documents: DocumentStore,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._clock = clock

    def bury(
        self, id: str, topic: str, data: Mapping[str, Any], *, attempts: int, reason: str
    ) -> None:
        """Keep the message *id*; of several burials of one the first stands.

        Args:
            reason: in words; quotes no value of *data*.

        Raises:
            TypeError: *data* is not JSON.
        """
        body = {
            "topic": topic,
            "run_id": str(data.get("run_id", "")),
            # As text: a message may hold what a document may not, such as a list in a list.
            "data": json.dumps(data, allow_nan=False),
            "attempts": attempts,
            "reason": reason,
            "at": timestamp(self._clock()),
        }
        with suppress(AlreadyExists):
            self._documents.commit([Create(_COLLECTION, id, body)])

    def dead(self, topic: str, run_id: str | None = None) -> list[Dead]:
        where = [Where("topic", "==", topic)]
        if run_id is not None:
            where.append(Where("run_id", "==", run_id))
        found: list[Dead] = []
        after = None
        while True:
            page = self._documents.page(_COLLECTION, where=where, after=after, limit=_AT_ONCE)
            for document in page.documents:
                body = document.body
                data = json.loads(body["data"])
                found.append(Dead(document.id, data, body["attempts"], body["reason"], body["at"]))
            after = page.cursor
            if after is None:
                return sorted(found, key=lambda dead: (dead.at, dead.id))

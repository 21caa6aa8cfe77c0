"""How many profiles somebody may reveal in a day."""

from typing import Final

from cdp.domain.access import NotPermitted
from cdp.profiles.port import Create, DocumentStore, Put, Write

_COLLECTION: Final = "reveals"


class Reveals:
    """Documents `reveals/<username>`: the day, in UTC, and how many it had.

    Args:
        most: a day.
    """

    def __init__(self, documents: DocumentStore, most: int) -> None:
        self._documents = documents
        self._most = most

    def counted(self, actor: str, at: str) -> list[Write]:
        """Return the writes that count a reveal at *at*, to be committed with its audit row.

        Raises:
            NotPermitted: the day has had as many as it may.
        """
        day = at[:10]
        found = self._documents.get(_COLLECTION, actor)
        before = found.body["count"] if found and found.body["day"] == day else 0
        if before >= self._most:
            raise NotPermitted(
                f"you revealed {before} profiles today, and the policy permits {self._most} a day "
                "(access.reveals_a_day); the next day begins at midnight UTC"
            )
        after = {"day": day, "count": before + 1}
        return [
            Put(_COLLECTION, actor, after, expect=found.version)
            if found
            else Create(_COLLECTION, actor, after)
        ]

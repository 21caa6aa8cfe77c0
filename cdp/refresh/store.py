"""What the document store says of itself, and which profiles it has: does it fit the warehouse?"""

import hashlib
import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from cdp.domain.errors import CdpError
from cdp.profiles.port import (
    PROFILES,
    AlreadyExists,
    Conflict,
    Create,
    DocumentStore,
    Put,
    Where,
)

RECALLED_AT_ONCE: Final = 250_000
"""Profiles whose ids one call recalls: it has nine minutes."""
_LIVE: Final = Where("sync.state", "==", "live")


class Store:
    """The document `meta/store`, and the live profiles beside it.

    Args:
        salt: the secret that profile ids are made with.
    """

    def __init__(self, documents: DocumentStore, salt: str) -> None:
        self._documents = documents
        self._salt = salt

    def told(self) -> Mapping[str, Any]:
        """Return what the store says of itself: `id`, `salt`, and `run_id` that settled.

        Raises:
            CdpError: its profile ids were made with another salt: new ones would be nobody's.
        """
        salt = hashlib.blake2b(b"salt of profile ids", key=self._salt.encode()[:64]).hexdigest()[:8]
        found = self._documents.get("meta", "store")
        if found is not None and found.body.get("salt") == salt:
            return found.body
        body: dict[str, Any] = {"id": secrets.token_hex(8), **(found.body if found else {})}
        if body.get("salt") and self._documents.count(PROFILES):
            raise CdpError(
                "the salt is not the one that the profile ids in the document store were made "
                "with: everybody would get a new id. Put the old one back (the file `salt` in "
                "CDP_HOME, or the secret CDP_SALT), or start with an empty document store and an "
                "empty warehouse"
            )
        body["salt"] = salt
        with suppress(AlreadyExists, Conflict):  # another run was faster
            self._documents.commit(
                [
                    Put("meta", "store", body, expect=found.version)
                    if found
                    else Create("meta", "store", body)
                ]
            )
        return self.told()

    def is_another(self, state: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
        """Whether what the warehouse says of the store is of another one, or of another time.

        So it is where either of them was lost, or is an older copy.

        Args:
            state: see `90_state`.
            run: the run's document.
        """
        store = self.told()
        if state["store_id"] is None:
            return bool(store.get("run_id"))
        return (
            state["store_id"] != store["id"]
            or (bool(store.get("run_id")) and not state["store_run_known"])
            or bool(run.get("outnumbered"))
        )

    def miscounts(self, state: Mapping[str, Any]) -> bool:
        """Whether the store has more live profiles, or fewer, than runs have brought there."""
        live = self._documents.count(PROFILES, [_LIVE])
        return not state["live_settled"] <= live <= state["live"]

    def live(self, cursor: str | None) -> tuple[list[str], str | None]:
        """Return the ids of many live profiles, and the cursor of the next ones."""
        ids: list[str] = []
        while len(ids) < RECALLED_AT_ONCE:
            page = self._documents.page(PROFILES, where=[_LIVE], after=cursor, limit=1000)
            ids += [document.id for document in page.documents]
            cursor = page.cursor
            if cursor is None:
                break
        return ids, cursor

    def settled(self, run_id: str) -> None:
        """Remember the run that settled last."""
        found = self._documents.get("meta", "store")
        assert found is not None
        body = {**found.body, "run_id": run_id}
        self._documents.commit([Put("meta", "store", body, expect=found.version)])

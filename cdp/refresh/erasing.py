"""Erasures, carried out under the lease: what is still held of somebody goes, in every store."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from cdp.domain.erasure import ERASURES, Held, Subject, is_erased
from cdp.domain.identifiers import Speller, identifier_key, keyed
from cdp.domain.payload import timestamp
from cdp.insight.erasure import ASKED, DONE, erasures, former_profiles, number, parameters
from cdp.objects.port import ObjectStore
from cdp.profiles.decisions import Decisions
from cdp.profiles.port import Document, DocumentStore, Put
from cdp.warehouse.port import Erasure, Warehouse
from cdp.warehouse.spelling import unspelled
from cdp.warehouse.statements import statements

_AT_ONCE: Final = 10_000


class Erasing:
    """What a run does of erasures.

    Args:
        salt: the secret that identifiers are keyed with.
    """

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        documents: DocumentStore,
        objects: ObjectStore,
        speller: Callable[[], Speller],
        property: str,
        salt: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._warehouse = warehouse
        self._documents = documents
        self._objects = objects
        self._speller = speller
        self._property = property
        self._key = identifier_key(salt)
        self._clock = clock

    def carry_out(self, run_id: str, seq: int) -> list[dict[str, Any]]:
        """Erase whom it was asked for and not done yet; return what each erasure says of itself.

        Args:
            seq: the run's; documents are erased under it.
        """
        if not number(self._documents):
            return []
        every = [one for one in erasures(self._documents) if one.body["state"] != ASKED]
        self._keep(every)
        waiting = [one for one in every if one.body["state"] != DONE]
        if not waiting:
            return []
        stones = frozenset(stone for one in waiting for stone in one.body["tombstones"])
        subject = self._subject(waiting)
        counts = self._warehouse.erase(
            Erasure(
                property=self._property,
                keyed=stones,
                key=self._key,
                parameters=parameters(subject),
                told=tuple(dict.fromkeys([*subject.subjects, *self._told(subject, stones)])),
                mentions=tuple(subject.mentions),
            )
        )
        self._documents.erase(subject.profiles, run_id, seq, timestamp(self._clock()))
        Decisions(self._documents).erase(partial(is_erased, stones, self._key))
        self._erase_objects(frozenset(subject.profiles))
        self._documents.purge()
        ended = {"state": DONE, "done_at": timestamp(self._clock()), "run_id": run_id}
        bodies = [{**one.body, **ended, "rows": counts} for one in waiting]
        self._documents.commit(
            [
                Put(ERASURES, one.id, body, expect=one.version)
                for one, body in zip(waiting, bodies, strict=True)
            ]
        )
        return bodies

    def _keep(self, every: Iterable[Document]) -> None:
        """Tell the warehouse of every tombstone: it may be a new one."""
        told = [f"{stone}|{one.id}" for one in every for stone in one.body["tombstones"]]
        told += [f"{profile}|{one.id}" for one in every for profile in one.body["profiles"]]
        for start in range(0, len(told), _AT_ONCE):
            some = told[start : start + _AT_ONCE]
            self._warehouse.run(statements()["85_tombstone"], {"tombstones": some})

    def _subject(self, waiting: Iterable[Document]) -> Subject:
        """Return what is still held of them."""
        rows = self._warehouse.query(statements()["86_erased"], {"key": self._key}).to_dicts()
        held = [
            Held(row["type"] or "", row["value"], row["identifier_id"], row["profile_id"])
            for row in rows
        ]
        profiles = {profile for one in waiting for profile in one.body["profiles"]}
        held += [Held("", None, None, profile) for profile in profiles]
        found = Subject(tuple(held))
        former = former_profiles(self._warehouse, found.profiles)
        return Subject((*held, *(Held("", None, None, profile) for profile in former)))

    def _told(self, subject: Subject, stones: frozenset[str]) -> Iterable[str]:
        """Yield `type|value` of each identifier as loaded rows spell it."""
        asked = {"subjects": subject.subjects or [""]}
        for row in self._warehouse.query(statements()["87_told"], asked).to_dicts():
            yield f"{row['type']}|{row['told']}"
        for text in unspelled(self._warehouse, self._speller()):
            one = json.loads(text)
            if keyed(self._key, one["type"], one["value"]) in stones:
                yield f"{one['type']}|{one['told']}"

    def _erase_objects(self, profiles: frozenset[str]) -> None:
        """Delete every shard, which the next run exports anew, and what tells of rejected rows."""
        for stored in self._objects.list("runs/"):
            if "/part-" in stored.name:
                self._objects.delete(stored.name)
            elif "/rejected/" in stored.name:
                with self._objects.open(stored.name) as file:
                    lines = file.read().splitlines()
                kept = [line for line in lines if json.loads(line)["profile_id"] not in profiles]
                if len(kept) < len(lines):
                    self._objects.put(stored.name, b"".join(line + b"\n" for line in kept))

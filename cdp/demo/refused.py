"""Count what was delivered although its own newest decision is a denial.

Read from the documents and from the files of decisions alone: what the warehouse made of them is
what is checked.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cdp.domain.policy import Policy
from cdp.profiles.port import PROFILES, DocumentStore

_PATHS: Final = ("identifiers.email", "identifiers.phone", "contact.email", "contact.phone")
_Said = dict[tuple[str, str, str], tuple[datetime, bool]]


@dataclass(frozen=True, slots=True)
class Refused:
    """Addresses and numbers in documents, and those of them that were refused."""

    delivered: int
    refused: int


def refused(folder: Path, documents: DocumentStore, policy: Policy) -> Refused:
    """Compare the documents with the decisions (CSV) below *folder*/consent.

    Of two decisions at one instant the denial counts.
    """
    said = _newest(sorted((folder / "consent").glob("*.csv")), policy)
    delivered = wrong = 0
    for body in _bodies(documents):
        for path in _PATHS:
            group, _, type_ = path.partition(".")
            for value in _values(body.get(group, {}).get(type_)):
                delivered += 1
                _, denied = said.get((type_, value, policy.purpose_of(path)), (None, False))
                wrong += denied
    return Refused(delivered, wrong)


def _newest(files: Iterable[Path], policy: Policy) -> _Said:
    """Return when each identifier last decided, and whether it said no, by type, value, purpose."""
    speller, found = policy.speller(), _Said()
    for file in files:
        with file.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                value = speller.spell(row["type"], row["value"], row["source"]).value
                key = (row["type"], value, row["purpose"])
                told = (datetime.fromisoformat(row["at"]), row["state"] == "denied")
                found[key] = max(found.get(key, told), told)
    return found


def _bodies(documents: DocumentStore) -> Iterator[Mapping[str, Any]]:
    cursor = None
    while True:
        page = documents.page(PROFILES, after=cursor, limit=1000)
        yield from (document.body for document in page.documents)
        cursor = page.cursor
        if cursor is None:
            return


def _values(held: Any) -> list[str]:
    return held if isinstance(held, list) else [] if held is None else [held]

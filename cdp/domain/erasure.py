"""Erasure: what is told of whom, and what stands for an identifier that is not held any more."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cdp.domain.identifiers import keyed

ERASURES: Final = "erasures"
"""The documents that tell of erasures; each holds the tombstones it left."""
_NOTHING: Final = r"\b\B"


@dataclass(frozen=True, slots=True)
class Held:
    """An identifier of who is to be erased.

    Args:
        value: as it is joined, a client by its key; None where only its number is known.
    """

    type: str
    value: str | None
    identifier_id: int | None = None
    profile_id: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is erased: every identifier of one person, and the profiles that bore them."""

    held: tuple[Held, ...]

    @property
    def subjects(self) -> list[str]:
        """`type|value` of each; a client by its key and by its bare id, as loaded rows have it."""
        found = []
        for type_, value in self._known():
            found.append(f"{type_}|{value}")
            if type_ == "client_id" and (bare := bare_client(value)) != value:
                found.append(f"{type_}|{bare}")
        return list(dict.fromkeys(found))

    @property
    def clients(self) -> list[str]:
        """The keys of the clients."""
        return [value for type_, value in self._known() if type_ == "client_id"]

    @property
    def users(self) -> list[str]:
        """The user ids."""
        return [value for type_, value in self._known() if type_ == "user_id"]

    @property
    def mentions(self) -> list[str]:
        """What tells of the person wherever it stands in a text: addresses and numbers."""
        return [value for type_, value in self._known() if type_ in {"email", "phone"}]

    @property
    def mentioned(self) -> str:
        """An expression (RE2) for a mention of them; where there is none, one for nothing."""
        return mentioned(self.mentions) or _NOTHING

    @property
    def ids(self) -> list[int]:
        """The numbers of the identifiers."""
        return sorted({one.identifier_id for one in self.held if one.identifier_id is not None})

    @property
    def profiles(self) -> list[str]:
        """The profile ids that they bear, or bore last."""
        return sorted({one.profile_id for one in self.held if one.profile_id is not None})

    def tombstones(self, key: str) -> list[str]:
        """Return what stands for them from now on; see `cdp.domain.identifiers.keyed`."""
        parted = [subject.partition("|") for subject in self.subjects]
        return sorted({keyed(key, type_, value) for type_, _, value in parted})

    def _known(self) -> Iterable[tuple[str, str]]:
        return ((one.type, one.value) for one in self.held if one.value is not None)


def mentioned(values: Iterable[str]) -> str:
    """Return an expression (RE2) for any of these addresses and numbers, also in a URL's spelling.

    In any case of letters; empty where there is none.
    """
    found = [_mention(value) for value in values if value]
    return f"(?i)(?:{'|'.join(found)})" if found else ""


def _mention(value: str) -> str:
    spelled = re.escape(value)
    for char in "@+":
        coded = f"%(?:25)*{ord(char):02x}"
        spelled = spelled.replace(re.escape(char), f"(?:{re.escape(char)}|{coded})")
    return spelled


def bare_client(value: str) -> str:
    """Return the client id that a client key ends in."""
    return value.rpartition("/")[2]


def is_erased(tombstones: frozenset[str], key: str, type_: str, value: str) -> bool:
    """Whether *value*, as it is joined, is of somebody who was erased."""
    return bool(tombstones) and keyed(key, type_, value) in tombstones

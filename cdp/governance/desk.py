"""What people tell the desk of their consent, as decisions, and what came of it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from cdp.domain.errors import CdpError
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.domain.policy import Policy
from cdp.domain.withdrawal import Denial
from cdp.profiles.decisions import Decisions
from cdp.profiles.port import DocumentStore, Write

SOURCE: Final = "admin"
STATES: Final = ("granted", "denied")
CHANNELS: Final = ("email", "phone", "letter", "desk")


@dataclass(frozen=True, slots=True)
class Identifier:
    """An identifier, as somebody told it or as it is joined; a client by its bare id."""

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class Decided:
    """What was written down, and the profiles that it changed at once."""

    ids: Sequence[str]
    state: str
    profiles: Sequence[str]

    def __str__(self) -> str:
        if self.state == "granted":
            return "The Yes is written down. It acts with the next refresh."
        if not self.profiles:
            return (
                "The No is written down. No stored profile holds anything that it closes; it holds "
                "from now on, also for what a running refresh brings."
            )
        count = len(self.profiles)
        where = "the stored profile" if count == 1 else f"{count} stored profiles"
        return f"The No is written down, and what it closes is gone from {where}."


class Desk:
    """Makes decisions, and acts on those that deny.

    Args:
        profiles_of, is_erased: see `Governance`.
    """

    def __init__(
        self,
        documents: DocumentStore,
        policy: Policy,
        profiles_of: Callable[[Identifier], Sequence[str]],
        is_erased: Callable[[Identifier], bool],
    ) -> None:
        self._decisions = Decisions(documents)
        self._policy = policy
        self._profiles_of = profiles_of
        self._is_erased = is_erased

    def decisions(
        self,
        identifiers: Sequence[Identifier],
        purpose: str,
        state: str,
        *,
        channel: str,
        at: str,
        **more: str,
    ) -> list[dict[str, Any]]:
        """Return the documents of decisions; they have no ids yet.

        Args:
            at: timestamp text.
            more: `by`, `reason`, `notice`.

        Raises:
            CdpError: what is not known, and what is; quotes no identifier.
        """
        _one_of("purpose", purpose, tuple(self._policy.purposes))
        _one_of("state", state, STATES)
        _one_of("channel", channel, CHANNELS)
        if not identifiers:
            raise CdpError("no identifier says otherwise; there is nothing to resolve")
        made = []
        for one in map(self._spelled, identifiers):
            body: dict[str, Any] = {
                "type": one.type,
                "value": one.value,
                "purpose": purpose,
                "state": state,
                "at": at,
                "source": SOURCE,
                "channel": channel,
                **more,
            }
            if state == "denied":
                body["denial"] = self._denial(one, purpose, at).body
            made.append(body)
        return made

    def _spelled(self, told: Identifier) -> Identifier:
        _one_of("type of identifier", told.type, IDENTIFIER_TYPES)
        found = self._policy.speller().spell(told.type, told.value, SOURCE)
        if found.problem:
            raise CdpError(f"{told.type}: {found.problem}; write it as the person has it")
        spelled = replace(told, value=found.value)
        if self._is_erased(spelled):
            raise CdpError(
                "who has this identifier was erased: nothing is held of them and nothing comes "
                "back, so there is no consent to write down"
            )
        return spelled

    def _denial(self, one: Identifier, purpose: str, at: str) -> Denial:
        denial = Denial.under(self._policy, one.type, one.value, purpose, at=at, source=SOURCE)
        # A warehouse that does not answer holds no withdrawal up: documents are found without it.
        with suppress(CdpError):
            return replace(denial, profiles=tuple(self._profiles_of(one)))
        return denial

    def added(self, made: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[Write]]:
        """Return ids for them, and the writes that add them."""
        return self._decisions.added(made, at=made[0]["at"])

    def acted(self, ids: Sequence[str], made: Sequence[Mapping[str, Any]]) -> Decided:
        """Act on those that deny, once they are kept, and tell what came of it."""
        changed = [
            profile_id
            for body in made
            if "denial" in body
            for profile_id in self._decisions.withdraw(Denial.of(body["denial"]))
        ]
        return Decided(ids, made[0]["state"], list(dict.fromkeys(changed)))


def _one_of(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise CdpError(f"there is no such {what}; take one of {', '.join(known)}")

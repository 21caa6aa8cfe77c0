"""An execution as it goes: its phases from the trace, its end in words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cdp.domain.policy import Policy
from cdp.executions.port import Executions, Step

PHASES: Final[Mapping[str, str]] = {
    "plan": "Plan the days",
    "clean": "Clean events",
    "link": "Link identifiers",
    "stitch": "Stitch clusters",
    "name": "Name profiles",
    "consent": "Resolve consent",
    "payload": "Build payloads",
    "diff": "Find changes",
    "export": "Export shards",
    "deliver": "Deliver shards",
    "settle": "Settle the run",
}
"""Steps of the workflow's `refresh`, in order, with what a person reads."""

# Entries that bear the name of the step around them. Their parents do not tell them apart: Google
# documents a parent only as what is reached by stepping out, which may be the routine's caller.
_PARTS: Final = frozenset(
    {
        "STEP_CONDITION",
        "STEP_FOR_ITERATION",
        "STEP_PARALLEL_BRANCH_ENTRY",
        "STEP_TRY",
        "STEP_RETRY",
        "STEP_EXCEPT",
    }
)


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase that began; `seconds` is None while it runs."""

    name: str
    state: str
    seconds: float | None
    started_at: datetime
    exception: str | None = None


class Follower:
    """Reads an execution's trace again and again, each entry once.

    Args:
        phases_only: read no more than phases are told from; a trace may have 100,000 entries.
    """

    def __init__(self, executions: Executions, id: str, *, phases_only: bool = False) -> None:
        self._routine = "refresh" if phases_only else None
        self._executions = executions
        self._id = id
        self._revision = 0
        self._steps: dict[int, Step] = {}

    def news(self) -> Iterator[Step]:
        """Yield entries that began or changed since the last call."""
        for step in self._executions.steps(self._id, after=self._revision, routine=self._routine):
            self._revision = max(self._revision, step.revision)
            if self._steps.get(step.id) != step:
                self._steps[step.id] = step
                yield step

    def phases(self) -> list[Phase]:
        """Return the phases that began so far, in order."""
        found = []
        for step in sorted(self._steps.values(), key=lambda step: step.id):
            if step.routine == "refresh" and step.step in PHASES and step.type not in _PARTS:
                seconds = (
                    (step.ended_at - step.started_at).total_seconds() if step.ended_at else None
                )
                found.append(Phase(step.step, step.state, seconds, step.started_at, step.exception))
        return found


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed, why, and what to do; `phase` is None where nobody knows which it was."""

    phase: str | None
    why: str
    fix: str

    def __str__(self) -> str:
        where = f" in step “{PHASES[self.phase]}”" if self.phase else ""
        return f"failed{where}: {self.why}; {self.fix}"


# Of errors that name no fix themselves: what tells them, why in words, and the fix.
_REASONS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), why, fix)
    for pattern, why, fix in (
        (
            r"no space left|disk is full|disk full",
            "the disk is full",
            "free some space, then refresh again",
        ),
        (
            r"out of memory|MemoryError|MemoryLimitExceeded",
            "the memory does not suffice",
            "give it more, then refresh again",
        ),
        (
            r"TimeoutError|timed out|\(code 504\)",
            "a service did not answer in time",
            "refresh again",
        ),
        (
            r"Connection(Failed)?Error",
            "a service could not be reached",
            "refresh again in some minutes",
        ),
        (
            r"\(code 40[13]\)",
            "Google refuses access: {}",
            "deploy again, which grants each account its roles",
        ),
        (
            r"permission denied|read-?only|unable to open database",
            "a file of the data cannot be read or written",
            "`cdp doctor` names it",
        ),
        (
            r"\(code 429\)|quota exceeded|exceeded rate limits",
            "a quota of Google Cloud is used up",
            "wait some minutes, then refresh again",
        ),
        (r"\(code 5\d\d\)", "a service failed", "refresh again in some minutes"),
    )
)
_INTERNAL: Final = re.compile(
    r" — in: .*"  # the statement
    r"|\s*\((?:code \d+|in step '[^']*' of workflow '[^']*')\)"
    r"|^UnhandledBranchError: [^:]*: "
    r"|\n.*",
    re.DOTALL,
)
_KIND: Final = re.compile(r"^[\w.]*( \w+)* ?(Error|Exception): ")
_PREFIX: Final = re.compile(r"^/[^:;(]*: ")  # the folder that it is about
_PLACE: Final = re.compile(r"(?:(?<=[\s'\"(])|^)(?:\w+:/)?/[^\s'\"();,]*/(?=[^\s'\"();,/])")


def why_failed(error: str | None, began: Sequence[Phase] = ()) -> Failure:
    """Turn an execution's error into words; statements, codes and folders stay in the trace.

    Args:
        began: the phases that the run began, where they are known.
    """
    phase = next((phase.name for phase in began if phase.state == "STATE_FAILED"), None)
    if not error:
        return Failure(phase, "nothing was told of why", "refresh again")
    said = _PLACE.sub("", _PREFIX.sub("", _INTERNAL.sub("", error)))
    why, _, fix = said.partition("; ")
    if fix and not _KIND.match(said):
        return Failure(phase, why, fix)
    said = _KIND.sub("", said)
    for pattern, words, fix in _REASONS:
        if pattern.search(error):
            return Failure(phase, words.format(said), fix)
    return Failure(phase, said, "refresh again; if it fails again, the steps of the run tell more")


def why_stale(outcome: Mapping[str, Any]) -> str | None:
    """Say in words that another writes to the profiles, and what to do; None where nobody does."""
    stale = int(outcome.get("stale") or 0)
    if outcome.get("state") != "partial" or not stale:
        return None
    return (
        f"{stale:,} {'row' if stale == 1 else 'rows'} met a profile with a seq that no run of this "
        "platform had: another platform, or one with a copy of this store, writes to the same "
        "profiles. Give it a document store of its own. Then remove `sync` from the profiles that "
        "are listed among the rejected rows, and refresh again"
    )


def why_no_profiles(totals: Mapping[str, Any], policy: Policy) -> str | None:
    """Say in words why consent left no profile, and what to do; None where it left some."""
    if totals.get("profiles") or not totals.get("events"):
        return None
    purpose = policy.linking.purpose
    unknown, denied, events = (
        int(totals[name]) for name in ("unknown_events", "denied_events", "events")
    )
    if unknown and policy.purposes[purpose].unknown == "denied":
        return (
            f"No profiles: {unknown:,} of {events:,} events say nothing of {purpose} consent, and "
            f"the policy counts silence as denied (purposes.{purpose}.unknown). If the site has no "
            "consent mode and loads Google's tag only after consent, use "
            "CDP_POLICY=docs/examples/no-consent-mode.toml."
        )
    return f"No profiles: {denied:,} of {events:,} events were sent without {purpose} consent."

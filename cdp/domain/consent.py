"""No is cheap, Yes is earned: what somebody's statements of consent amount to.

The rule as it is read; the warehouse computes the same of everybody at once (`15_word`,
`50_consent`, `51_value`), and one property test drives both. Of a purpose:

1. A statement binds the identifier it was made for. The newest wins, at one instant the denial.
   An explicit denial is opened by a newer explicit grant only; any newer denial closes.
2. Scope `person`: denied where any identifier denies, unless a newer explicit Yes on the person's
   user id stands; else granted where one grants.
3. Scope `value`: an address or number is granted where it does not deny itself and the newest word
   about it is Yes: its own, the explicit ones on the user id, any No of user ids and devices.
4. A grant that has lapsed counts as unknown.

Source: GDPR Art. 4(11), 7(3); ePrivacy Directive Art. 13 for the scope `value`.
"""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal

State = Literal["granted", "denied", "unknown"]
Scope = Literal["person", "value"]
VALUES: Final = ("email", "phone")
"""Types of identifier that a purpose of scope `value` is resolved for, one by one."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What somebody said of one purpose, for one identifier; `at` is aware."""

    type: str
    value: str
    state: Literal["granted", "denied"]
    at: datetime
    source: str
    explicit: bool  # the person's own decision, by the policy's list of sources


@dataclass(frozen=True, slots=True)
class Word:
    """What statements amount to.

    Attributes:
        since: when the state in force began.
        source, explicit: of the newest explicit statement that tells the state in force, else of
            the newest at all.
        at: the newest statement that tells the state in force.
        denied_at: the newest denial, whatever came after.
        yes_at: the newest explicit grant of the state in force, while it stands.
        asked_at: the newest explicit grant, whatever came after.
    """

    state: State
    since: datetime
    source: str
    explicit: bool
    at: datetime
    denied_at: datetime | None = None
    yes_at: datetime | None = None
    asked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """The state in force, since when and by which source; neither where nothing was said."""

    state: State
    since: datetime | None = None
    source: str | None = None


_SILENCE: Final = Resolved("unknown")


def lapses_at(at: datetime, months: int | None) -> datetime | None:
    """Return when a grant of *at* lapses: on the same day of the month, or its last one."""
    if months is None:
        return None
    years, month = divmod(at.month - 1 + months, 12)
    year, month = at.year + years, month + 1
    return at.replace(year=year, month=month, day=min(at.day, monthrange(year, month)[1]))


def word(statements: Iterable[Statement], now: datetime, months: int | None) -> Word | None:
    """Return what *statements* about one identifier and purpose amount to; None: they say nothing.

    Args:
        months: after which a grant lapses; None for never.
    """
    found: Word | None = None
    locked = False  # an explicit denial that no explicit grant has opened
    for told in sorted((s for s in statements if s.state == "denied" or s.at <= now), key=_order):
        if told.explicit:
            locked = told.state == "denied"
        elif locked and told.state == "granted":
            continue
        found = _after(found, told, months)
    if found is None or found.state == "denied":
        return found
    yes_at = found.yes_at
    if yes_at is not None and _lapsed(yes_at, months, now):
        yes_at = None
    end = lapses_at(found.at, months)
    if end is not None and end <= now:
        return replace(found, state="unknown", since=end, yes_at=None)
    return replace(found, yes_at=yes_at)


def _order(told: Statement) -> tuple[datetime, bool, bool, str]:
    """Order statements so that the last one stands: at one instant the denial."""
    return told.at, told.state == "denied", told.explicit, told.source


def _after(before: Word | None, told: Statement, months: int | None) -> Word:
    """Return what stands when *told*, which nothing holds off, is said after *before*."""
    denied = told.state == "denied"
    goes_on = (
        before is not None
        and before.state == told.state
        and (denied or not _lapsed(before.at, months, told.at))
    )
    yes_at = before.yes_at if before and goes_on else None
    asked_at = before.asked_at if before else None
    if told.explicit and not denied:
        yes_at = asked_at = told.at
    # Of a state that goes on, the person's own decision is the one to name.
    by = before if before and goes_on and before.explicit and not told.explicit else told
    return Word(
        state=told.state,
        since=before.since if before and goes_on else told.at,
        source=by.source,
        explicit=by.explicit,
        at=told.at,
        denied_at=told.at if denied else before.denied_at if before else None,
        yes_at=yes_at,
        asked_at=asked_at,
    )


def _lapsed(at: datetime, months: int | None, by: datetime) -> bool:
    end = lapses_at(at, months)
    return end is not None and end <= by


def answered_again(denied: Iterable[datetime], firsts: Iterable[datetime]) -> list[datetime]:
    """Return when a banner's Yes opens what denied rows without a client closed for a user id.

    Args:
        denied: of those rows.
        firsts: when clients that were seen with the user id spoke for the first time, with a Yes:
            a client that had spoken before says nothing new.
    """
    began = min(denied, default=None)
    return sorted(first for first in firsts if began is not None and first > began)


def closes(told: Word | None, type_: str, standing: datetime | None) -> bool:
    """Whether an identifier's No binds the person, and keeps the identifier out of the graph.

    Args:
        standing: the newest explicit Yes that stands on a user id of the person: only that sets a
            No aside, and never the No of a user id itself.
    """
    if told is None or told.state != "denied" or told.denied_at is None:
        return False
    set_aside = type_ != "user_id" and standing is not None and standing > told.denied_at
    return not set_aside


def of_person(
    words: Sequence[tuple[str, Word]], bound: Sequence[tuple[str, Word]] = ()
) -> Resolved:
    """Return the state of a purpose of scope `person`.

    Args:
        words: of the person's identifiers, each with its type.
        bound: of identifiers that would be the person's if they did not deny being joined: their
            No counts, nothing else.
    """
    users = [told for type_, told in words if type_ == "user_id"]
    standing = max((told.yes_at for told in users if told.yes_at), default=None)
    denying = [one for one in [*words, *bound] if closes(one[1], one[0], standing)]
    if denying:
        source = max((told for _, told in denying), key=_newest).source
        return Resolved(
            "denied", min(_begun(told, type_, users) for type_, told in denying), source
        )
    granting = [told for _, told in words if told.state == "granted"]
    if not granting:
        return _SILENCE
    # Since the first grant that stands, and not before the last denial ended.
    ended = [told.since for told in granting if told.denied_at]
    if standing and any(told.state == "denied" for _, told in [*words, *bound]):
        ended.append(standing)
    since = max(min(told.since for told in granting), *ended) if ended else None
    return Resolved(
        "granted",
        since or min(told.since for told in granting),
        max(granting, key=_newest).source,
    )


def _newest(told: Word) -> tuple[datetime, bool, str]:
    return told.at, told.explicit, told.source


def _begun(told: Word, type_: str, users: Sequence[Word]) -> datetime:
    """Return since when a No binds: a Yes on a user id may have set it aside for a while."""
    asked = max((user.asked_at for user in users if user.asked_at), default=None)
    if type_ == "user_id" or asked is None or asked <= told.since or told.denied_at is None:
        return told.since
    lost = [user.since for user in users if user.asked_at and not user.yes_at]
    return max(asked, told.denied_at, *lost)


def of_value(
    own: Sequence[Statement],
    person: Iterable[Statement],
    now: datetime,
    months: int | None,
) -> Resolved:
    """Return the state of one address or number, for a purpose of scope `value`.

    Args:
        own: statements about it.
        person: statements of the person's user ids and devices; of those bound, what they deny.
    """
    mine = word(own, now, months)
    newest = word([*own, *_heard(person)], now, months)
    if newest is None:
        return _SILENCE
    if mine is None or mine.state != "denied":
        return Resolved(newest.state, newest.since, newest.source)
    since = min(mine.since, newest.since) if newest.state == "denied" else mine.since
    return Resolved("denied", since, mine.source)


def _heard(person: Iterable[Statement]) -> list[Statement]:
    """Return what counts for every address: each No, and the explicit Yes of who signed in."""
    return [
        told
        for told in person
        if told.state == "denied" or (told.explicit and told.type == "user_id")
    ]


def of_values(
    values: Sequence[Resolved],
    person: Iterable[Statement],
    now: datetime,
    months: int | None,
    *,
    silence: Literal["granted", "denied"],
) -> Resolved:
    """Return what a profile says of a purpose of scope `value`: the best that one of them has.

    Args:
        values: of each of the person's addresses and numbers.
        person: see `of_value`; they decide where there is no address.
        silence: what unknown means, by the policy.
    """
    if not values:
        told = word(_heard(person), now, months)
        return Resolved(told.state, told.since, told.source) if told else _SILENCE
    best = ("granted", "unknown", "denied") if silence == "granted" else ("granted", "denied")
    for state in best:
        if found := [one for one in values if one.state == state]:
            return min(
                found, key=lambda one: (one.since is None, one.since or now, one.source or "")
            )
    return _SILENCE


def of_pair(told: Iterable[tuple[datetime, State]]) -> State:
    """Return the consent to join a pair that one source tells: the newest, at a tie the denial.

    Silence says nothing: `unknown` stands only where nothing else was told.
    """
    newest: tuple[datetime, bool] | None = None
    for at, state in told:
        if state != "unknown":
            newest = max(newest, (at, state == "denied")) if newest else (at, state == "denied")
    if newest is None:
        return "unknown"
    return "denied" if newest[1] else "granted"

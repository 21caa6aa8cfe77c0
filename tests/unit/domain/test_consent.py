"""No is cheap, Yes is earned: the rule, beside the same rule written slowly and in other words."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.consent import (
    Resolved,
    Statement,
    Word,
    answered_again,
    closes,
    lapses_at,
    of_pair,
    of_person,
    of_value,
    of_values,
    word,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100)
SOURCES = {"ga4": False, "cmp": False, "support": True, "desk": True}
MONTHS = st.sampled_from([None, 1, 3])


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def said(state: Any, at: float, source: str = "ga4", of: str = "client_id") -> Statement:
    return Statement(of, "x", state, day(at), source, SOURCES[source])


STATEMENTS = st.lists(
    st.builds(
        said,
        st.sampled_from(["granted", "denied"]),
        st.integers(0, 102),
        st.sampled_from(list(SOURCES)),
    ),
    max_size=7,
)
PEOPLE = st.lists(
    st.tuples(st.sampled_from(["user_id", "client_id", "email"]), STATEMENTS), max_size=4
)


# --- one identifier -------------------------------------------------------------------------------


def state_by_the_book(told: Sequence[Statement], now: datetime, months: int | None) -> str:
    """Return the state: a grant stands that no denial followed and that was free to open."""
    known = [one for one in told if one.state == "denied" or one.at <= now]
    denials = [one for one in known if one.state == "denied"]
    grants = [one for one in known if one.state == "granted"]

    def free(grant: Statement) -> bool:
        explicit_no = [one for one in denials if one.explicit and one.at <= grant.at]
        return grant.explicit or all(
            any(yes.explicit and no.at < yes.at <= grant.at for yes in grants) for no in explicit_no
        )

    last = [one for one in grants if free(one) and all(no.at < one.at for no in denials)]
    if not last:
        return "denied" if denials else "unknown"
    end = lapses_at(max(one.at for one in last), months)
    return "unknown" if end is not None and end <= now else "granted"


@given(told=STATEMENTS, months=MONTHS)
def test_an_identifiers_word_is_the_books(told: list[Statement], months: int | None) -> None:
    found = word(told, NOW, months)
    assert (found.state if found else "unknown") == state_by_the_book(told, NOW, months)


@given(told=STATEMENTS, months=MONTHS)
def test_a_state_is_in_force_since_it_began(told: list[Statement], months: int | None) -> None:
    found = word(told, NOW, months)
    if found is None or found.since > NOW:
        return
    moments = sorted({found.since, NOW, *(one.at for one in told if found.since < one.at <= NOW)})
    known = [one for one in told if one.at <= NOW]
    for moment in moments:
        assert (
            state_by_the_book([s for s in known if s.at <= moment], moment, months) == found.state
        )
    instant = timedelta(microseconds=1)
    before = found.since - instant
    assert state_by_the_book([s for s in known if s.at <= before], before, months) != found.state


@given(
    told=st.lists(
        st.builds(
            said,
            st.sampled_from(["granted", "denied"]),
            st.integers(0, 9),
            st.sampled_from(list(SOURCES)),
        ),
        max_size=4,
    ),
    months=MONTHS,
)
def test_no_order_of_loading_matters(told: list[Statement], months: int | None) -> None:
    assert len({word(order, NOW, months) for order in permutations(told)}) == 1


@given(
    told=STATEMENTS,
    no=st.builds(said, st.just("denied"), st.integers(0, 102), st.sampled_from(list(SOURCES))),
    months=MONTHS,
)
def test_a_denial_more_never_grants(
    told: list[Statement], no: Statement, months: int | None
) -> None:
    before, after = word(told, NOW, months), word([*told, no], NOW, months)
    assert after is not None
    if after.state == "granted":
        assert before is not None
        assert before.state == "granted"


@pytest.mark.parametrize(
    ("told", "state", "since"),
    [
        ([("granted", 1)], "granted", 1),
        ([("granted", 1), ("granted", 5)], "granted", 1),  # a Yes again is not a new one
        ([("granted", 1), ("denied", 1)], "denied", 1),
        ([("denied", 1), ("granted", 2)], "granted", 2),
        ([("granted", 1, "support"), ("denied", 2)], "denied", 2),  # any newer No closes
        ([("denied", 1, "support"), ("granted", 2)], "denied", 1),
        ([("denied", 1, "support"), ("granted", 2), ("granted", 3, "desk")], "granted", 3),
        (
            [("denied", 1, "support"), ("granted", 2, "desk"), ("denied", 3), ("granted", 4)],
            "granted",
            4,
        ),
        ([("granted", 101)], "unknown", None),  # a grant of tomorrow opens nothing today
        ([("granted", 1), ("denied", 101)], "denied", 101),
    ],
)
def test_the_newest_word_stands_and_an_explicit_no_needs_an_explicit_yes(
    told: list[tuple[Any, ...]], state: str, since: float | None
) -> None:
    found = word([said(*one) for one in told], NOW, None)
    assert (found.state if found else "unknown", found.since if found else None) == (
        state,
        day(since) if since is not None else None,
    )


def test_a_grant_lapses_on_the_same_day_of_the_month_or_its_last() -> None:
    assert lapses_at(datetime(2026, 1, 31, tzinfo=UTC), 1) == datetime(2026, 2, 28, tzinfo=UTC)
    assert lapses_at(datetime(2025, 12, 31, tzinfo=UTC), 13) == datetime(2027, 1, 31, tzinfo=UTC)
    found = word([said("granted", 1)], day(32), 1)
    assert (found and found.state, found and found.since) == ("unknown", day(32))
    assert getattr(word([said("granted", 1)], day(31.9), 1), "state", None) == "granted"


# --- a person -------------------------------------------------------------------------------------


def words(
    people: Sequence[tuple[str, list[Statement]]], months: int | None
) -> list[tuple[str, Word]]:
    return [(kind, told) for kind, s in people if (told := word(s, NOW, months)) is not None]


def person_by_the_book(
    members: Sequence[tuple[str, list[Statement]]],
    bound: Sequence[tuple[str, list[Statement]]],
    months: int | None,
) -> str:
    yeses = []
    for kind, told in members:
        last_no = max((s.at for s in told if s.state == "denied"), default=None)
        for one in told:
            stands = one.state == "granted" and one.explicit and one.at <= NOW
            stands = stands and (last_no is None or last_no < one.at)
            end = lapses_at(one.at, months)
            if kind == "user_id" and stands and (end is None or end > NOW):
                yeses.append(one.at)
    for kind, told in [*members, *bound]:
        if state_by_the_book(told, NOW, months) != "denied":
            continue
        last_no = max(s.at for s in told if s.state == "denied")
        if kind == "user_id" or not any(yes > last_no for yes in yeses):
            return "denied"
    grants = any(state_by_the_book(told, NOW, months) == "granted" for _, told in members)
    return "granted" if grants else "unknown"


@given(members=PEOPLE, bound=PEOPLE, months=MONTHS)
def test_a_person_is_denied_where_a_no_binds_them(
    members: list[Any], bound: list[Any], months: int | None
) -> None:
    found = of_person(words(members, months), words(bound, months))
    assert found.state == person_by_the_book(members, bound, months)
    assert (found.since is None) == (found.source is None) == (found.state == "unknown")


@given(
    members=PEOPLE,
    bound=PEOPLE,
    months=MONTHS,
    which=st.integers(0, 3),
    no=st.builds(said, st.just("denied"), st.integers(0, 102), st.sampled_from(list(SOURCES))),
)
def test_a_denial_more_grants_no_person(
    members: list[Any], bound: list[Any], months: int | None, which: int, no: Statement
) -> None:
    before = of_person(words(members, months), words(bound, months))
    every = [*members, *bound]
    if not every:
        return
    at = which % len(every)
    every[at] = (every[at][0], [*every[at][1], no])
    after = of_person(words(every[: len(members)], months), words(every[len(members) :], months))
    assert after.state != "granted" or before.state == "granted"


def told(*statements: tuple[Any, ...]) -> Word:
    found = word([said(*one) for one in statements], NOW, None)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("members", "state", "since"),
    [
        ([("client_id", ("granted", 1)), ("client_id", ("granted", 5))], "granted", 1),
        ([("client_id", ("denied", 1)), ("client_id", ("granted", 5))], "denied", 1),
        # A Yes of another identifier overrules nobody's No; only the person's own, newer one does.
        ([("client_id", ("denied", 1)), ("email", ("granted", 5, "desk"))], "denied", 1),
        ([("client_id", ("denied", 1)), ("user_id", ("granted", 5))], "denied", 1),
        ([("client_id", ("denied", 1)), ("user_id", ("granted", 5, "desk"))], "granted", 5),
        ([("client_id", ("denied", 5)), ("user_id", ("granted", 1, "desk"))], "denied", 5),
        ([("client_id", ("denied", 5)), ("user_id", ("granted", 5, "desk"))], "denied", 5),
        # While it stands: a newer No on the user id ends it.
        (
            [("client_id", ("denied", 1)), ("user_id", ("granted", 5, "desk"), ("denied", 7))],
            "denied",
            7,
        ),
        # Of two people in one profile neither speaks for the other.
        ([("user_id", ("denied", 1)), ("user_id", ("granted", 5, "desk"))], "denied", 1),
        (
            [("client_id", ("denied", 1), ("granted", 4)), ("client_id", ("granted", 2))],
            "granted",
            4,
        ),
        (
            [
                ("client_id", ("denied", 1), ("denied", 9, "cmp")),
                ("user_id", ("granted", 5, "desk")),
            ],
            "denied",
            9,
        ),
        ([], "unknown", None),
    ],
)
def test_only_a_newer_explicit_yes_on_the_user_id_sets_a_no_aside(
    members: list[Any], state: str, since: float | None
) -> None:
    found = of_person([(kind, told(*statements)) for kind, *statements in members])
    assert (found.state, found.since) == (state, None if since is None else day(since))


def test_a_no_that_keeps_an_identifier_out_of_the_graph_still_binds_its_person() -> None:
    yes, no = ("user_id", told(("granted", 1))), ("client_id", told(("denied", 2)))
    assert of_person([yes], [no]) == Resolved("denied", day(2), "ga4")
    assert of_person([], [("client_id", told(("granted", 1)))]).state == "unknown"


def test_an_identifier_is_kept_out_while_its_no_is_not_set_aside() -> None:
    no = told(("denied", 2))
    assert closes(no, "client_id", None)
    assert closes(no, "client_id", day(2))
    assert not closes(no, "client_id", day(3))
    assert closes(no, "user_id", day(3))
    assert not closes(told(("granted", 2)), "client_id", None)
    assert not closes(None, "client_id", None)


# --- one address ----------------------------------------------------------------------------------


def value_by_the_book(own: Any, person: Any, months: int | None) -> str:
    counted = [s for s in person if s.state == "denied"]
    counted += [s for s in person if s.state == "granted" and s.explicit and s.type == "user_id"]
    alone = state_by_the_book(own, NOW, months)
    return "denied" if alone == "denied" else state_by_the_book([*own, *counted], NOW, months)


PERSON = st.lists(
    st.builds(
        said,
        st.sampled_from(["granted", "denied"]),
        st.integers(0, 102),
        st.sampled_from(list(SOURCES)),
        st.sampled_from(["user_id", "client_id"]),
    ),
    max_size=5,
)


@given(own=STATEMENTS, person=PERSON, months=MONTHS)
def test_an_address_is_granted_where_the_newest_word_about_it_is_yes(
    own: list[Statement], person: list[Statement], months: int | None
) -> None:
    assert of_value(own, person, NOW, months).state == value_by_the_book(own, person, months)


@given(
    own=STATEMENTS,
    person=PERSON,
    months=MONTHS,
    no=st.builds(
        said,
        st.just("denied"),
        st.integers(0, 102),
        st.sampled_from(list(SOURCES)),
        st.sampled_from(["user_id", "client_id"]),
    ),
    mine=st.booleans(),
)
def test_a_denial_more_delivers_no_address(
    own: list[Statement], person: list[Statement], months: int | None, no: Statement, mine: bool
) -> None:
    before = of_value(own, person, NOW, months)
    more = ([*own, no], person) if mine else (own, [*person, no])
    assert of_value(*more, NOW, months).state != "granted" or before.state == "granted"


USER = "user_id"


@pytest.mark.parametrize(
    ("own", "person", "state"),
    [
        ([("granted", 1, "cmp")], [], "granted"),
        ([], [], "unknown"),
        # A signed-in No closes every address, and a later import of the CRM opens none.
        ([("granted", 1, "cmp")], [("denied", 2, "desk", USER)], "denied"),
        ([("granted", 3, "cmp")], [("denied", 2, "desk", USER)], "denied"),
        ([("granted", 3, "desk")], [("denied", 2, "desk", USER)], "granted"),
        # A signed-in Yes opens what the person never refused itself.
        ([], [("granted", 2, "desk", USER)], "granted"),
        ([("denied", 1, "cmp")], [("granted", 2, "desk", USER)], "denied"),
        ([("denied", 1, "cmp"), ("granted", 3, "cmp")], [], "granted"),
        # Whatever a device or an import of the user id grants opens nothing.
        ([], [("granted", 2, "cmp", USER)], "unknown"),
        ([], [("granted", 2, "desk", "client_id")], "unknown"),
        ([("granted", 1, "cmp")], [("denied", 2, "ga4", "client_id")], "denied"),
        ([("granted", 3, "cmp")], [("denied", 2, "ga4", "client_id")], "granted"),
        ([("granted", 3, "cmp")], [("denied", 3, "ga4", "client_id")], "denied"),
    ],
)
def test_what_counts_for_an_address(own: list[Any], person: list[Any], state: str) -> None:
    found = of_value([said(*s) for s in own], [said(*s) for s in person], NOW, None)
    assert found.state == state


def test_a_profile_says_the_best_that_one_of_its_addresses_has() -> None:
    yes, no, silent = (
        Resolved("granted", day(1), "cmp"),
        Resolved("denied", day(2), "cmp"),
        Resolved("unknown"),
    )
    person = [said("denied", 3, "desk", USER)]

    def says(*values: Resolved, silence: Any = "denied") -> Resolved:
        return of_values(values, person, NOW, None, silence=silence)

    assert says(no, yes, silent) == yes
    assert says(no, silent) == no
    assert says(no, silent, silence="granted") == silent
    assert says(silent) == silent
    assert says() == Resolved("denied", day(3), "desk")
    assert of_values([], [], NOW, None, silence="denied") == Resolved("unknown")


# --- pairs, and rows without a client -------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.integers(0, 9).map(day), st.sampled_from(["granted", "denied", "unknown"]))
    )
)
def test_the_newest_consent_of_a_pair_decides_and_silence_says_nothing(told: list[Any]) -> None:
    loud = sorted((at, state == "denied") for at, state in told if state != "unknown")
    wanted = "unknown" if not loud else "denied" if loud[-1][1] else "granted"
    assert of_pair(told) == wanted


def test_only_a_client_that_had_not_spoken_before_answers_the_banner_again() -> None:
    assert answered_again([day(2), day(5)], [day(1), day(2), day(3), day(7)]) == [day(3), day(7)]
    assert answered_again([], [day(1)]) == []

"""What somebody is called whose identifiers are not shown."""

import hashlib
import re

import pytest

from cdp.domain.pseudonym import pseudonym


def ids(count: int) -> list[str]:
    return [f"p_{hashlib.sha256(str(n).encode()).hexdigest()[:16]}" for n in range(count)]


def test_a_pseudonym_is_the_same_for_ever() -> None:
    """It stands in people's notes: another list of words would rename everybody."""
    told = [pseudonym(profile_id) for profile_id in ("p_1", "p_2", "crm-1")]
    assert told == ["Harvest Kingfisher 46", "Sure Spruce 54", "Calm Cape 84"]


@pytest.mark.parametrize("profile_id", ["", "crm-1", "\0", "x" * 3000, "ana@example.com", "\u4eba"])
def test_whatever_the_id_it_is_two_words_and_a_number_of_two_digits(profile_id: str) -> None:
    assert re.fullmatch(r"[A-Z][a-z]{2,11} [A-Z][a-z]{2,11} [1-9][0-9]", pseudonym(profile_id))


def test_of_a_list_of_fifty_hardly_ever_two_are_called_alike() -> None:
    people = [pseudonym(profile_id) for profile_id in ids(50_000)]
    lists = [people[n : n + 50] for n in range(0, len(people), 50)]
    assert sum(len(set(of)) < 50 for of in lists) <= 3


def test_ids_that_are_alike_are_not_called_alike() -> None:
    first, second = pseudonym("p_00000001"), pseudonym("p_00000002")
    assert first.split()[:2] != second.split()[:2]

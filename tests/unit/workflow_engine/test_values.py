import pytest

from cdp.workflow_engine.errors import Raised
from cdp.workflow_engine.values import own, same, size_of, with_item


@pytest.mark.parametrize(
    ("value", "size"),
    [(1, 8), (True, 8), ("a" * 28, 36), ("é", 10), (b"ab", 10), ([1, "a"], 25), ({"k": [1]}, 33)],
)
def test_memory_is_counted_as_documented(value, size):
    assert size_of(value) == size


def test_replacing_an_item_leaves_the_old_value_as_it_was():
    old = {"a": [{"b": 1}], "c": {"d": 2}}
    new = with_item(old, ["a", 0, "b"], 9)
    assert old == {"a": [{"b": 1}], "c": {"d": 2}}
    assert new == {"a": [{"b": 9}], "c": {"d": 2}}
    assert new["c"] is old["c"]


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        (["x", "y"], "KeyError"),
        (["l", 5], "IndexError"),
        (["l", "a"], "TypeError"),
        ([1], "TypeError"),
    ],
)
def test_only_the_last_key_of_a_path_may_be_new(path, tag):
    with pytest.raises(Raised) as caught:
        with_item({"l": [1]}, path, 0)
    assert caught.value.value["tags"] == [tag]


@pytest.mark.parametrize("value", [{1, 2}, {"a": object()}, {1: 2}, float("nan"), 2**63])
def test_what_is_not_json_is_refused(value):
    with pytest.raises(Raised):
        own(value, "it")


def test_equality_is_deep_and_a_boolean_is_no_number():
    assert same({"a": [1, {"b": None}]}, {"a": [1.0, {"b": None}]})
    assert not same({"a": 1}, {"a": True})
    assert not same([1], [1, 2])

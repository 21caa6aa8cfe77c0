import pytest

from cdp.workflow_engine import WorkflowError
from cdp.workflow_engine.source import read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"),
        ("no", "no"),
        ("12:30", "12:30"),
        ("010", 10),
        ("2030-01-31", "2030-01-31"),
        ("201201h", "201201h"),
        ("1e3", 1000.0),
        ("-1.5", -1.5),
        ("TRUE", True),
        ("~", None),
        ("'1'", "1"),
        ("{1: 10, a: [null]}", {"1": 10, "a": [None]}),
        ('{"a": {"b": [1, 2.0, "c"]}}', {"a": {"b": [1, 2.0, "c"]}}),
        ("a: [${x}, ${y.z}, 'w']", {"a": ["${x}", "${y.z}", "w"]}),
        ("", None),
    ],
)
def test_only_the_types_of_json_come_out_of_yaml(text, expected):
    found = read(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [", "line 2: not valid YAML"),
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is there twice"),
        ("a: &x [1]\nb: *x", "line 1: YAML aliases are not supported"),
        ("a: 9223372036854775808", "line 1: 9223372036854775808 is not a 64-bit integer"),
        ("? [a]\n: 1", "line 1: a key must be a string"),
        ("a: \x01", "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text, message):
    with pytest.raises(WorkflowError, match=message):
        read(text)

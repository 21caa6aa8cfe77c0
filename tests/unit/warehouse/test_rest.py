"""Parameters keep value and type on their way through the REST API's shape."""

import json
import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.warehouse.dialect import parameter_types
from cdp.warehouse.rest import parameter_values, query_parameter

INT64 = st.integers(-(2**63), 2**63 - 1)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda m: timezone(timedelta(minutes=m)))
# Not the first and last year: no time leaves the calendar when it is told in UTC.
TIMES = st.datetimes(timezones=ZONES).filter(lambda time: 1 < time.year < 9999)
KINDS = [st.booleans(), INT64, st.floats(allow_nan=False), st.text(), st.dates(), TIMES]
VALUES = st.one_of([*KINDS, *(st.lists(kind, max_size=4) for kind in KINDS)])


@given(st.dictionaries(st.text(min_size=1), VALUES, max_size=4))
def test_parameters_come_back_as_they_were(values):
    parameters = [query_parameter(name, value) for name, value in values.items()]
    back = parameter_values(json.loads(json.dumps(parameters)))
    assert back == values
    assert parameter_types(back) == parameter_types(values)


@given(TIMES)
def test_a_time_is_told_in_utc(time):
    text = query_parameter("at", time)["parameterValue"]["value"]
    assert text.endswith("+00:00")
    (back,) = parameter_values([query_parameter("at", time)]).values()
    assert back.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, "BOOL", "true"),
        (False, "BOOL", "false"),
        (-1, "INT64", "-1"),
        (0.5, "FLOAT64", "0.5"),
        ("true", "STRING", "true"),
        (date(987, 1, 2), "DATE", "0987-01-02"),
        (datetime(2026, 10, 31, 12, tzinfo=UTC), "TIMESTAMP", "2026-10-31 12:00:00.000000+00:00"),
        (datetime(987, 1, 2, tzinfo=UTC), "TIMESTAMP", "0987-01-02 00:00:00.000000+00:00"),
    ],
)
def test_a_value_in_bigquerys_words(value, kind, text):
    assert query_parameter("x", value) == {
        "name": "x",
        "parameterType": {"type": kind},
        "parameterValue": {"value": text},
    }


def test_a_list_in_bigquerys_words():
    assert query_parameter("x", [1, 2]) == {
        "name": "x",
        "parameterType": {"type": "ARRAY", "arrayType": {"type": "INT64"}},
        "parameterValue": {"arrayValues": [{"value": "1"}, {"value": "2"}]},
    }


def test_an_empty_list_is_one_of_strings():
    parameter = query_parameter("x", [])
    assert parameter["parameterType"]["arrayType"] == {"type": "STRING"}
    assert parameter_values([parameter]) == {"x": []}


def test_bigquery_leaves_an_empty_list_out():
    kind = {"type": "ARRAY", "arrayType": {"type": "INT64"}}
    assert parameter_values([{"name": "x", "parameterType": kind, "parameterValue": {}}]) == {
        "x": []
    }


def test_the_later_of_two_parameters_of_a_name_stands():
    assert parameter_values([query_parameter("x", 1), query_parameter("x", "a")]) == {"x": "a"}


def test_floats_that_are_no_numbers():
    parameters = [query_parameter("a", math.inf), query_parameter("b", math.nan)]
    values = parameter_values(parameters)
    assert values["a"] == math.inf
    assert math.isnan(values["b"])

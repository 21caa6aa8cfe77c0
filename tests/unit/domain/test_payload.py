"""Owned fields and their types."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.payload import CONSENT_FIELDS, FIELDS, field_type, owns, timestamp, typed


def test_every_field_and_every_map_of_fields_is_owned():
    for path in [*FIELDS, *(f"consent.ads.{name}" for name in CONSENT_FIELDS)]:
        assert field_type(path)
        assert owns(path)
        assert owns(path.partition(".")[0])
    assert owns("consent.ad_storage2")


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "sync",
        "sync.seq",
        "ga4.custom",
        "ga4.country.x",
        "ga4.",
        "segments",
        "consent.ads.x",
        "consent.Ads.state",
        "consent.ä.state",
        "consent..state",
        "consent.ads.state.x",
        "ga",
        "GA4",
    ],
)
def test_what_is_not_listed_is_not_owned(path):
    assert not owns(path)
    assert field_type(path) is None
    with pytest.raises(KeyError):
        typed(path, 1)


@pytest.mark.parametrize(
    ("path", "exported", "stored"),
    [
        ("ga4.sessions", "12", 12),
        ("ga4.sessions", -3, -3),
        ("ga4.sessions", 2.0, 2),
        ("ga4.sessions", "9223372036854775807", 2**63 - 1),
        ("ga4.revenue", "12.50", 12.5),
        ("ga4.revenue", 3, 3.0),
        ("contact.email_valid", "true", True),
        ("contact.email_valid", False, False),
        ("ga4.last_seen", "2021-01-29 08:00:00 UTC", "2021-01-29T08:00:00.000000Z"),
        ("ga4.last_seen", "2021-01-29 08:00:00.25", "2021-01-29T08:00:00.250000Z"),
        ("ga4.last_seen", "2021-01-29T09:00:00+01:00", "2021-01-29T08:00:00.000000Z"),
        ("identifiers.email", ["a@example.com"], ["a@example.com"]),
        ("consent.ads.state", "granted", "granted"),
    ],
)
def test_every_exporter_ends_in_the_same_value(path, exported, stored):
    result = typed(path, exported)
    assert result == stored
    assert type(result) is type(stored)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ga4.sessions", True),
        ("ga4.sessions", 1.5),
        ("ga4.sessions", "1.5"),
        ("ga4.sessions", "٣"),
        ("ga4.sessions", 2**63),
        ("ga4.sessions", "9" * 5000),
        ("ga4.sessions", float("inf")),
        ("ga4.revenue", "nan"),
        ("ga4.revenue", 10**400),
        ("ga4.revenue", []),
        ("contact.email_valid", 1),
        ("ga4.last_seen", "yesterday"),
        ("ga4.last_seen", 1611907200),
        ("ga4.last_seen", "0001-01-01T00:00:00+14:00"),
        ("identifiers.email", "a@example.com"),
        ("identifiers.email", ["a@example.com", None]),
        ("ga4.country", {}),
        ("ga4.country", None),
    ],
)
def test_a_wrong_type_is_told_without_its_value(path, value):
    with pytest.raises(ValueError, match=rf"^{path} takes a \w+, not \w+$"):
        typed(path, value)


@given(
    st.lists(
        st.datetimes(timezones=st.just(timezone(timedelta(hours=5)))).filter(
            lambda moment: moment.year > 1
        ),
        max_size=5,
    )
)
def test_timestamps_sort_as_text_and_read_back(moments):
    assert [timestamp(m) for m in sorted(moments)] == sorted(timestamp(m) for m in moments)
    for moment in moments:
        assert datetime.fromisoformat(timestamp(moment)) == moment
        assert typed("ga4.last_seen", timestamp(moment)) == timestamp(moment)


def test_a_timestamp_needs_a_time_zone():
    with pytest.raises(ValueError, match="time zone"):
        timestamp(datetime(2021, 1, 1))  # noqa: DTZ001
    assert timestamp(datetime(987, 1, 1, tzinfo=UTC)) == "0987-01-01T00:00:00.000000Z"

"""Google's public sample: three real days of a store without consent mode."""

from pathlib import Path

import pytest

from tests.e2e.support import Cdp


def days(shared: Path) -> list[Path]:
    return sorted((shared / "data" / "ga4_sample").glob("events_*.parquet"))


def test_three_real_days_give_the_totals_that_others_published(
    no_consent_mode: Cdp, shared: Path
) -> None:
    cdp = no_consent_mode
    cdp.run("load", "ga4", *days(shared))
    outcome = cdp.refresh()
    assert (outcome["state"], outcome["exported"], outcome["written"]) == ("succeeded", 8230, 8230)
    stats = cdp.json("stats")
    expected = {
        "days": 3,
        "events": 97_761,
        "clients": 8_230,
        "sessions": 9_540,
        "engaged_sessions": 8_954,
        "purchases": 104,
        "revenue": 349.0,
        "engagement_ms": 371_783_757,
        "profiles": 8_230,
        "documents": 8_230,
    }
    assert {name: stats[name] for name in expected} == expected
    documents = [body["ga4"] for body in cdp.documents().values()]
    assert sum(ga4["sessions"] for ga4 in documents) == 9_540
    assert sum(ga4["engagement_ms"] for ga4 in documents) == 371_783_757
    assert sum(ga4["purchases"] for ga4 in documents) == 104
    assert sum(ga4["revenue"] for ga4 in documents) == pytest.approx(349.0)
    again = cdp.refresh()
    assert (again["exported"], again["written"]) == (0, 0)
    full = cdp.refresh("--full")
    assert (full["exported"], full["written"], full["unchanged"]) == (8230, 0, 8230)


def test_without_consent_states_the_policy_that_ships_delivers_nobody_and_says_why(
    cdp: Cdp, shared: Path
) -> None:
    cdp.run("load", "ga4", *days(shared))
    told = cdp.run("refresh")
    assert "97,761 of 97,761 events say nothing of analytics consent" in " ".join(told.split())
    assert "no-consent-mode.toml" in told
    stats = cdp.json("stats")
    assert (stats["events"], stats["identifiers"], stats["documents"]) == (97_761, 0, 0)


def test_rows_of_another_property_and_other_years_go_all_the_way(
    no_consent_mode: Cdp, shared: Path
) -> None:
    cdp = no_consent_mode
    rows = shared / "data" / "ga4_sample" / "real_rows_2022_2023.ndjson"
    cdp.run("load", "ga4", "--kind", "daily", rows)
    assert cdp.refresh()["state"] == "succeeded"
    stats = cdp.json("stats")
    assert (stats["days"], stats["rows_read"], stats["documents"]) == (5, 16, stats["clients"])

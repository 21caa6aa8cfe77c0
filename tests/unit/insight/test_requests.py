"""What the desk asks of consent, on people made for each claim."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cdp.domain.policy import Policy
from cdp.governance.actions import Shell
from cdp.insight.person import Identifier
from cdp.insight.requests import (
    expiring,
    ledger,
    profiles_in,
    profiles_of,
    unheard,
    withdrawn_since,
)
from cdp.warehouse.port import Warehouse
from tests.e2e.support import Cdp, event
from tests.unit.insight.stitching.support import link

DAY = "20261001"
NOW = datetime.now(UTC)
TOLD = {"channel": "phone", "reason": "asked on the phone"}


def decision(
    type: str,
    value: str,
    state: str,
    *,
    purpose: str = "ads",
    days: int = 1,
    source: str = "support",
) -> dict[str, str]:
    at = f"{NOW - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    return {
        "type": type,
        "value": value,
        "purpose": purpose,
        "state": state,
        "at": at,
        "source": source,
    }


@pytest.fixture(scope="module")
def cdp(tmp_path_factory: pytest.TempPathFactory) -> Cdp:
    """Ads lapse after a month; Ann's Yes lapses soon, Bob's does not, Cat said no to everything."""
    folder = tmp_path_factory.mktemp("requests")
    shipped = (Path(__file__).parents[3] / "cdp" / "domain" / "policy.toml").read_text("utf-8")
    policy = folder / "policy.toml"
    policy.write_text(shipped.replace("[purposes.ads]\n", '[purposes.ads]\nexpires = "2 months"\n'))
    cdp = Cdp(folder / "home", {"CDP_POLICY": str(policy)})

    def load(kind: str, name: str, rows: list[dict[str, str]]) -> None:
        file = folder / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
        cdp.run("load", kind, file)

    people = ("ann", "bob", "cat")
    load("ga4", f"events_{DAY}.ndjson", [event(DAY, f"{n}.1", user=n, ads=None) for n in people])
    load("links", "links.ndjson", [link(("user_id", "ann"), ("email", "ann@example.com"))])
    load(
        "consent",
        "consent.ndjson",
        [
            decision("user_id", "ann", "granted", days=45),
            decision("user_id", "bob", "granted", days=2),
            decision("user_id", "cat", "denied", purpose="analytics"),
            decision("user_id", "eve", "granted", days=3),
            decision("email", "no address", "granted", days=4),
            decision("email", "ann@example.com", "granted", purpose="marketing"),
        ],
    )
    assert cdp.refresh()["state"] == "succeeded"
    return cdp


@pytest.fixture(scope="module")
def warehouse(cdp: Cdp) -> Iterator[Warehouse]:
    with closing(cdp.platform.published()) as found:
        yield found


def test_a_grant_that_lapses_within_30_days_is_told_by_purpose(
    cdp: Cdp, warehouse: Warehouse
) -> None:
    found = expiring(warehouse, cdp.platform.policy, NOW)
    assert found.counts == {"ads": (1, 1)}
    (only,) = found.grants
    assert (only.purpose, only.type, only.value) == ("ads", "user_id", "ann")
    assert NOW < only.lapses_at < NOW + timedelta(days=30)
    assert only.ground.granted is not None
    assert "analytics" in only.ground.granted
    assert expiring(warehouse, Policy.load(None), NOW).counts.keys() == {"ads"}, "as it was weighed"
    assert expiring(warehouse, cdp.platform.policy, NOW - timedelta(days=30)).counts["ads"] == (
        0,
        0,
    )


def test_decisions_without_effect_say_why_and_not_whose(cdp: Cdp, warehouse: Warehouse) -> None:
    count, rows = unheard(warehouse, cdp.platform.policy)
    assert count == len(rows)
    assert [(one.type, one.why, one.evidence) for one in rows] == [
        (
            "user_id",
            "no profile has this identifier; it takes effect when one appears",
            "consent.ndjson, line 4",
        ),
        ("email", "not an e-mail address: it stands for nobody", "consent.ndjson, line 5"),
    ]
    assert unheard(warehouse, cdp.platform.policy, limit=1)[0] == 2


def test_the_ledger_is_found_by_any_identifier_of_the_person(
    cdp: Cdp, warehouse: Warehouse
) -> None:
    platform = cdp.platform
    (ann,) = platform.documents.find("ann")
    for typed in ("ann", "ANN@example.com", "ann.1", ann):
        told = ledger(warehouse, platform.documents, platform.policy, typed)
        assert {(one.purpose, one.type, one.value) for one in told} == {
            ("ads", "user_id", "ann"),
            ("analytics", "client_id", "ann.1"),
            ("marketing", "email", "ann@example.com"),
        }
        assert profiles_in(told) == [ann]
        assert [one.at for one in told] == sorted((one.at for one in told), reverse=True)
        typed_one = {one.value for one in told if one.asked}
        assert typed_one == ({typed.lower()} if typed != ann else set())


def test_who_said_no_is_in_the_ledger_though_nothing_else_knows_them(
    cdp: Cdp, warehouse: Warehouse
) -> None:
    platform = cdp.platform
    assert platform.documents.find("cat") == []
    told = ledger(warehouse, platform.documents, platform.policy, "cat")
    assert ("analytics", "denied") in {(one.purpose, one.state) for one in told if one.asked}
    assert ledger(warehouse, platform.documents, platform.policy, "nobody") == []
    assert ledger(warehouse, platform.documents, platform.policy, " \u200b") == []
    assert ledger(None, platform.documents, platform.policy, "cat") == []


def test_what_was_withdrawn_since_is_known_before_any_run_has_weighed_it(
    cdp: Cdp, warehouse: Warehouse
) -> None:
    platform = cdp.platform
    assert withdrawn_since(warehouse, platform.documents) == frozenset()
    (bob,) = platform.documents.find("bob")
    assert profiles_of(warehouse, "client_id", "bob.1") == [bob]
    governance = platform.governance
    governance.decide(Shell("x"), "email", "ann@example.com", "marketing", "denied", **TOLD)
    governance.decide(Shell("x"), "user_id", "ann", "ads", "denied", **TOLD)
    governance.decide(Shell("x"), "user_id", "bob", "analytics", "denied", **TOLD)
    assert withdrawn_since(warehouse, platform.documents) == {
        Identifier("email", "ann@example.com"),
        Identifier("user_id", "bob"),
        Identifier("client_id", "bob.1"),
    }
    told = ledger(warehouse, platform.documents, platform.policy, "bob")
    assert [(one.purpose, one.state, one.weighed) for one in told if one.asked] == [
        ("analytics", "denied", False),
        ("ads", "granted", True),
    ]

"""Links kept out, page by page, each with its reason."""

from itertools import pairwise

import pytest

from cdp.domain.access import Ground
from cdp.domain.errors import CdpError
from cdp.insight import stitching
from cdp.insight.stitching.parts import ground_of
from tests.unit.insight.stitching.support import permits


def test_links_kept_out_have_reasons_in_words(small):
    found = stitching.kept_out(small, limit=50)
    assert found.after is None
    told = {(kept.reason, kept.source, kept.consent) for kept in found.links}
    assert told == {
        ("blocked value", "crm", "granted"),
        ("consent denied", "crm", "denied"),
        ("consent denied", "shop", "denied"),
        ("consent unknown", "ga4", "unknown"),
        ("hub", "ga4", "granted"),
        ("denies to be joined", "ga4", "granted"),
    }
    assert len(found.links) == 9
    assert len({kept.why for kept in found.links}) == 5
    assert all(kept.why.endswith(".") and "Kept out:" not in kept.why for kept in found.links)
    unknown = [kept for kept in found.links if kept.reason == "consent unknown"]
    ends = {(end.type, end.value, end.stream) for kept in unknown for end in (kept.a, kept.b)}
    assert ends == {
        ("client_id", "k/1=.1", "1"),
        ("user_id", "kim", None),
        ("client_id", "q.1", "1"),
        ("user_id", "quin", None),
    }


def test_links_kept_out_for_one_reason(small):
    found = stitching.kept_out(small, "blocked value").links
    assert all("none@none.com" in {kept.a.value, kept.b.value} for kept in found)
    assert [kept.reason for kept in found] == ["blocked value"] * 2
    assert stitching.kept_out(small, "no such reason").links == ()


@pytest.mark.parametrize("reason", [None, "consent denied", "hub", "denies to be joined"])
def test_pages_hold_every_link_kept_out_once(warehouse, platform, reason):
    report = stitching.report(warehouse, platform.policy)["kept_out"]
    counts = {row["reason"]: row["links"] for row in report["by_reason"]}
    expected = counts[reason] if reason else report["links"]
    found: list[stitching.KeptOut] = []
    page = stitching.kept_out(warehouse, reason, limit=7)
    while True:
        found.extend(page.links)
        if page.after is None:
            break
        assert len(page.links) == 7
        page = stitching.kept_out(warehouse, reason, after=page.after, limit=7)
    keys = {(k.a.identifier_id, k.b.identifier_id, k.source, k.consent, k.reason) for k in found}
    assert len(found) == len(keys) == expected > 7
    assert all(former.last_seen >= latter.last_seen for former, latter in pairwise(found))


def test_rows_of_one_instant_are_parted_by_their_place(small):
    links = stitching.kept_out(small, limit=50).links
    assert len({kept.last_seen for kept in links}) < len(links)
    after = None
    for kept in links:
        page = stitching.kept_out(small, after=after, limit=1)
        assert page.links == (kept,)
        after = page.after
    assert after is None


@pytest.mark.parametrize("after", ["", "nonsense", "MQ==", "WzEsMl0=", "e30=", "é"])
def test_a_made_up_place_is_refused(small, after):
    with pytest.raises(CdpError, match="first page"):
        stitching.kept_out(small, after=after)


# --- the consent behind an end --------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, "consent denied", "hub", "denies to be joined"])
def test_each_end_tells_what_its_profile_permits_and_the_links_own_consent(warehouse, reason):
    known = permits(warehouse)
    found, after = [], None
    while True:
        page = stitching.kept_out(warehouse, reason, after, limit=200)
        found, after = [*found, *page.links], page.after
        if after is None:
            break
    for kept in found:
        for end in (kept.a, kept.b):
            granted = known.get(end.identifier_id)
            assert end.ground == ground_of(granted, (kept.source, kept.consent))
    assert len(found) > 10


def test_an_end_in_no_profile_has_the_links_consent_alone(small):
    unknown = stitching.kept_out(small, "consent unknown").links
    grounds = {end.value: end.ground for kept in unknown for end in (kept.a, kept.b)}
    nobody = Ground(None, ("ga4", "unknown"))
    # One device is alone in a profile, for it had said Yes before its No.
    alone = Ground(frozenset({"ads"}), ("ga4", "unknown"))
    assert grounds == {"kim": nobody, "k/1=.1": alone, "quin": nobody, "q.1": nobody}

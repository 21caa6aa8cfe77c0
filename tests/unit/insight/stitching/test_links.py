"""Links kept out, page by page, each with its reason."""

from itertools import pairwise

import pytest

from cdp.domain.errors import CdpError
from cdp.insight import stitching


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
    }
    assert len(found.links) == 7
    assert len({kept.why for kept in found.links}) == 4
    assert all(kept.why.endswith(".") and "Kept out:" not in kept.why for kept in found.links)
    (unknown,) = [kept for kept in found.links if kept.reason == "consent unknown"]
    ends = {(end.type, end.value, end.stream) for end in (unknown.a, unknown.b)}
    assert ends == {("client_id", "k/1=.1", "1"), ("user_id", "kim", None)}


def test_links_kept_out_for_one_reason(small):
    found = stitching.kept_out(small, "blocked value").links
    assert all("none@none.com" in {kept.a.value, kept.b.value} for kept in found)
    assert [kept.reason for kept in found] == ["blocked value"] * 2
    assert stitching.kept_out(small, "no such reason").links == ()


@pytest.mark.parametrize("reason", [None, "consent denied", "hub"])
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

"""The demo property, stitched and scored against its truth."""

import json

from tests.e2e.support import Cdp


def test_twenty_thousand_people_are_joined_almost_without_error(cdp: Cdp) -> None:
    told = cdp.run("demo", "--people", "20000", "--days", "14")
    score = json.loads(cdp.run("score", str(cdp.home / "demo"), "--json"))
    print(score)
    assert score["joined_pairs"] > 10_000
    assert score["precision"] >= 0.999
    assert score["recall"] >= 0.98
    assert score["delivered"] > 1_000
    assert score["refused"] == 0
    assert "The profile with the highest revenue" in told
    again = cdp.run("demo", "--people", "20000", "--days", "14")
    assert "Nothing new" in again


def test_nobody_without_consent_is_in_a_document(cdp: Cdp) -> None:
    cdp.run("demo", "--people", "500", "--days", "3")
    documents = cdp.documents()
    assert len(documents) > 100
    for body in documents.values():
        state = {purpose: told["state"] for purpose, told in body["consent"].items()}
        assert ("ga4" in body) <= (state["analytics"] == "granted")
        assert ("ads" in body) <= (state["ads"] == "granted")
        assert ("contact" in body) <= (state["marketing"] == "granted")
        identifiers = body.get("identifiers", {})
        assert ("client_id" in identifiers) <= (state["analytics"] == "granted")
        assert ("email" in identifiers) <= (state["marketing"] == "granted")

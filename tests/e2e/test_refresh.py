"""The refresh from files to documents, on small input made for each claim."""

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdp.profiles.port import PROFILES, Put
from tests.e2e.support import ROOT, Cdp, event

Write = Callable[..., Path]


def profile_of(cdp: Cdp, identifier: str) -> dict[str, Any]:
    (found,) = cdp.json("profile", identifier)
    return found


def link(a: tuple[str, str], b: tuple[str, str], consent: str = "granted") -> dict[str, str]:
    return {
        "a_type": a[0],
        "a_value": a[1],
        "b_type": b[0],
        "b_value": b[1],
        "at": "2026-10-01T10:00:00Z",
        "source": "crm",
        "consent": consent,
    }


def decision(  # noqa: PLR0917 - the columns of a row, in order
    type: str, value: str, purpose: str, state: str, at: str, source: str
) -> dict[str, str]:
    return {
        "type": type,
        "value": value,
        "purpose": purpose,
        "state": state,
        "at": at,
        "source": source,
    }


def test_a_login_joins_two_devices_into_one_profile(cdp: Cdp, write: Write) -> None:
    rows = [
        event("20261001", "phone.1", user="ada", at=1),
        event("20261001", "laptop.1", user="ada", at=2),
        event("20261001", "tablet.1", at=3),
    ]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    outcome = cdp.refresh()
    assert outcome["written"] == 2
    ada = profile_of(cdp, "ada")
    assert ada["identifiers"]["client_id"] == ["laptop.1", "phone.1"]
    assert ada["identifiers"]["count"] == 3
    assert ada["ga4"]["sessions"] == 2
    assert profile_of(cdp, "phone.1") == profile_of(cdp, "laptop.1") == ada
    assert profile_of(cdp, "tablet.1")["profile_id"] != ada["profile_id"]


def test_a_second_refresh_with_nothing_new_exports_nothing(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1")]))
    assert cdp.refresh()["written"] == 1
    before = cdp.documents()
    again = cdp.refresh()
    assert (again["state"], again["exported"], again["written"]) == ("succeeded", 0, 0)
    assert cdp.documents() == before


def test_a_full_rebuild_exports_everything_and_writes_nothing(cdp: Cdp, write: Write) -> None:
    rows = [event("20261001", "a.1", user="ada"), event("20261001", "b.1")]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh()
    before = cdp.documents()
    full = cdp.refresh("--full")
    assert (full["exported"], full["written"], full["unchanged"]) == (2, 0, 2)
    assert cdp.documents() == before


def test_rows_without_consent_leave_no_profile_and_no_identifier(cdp: Cdp, write: Write) -> None:
    rows = [
        event("20261001", None, analytics="No", ads="No", session=None),
        event("20261001", None, analytics="No", ads="No", session=None, user="ada"),
        event("20261001", "silent.1", analytics=None, ads=None),
        event("20261001", "unset.1", analytics="Unset", ads="Unset"),
    ]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    assert cdp.refresh()["exported"] == 0
    stats = cdp.json("stats")
    assert (stats["events"], stats["identifiers"], stats["documents"]) == (4, 0, 0)
    assert "No profiles" in cdp.run("stats")


def test_a_withdrawal_empties_the_document_but_for_what_others_wrote(
    cdp: Cdp, write: Write
) -> None:
    rows = [event("20261001", "a.1", user="ada")]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh()
    ada = profile_of(cdp, "ada")
    documents = cdp.platform.documents
    held = documents.get(PROFILES, ada["profile_id"])
    assert held is not None
    body = held.body
    body["crm"] = {"tier": "gold"}
    body["ga4"]["custom_by_sgtm"] = 7
    documents.commit([Put(PROFILES, held.id, body)])
    withdrawal = decision(
        "user_id", "ada", "analytics", "denied", "2026-10-02T00:00:00Z", "preference_centre"
    )
    ads = decision("user_id", "ada", "ads", "denied", "2026-10-02T00:00:00Z", "preference_centre")
    cdp.run("load", "consent", write("decisions.ndjson", [withdrawal, ads]))
    cdp.refresh()
    after = cdp.documents()[held.id]
    assert after["crm"] == {"tier": "gold"}
    assert after["ga4"] == {"custom_by_sgtm": 7}
    assert "identifiers" not in after
    assert after["consent"]["analytics"] == {
        "state": "denied",
        "since": "2026-10-02T00:00:00.000000Z",
        "source": "preference_centre",
    }


def test_fields_of_others_survive_ten_refreshes_and_a_full_rebuild(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1")]))
    cdp.refresh()
    (profile_id,) = cdp.documents()
    documents = cdp.platform.documents
    for turn in range(10):
        held = documents.get(PROFILES, profile_id)
        assert held is not None
        documents.commit([Put(PROFILES, profile_id, {**held.body, "sgtm": {"turn": turn}})])
        day = f"202610{turn + 2:02}"
        cdp.run("load", "ga4", write(f"events_{day}.ndjson", [event(day, "a.1", session=turn + 2)]))
        assert cdp.refresh()["written"] == 1
        found = cdp.documents()[profile_id]
        assert found["sgtm"] == {"turn": turn}
        assert found["ga4"]["sessions"] == turn + 2
    cdp.refresh("--full")
    assert cdp.documents()[profile_id]["sgtm"] == {"turn": 9}


def test_ids_stay_when_profiles_merge_and_old_ids_lead_to_the_new(cdp: Cdp, write: Write) -> None:
    first = [event("20261001", "a.1", at=0), event("20261001", "b.1", at=60)]
    cdp.run("load", "ga4", write("events_20261001.ndjson", first))
    cdp.refresh()
    a, b = profile_of(cdp, "a.1")["profile_id"], profile_of(cdp, "b.1")["profile_id"]
    later = [event("20261002", "a.1", user="ada"), event("20261002", "b.1", user="ada", at=5)]
    cdp.run("load", "ga4", write("events_20261002.ndjson", later))
    cdp.refresh()
    assert profile_of(cdp, "ada")["profile_id"] == a, "the earliest identifier's profile stays"
    assert profile_of(cdp, b)["profile_id"] == a
    assert list(cdp.documents()) == [a]
    with closing(cdp.platform.published()) as warehouse:
        history = warehouse.query("select kind, from_id, to_id from identity_history", {})
    assert history.rows() == [("merge", b, a)]
    cdp.refresh("--full")
    assert profile_of(cdp, "ada")["profile_id"] == a
    assert list(cdp.documents()) == [a]


def test_a_restated_day_replaces_the_day(cdp: Cdp, write: Write) -> None:
    intraday = write("events_intraday_20261001.ndjson", [event("20261001", "a.1")] * 1)
    cdp.run("load", "ga4", intraday)
    cdp.refresh()
    daily = [event("20261001", "a.1"), event("20261001", "a.1", at=9, name="generate_lead")]
    cdp.run("load", "ga4", write("events_20261001.ndjson", daily))
    cdp.refresh()
    assert cdp.json("stats")["events"] == 2
    assert profile_of(cdp, "a.1")["ga4"]["leads"] == 1
    restated = write("events_20261001.ndjson", [event("20261001", "c.1")])
    cdp.run("load", "ga4", "--replace", restated)
    cdp.refresh()
    assert [d["identifiers"]["client_id"] for d in cdp.documents().values()] == [["c.1"]]
    cdp.run("profile", "a.1", code=1)


def test_duplicates_count_once_also_with_parameters_in_another_order(
    cdp: Cdp, write: Write
) -> None:
    row = event("20261001", "a.1")
    turned = {**row, "event_params": row["event_params"][::-1]}
    cdp.run("load", "ga4", write("events_20261001.ndjson", [row, row, turned]))
    cdp.refresh()
    assert cdp.json("stats")["events"] == 1


def test_rows_that_differ_in_nothing_but_parameters_are_two_events(cdp: Cdp, write: Write) -> None:
    row = event("20261001", "a.1", user="ada")
    other = {
        **row,
        "event_params": [*row["event_params"], {"key": "x", "value": {"int_value": "1"}}],
    }
    # An id that stands for nobody is as none.
    nobody = {**other, "user_pseudo_id": "undefined", "user_id": None}
    silent = {**row, "user_pseudo_id": None, "user_id": None}
    cdp.run("load", "ga4", write("events_20261001.ndjson", [row, other, row, nobody, silent]))
    assert cdp.refresh()["totals"]["events"] == 4


def test_a_transaction_told_twice_is_one_purchase(cdp: Cdp, write: Write) -> None:
    def bought(day: str, transaction: str, at: int) -> dict[str, Any]:
        shop = {"transaction_id": transaction, "purchase_revenue": 10.5}
        return event(day, "a.1", name="purchase", at=at, ecommerce=shop)

    cdp.run(
        "load", "ga4",
        write("events_20261001.ndjson", [bought("20261001", "T1", 1), bought("20261001", "T1", 2)]),
        write("events_20261002.ndjson", [bought("20261002", "T1", 3), bought("20261002", "T2", 4)]),
        write("events_20261003.ndjson", [bought("20261003", "(not set)", n) for n in (5, 6)]),
    )  # fmt: skip
    cdp.refresh()
    shop = profile_of(cdp, "a.1")["ga4"]
    assert (shop["purchases"], shop["revenue"]) == (4, 42.0)


def test_a_session_that_crosses_midnight_is_one_session(cdp: Cdp, write: Write) -> None:
    cdp.run(
        "load", "ga4",
        write("events_20261001.ndjson", [event("20261001", "a.1", session=5, at=43190)]),
        write("events_20261002.ndjson", [event("20261002", "a.1", session=5, at=-43190)]),
    )  # fmt: skip
    cdp.refresh()
    assert cdp.json("stats")["sessions"] == 1
    assert profile_of(cdp, "a.1")["ga4"]["sessions"] == 1


def test_junk_never_joins_anybody(cdp: Cdp, write: Write) -> None:
    junk = ["null", "(not set)", "0", "0000-0000", "anonymous", " Guest ", "ada@example.com"]
    rows = [
        event("20261001", f"{side}{n}.1", user=value, at=n)
        for n, value in enumerate(junk)
        for side in "ab"
    ]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    links = [link(("client_id", f"{side}0.1"), ("email", "null")) for side in "ab"]
    cdp.run("load", "links", write("links.ndjson", links))
    cdp.refresh()
    stats = cdp.json("stats")
    assert (stats["edges"], stats["profiles"]) == (0, 2 * len(junk))


def test_a_device_on_which_two_people_sign_in_is_nobodys(cdp: Cdp, write: Write) -> None:
    rows = [
        event("20261001", "shared.1", user="ada", at=1),
        event("20261001", "shared.1", user="bob", at=2),
        event("20261001", "a.1", user="ada", at=3),
        event("20261001", "b.1", user="bob", at=4),
    ]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh()
    assert profile_of(cdp, "ada")["identifiers"]["client_id"] == ["a.1"]
    assert profile_of(cdp, "bob")["identifiers"]["client_id"] == ["b.1"]
    assert profile_of(cdp, "shared.1")["identifiers"] == {"client_id": ["shared.1"], "count": 1}


@pytest.mark.parametrize("consent", ["denied", "unknown", ""])
def test_a_link_without_consent_joins_nobody(cdp: Cdp, write: Write, consent: str) -> None:
    rows = [event("20261001", "a.1"), event("20261001", "b.1", at=1)]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    links = [link(("client_id", c), ("email", "ada@example.com"), consent) for c in ("a.1", "b.1")]
    cdp.run("load", "links", write("links.ndjson", links))
    cdp.refresh()
    assert cdp.json("stats")["edges"] == 0


def test_a_contact_is_delivered_only_with_marketing_consent(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1", user="ada")]))
    cdp.run(
        "load", "links",
        write("links.ndjson", [link(("user_id", "ada"), ("email", " Ada@Example.COM "))]),
    )  # fmt: skip
    cdp.refresh()
    ada = profile_of(cdp, "ada")
    assert "contact" not in ada
    assert "email" not in ada["identifiers"]
    yes = decision("email", "ada@example.com", "marketing", "granted", "2026-10-02", "crm")
    cdp.run("load", "consent", write("yes.ndjson", [yes]))
    cdp.refresh()
    ada = profile_of(cdp, "ADA@example.com")
    assert ada["contact"] == {"email": "ada@example.com", "email_valid": True}
    no = decision("email", "ada@example.com", "marketing", "denied", "2026-10-03", "crm")
    cdp.run("load", "consent", write("no.ndjson", [no]))
    cdp.refresh()
    assert "contact" not in profile_of(cdp, "ada")


def test_a_change_of_policy_alone_changes_the_documents(
    cdp: Cdp, no_consent_mode: Cdp, write: Write
) -> None:
    rows = [event("20261001", "a.1", analytics=None, ads=None)]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    assert cdp.refresh()["exported"] == 0
    assert no_consent_mode.refresh()["written"] == 1
    assert cdp.refresh()["written"] == 1, "the stricter policy takes the fields away again"
    assert all("ga4" not in body for body in cdp.documents().values())


def test_identifiers_that_a_document_does_not_keep_still_count(
    cdp: Cdp, write: Write, tmp_path: Path
) -> None:
    shipped = (ROOT / "cdp" / "domain" / "policy.toml").read_text("utf-8")
    policy = tmp_path / "policy.toml"
    policy.write_text(shipped.replace("kept = 200", "kept = 1"), "utf-8")
    rows = [event("20261001", f"c.{n}", user="ada", at=n) for n in range(4)]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh(CDP_POLICY=str(policy))
    assert profile_of(cdp, "ada")["identifiers"] == {
        "user_id": ["ada"],
        "client_id": ["c.3"],
        "count": 5,
    }


def test_a_number_of_identifiers_alone_makes_no_document(
    cdp: Cdp, write: Write, tmp_path: Path
) -> None:
    """Ads is denied, and nothing but the number is left that analytics permits."""
    text = (ROOT / "cdp" / "domain" / "policy.toml").read_text("utf-8")
    before, fields, after = text.partition("[fields]")
    for line in ('"identifiers.user_id" = "', '"identifiers.client_id" = "', '"ga4" = "'):
        after = after.replace(f'{line}analytics"', f'{line}ads"')
    policy = tmp_path / "policy.toml"
    policy.write_text(before + fields + after, "utf-8")
    rows = [event("20261001", "a.1", user="ada", ads="No")]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    assert cdp.refresh(CDP_POLICY=str(policy))["exported"] == 0
    assert cdp.documents() == {}


def test_a_lost_document_store_is_filled_again(cdp: Cdp, write: Write) -> None:
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1", user="ada")]))
    cdp.refresh()
    before = cdp.documents()
    for file in cdp.home.glob("documents.sqlite*"):
        file.unlink()
    assert cdp.refresh()["written"] == 1
    after = cdp.documents()
    assert after.keys() == before.keys()
    assert [d["ga4"] for d in after.values()] == [d["ga4"] for d in before.values()]


def test_a_lost_warehouse_is_built_again_with_the_same_ids(cdp: Cdp, write: Write) -> None:
    rows = [event("20261001", "a.1", user="ada"), event("20261001", "b.1", at=1)]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh()
    before = cdp.documents()
    for file in cdp.home.glob("*.duckdb*"):
        file.unlink()
    assert cdp.refresh()["state"] == "succeeded"
    assert cdp.documents().keys() == before.keys()


def test_only_the_asked_days_are_cleaned(cdp: Cdp, write: Write) -> None:
    files = [
        write(f"events_2026100{n}.ndjson", [event(f"2026100{n}", "a.1", session=n)])
        for n in range(1, 6)
    ]
    cdp.run("load", "ga4", *files)
    assert cdp.refresh("--since", "2026-10-02", "--until", "2026-10-03")["days_cleaned"] == 2
    assert cdp.json("stats")["days"] == 2
    assert cdp.refresh()["days_cleaned"] == 3


def test_the_two_exporters_shapes_end_in_equal_documents(cdp: Cdp, write: Write) -> None:
    """A run's shards hold rows of the ingest contract, whose types ingest makes the payload's."""
    cdp.run("load", "ga4", write("events_20261001.ndjson", [event("20261001", "a.1")]))
    outcome = cdp.refresh()
    run = cdp.home / "objects" / "runs" / outcome["run_id"]
    manifest = json.loads((run / "manifest.json").read_text())
    (file,) = manifest["files"]
    assert manifest["rows"] == file["rows"] == 1
    assert len(file["hash"]) == 32
    assert list(run.glob("part-*")) == [], "a delivered shard is not kept"
    (body,) = cdp.documents().values()
    assert body["ga4"]["first_seen"] == "2026-10-01T12:00:00.000000Z"
    assert body["ga4"]["events"] == 1


def test_what_looks_like_markup_is_shown_as_text(cdp: Cdp, write: Write) -> None:
    rows = [event("20261001", "[/red][bold].1", user="[link=https://example.com]x")]
    cdp.run("load", "ga4", write("events_20261001 [red].ndjson", rows))
    cdp.refresh()
    told = cdp.run("profile", "[/red][bold].1")
    assert "[/red][bold].1" in told
    assert "[link=https://example.com]x" in told


def test_ids_of_denied_rows_go_no_further_than_the_export(cdp: Cdp, write: Write) -> None:
    rows = [
        event("20261001", "flip.1", user="ada", analytics="No", at=1),
        event("20261001", None, user="bob", analytics="No", session=None, at=2),
        event("20261001", "yes.1", user="eve", at=3),
    ]
    cdp.run("load", "ga4", write("events_20261001.ndjson", rows))
    cdp.refresh()
    with closing(cdp.platform.published()) as warehouse:
        held = warehouse.query(
            "select analytics, client_key, client_id, user_id, session_id from events "
            "order by analytics",
            {},
        )
    assert held.rows() == [
        ("denied", None, None, None, None),
        ("denied", None, None, None, None),
        ("granted", "default/1/yes.1", "yes.1", "eve", 1),
    ]
    cdp.run("profile", "flip.1", code=1)
    cdp.run("profile", "bob", code=1)

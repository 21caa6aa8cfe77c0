"""Consent binds whoever gave it: what the documents hold of people who said yes, no, or nothing."""

import unicodedata
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.access import permits
from cdp.insight import stitching
from tests.e2e.support import Cdp, event
from tests.e2e.test_refresh import decision, link, profile_of

Write = Callable[..., Path]
DAY = "20261001"


def at(day: int, time: str = "08:00:00") -> str:
    return f"2026-10-{day:02}T{time}Z"


def loaded(cdp: Cdp, write: Write, **files: list[dict[str, Any]]) -> Cdp:
    """Load rows of each kind, and refresh."""
    for kind, rows in files.items():
        name = f"events_{DAY}.ndjson" if kind == "ga4" else f"{kind}.ndjson"
        cdp.run("load", kind, write(name, rows))
    assert cdp.refresh()["state"] == "succeeded"
    return cdp


def state(cdp: Cdp, who: str, purpose: str) -> str:
    return str(profile_of(cdp, who)["consent"][purpose]["state"])


def test_an_address_is_delivered_by_its_own_word_alone(cdp: Cdp, write: Write) -> None:
    pairs = {
        "refused": ("first@refused.org", "second@refused.org"),
        "signed": ("first@signed.org", "second@signed.org"),
        "imported": ("first@imported.org",),
        "again": ("first@again.org",),
    }
    rows = [event(DAY, f"{who}.1", user=who, at=n) for n, who in enumerate(pairs)]
    links = [
        link(("user_id", who), ("email", address))
        for who, addresses in pairs.items()
        for address in addresses
    ]
    said = [
        # Another address's later Yes opens no address that was refused.
        decision("email", "second@refused.org", "marketing", "denied", at(2), "support"),
        decision("email", "first@refused.org", "marketing", "granted", at(3), "support"),
        # A signed-in No closes all addresses, and a later import of the CRM opens none.
        decision("email", "first@signed.org", "marketing", "granted", at(2), "crm"),
        decision("user_id", "signed", "marketing", "denied", at(3), "preference_centre"),
        decision("email", "second@signed.org", "marketing", "granted", at(4), "crm"),
        # What an import grants, a newer No of any source closes, in whatever case it is spelled.
        decision("email", "First@Imported.org ", "marketing", "granted", at(2), "CRM"),
        decision("email", "first@imported.org", "marketing", "denied", at(3), "Newsletter"),
        # An explicit No is opened by a newer explicit Yes.
        decision("email", "first@again.org", "marketing", "denied", at(2), "Support"),
        decision("email", "first@again.org", "marketing", "granted", at(3), "PREFERENCE_CENTRE"),
    ]
    loaded(cdp, write, ga4=rows, links=links, consent=said)
    held = {who: profile_of(cdp, who) for who in pairs}
    assert {who: body.get("contact", {}).get("email") for who, body in held.items()} == {
        "refused": "first@refused.org",
        "signed": None,
        "imported": None,
        "again": "first@again.org",
    }
    assert {who: body["identifiers"].get("email") for who, body in held.items()} == {
        "refused": ["first@refused.org"],
        "signed": None,
        "imported": None,
        "again": ["first@again.org"],
    }
    marketing = {who: body["consent"]["marketing"] for who, body in held.items()}
    assert {who: told["state"] for who, told in marketing.items()} == {
        "refused": "granted",
        "signed": "denied",
        "imported": "denied",
        "again": "granted",
    }
    assert marketing["again"]["since"].startswith("2026-10-03T08:00:00")
    # Nor does the console show the one that was refused, wherever it stands.
    platform = cdp.platform
    with closing(platform.published()) as warehouse:
        shown = {
            address: permits(platform.policy, "email", found.ground)
            for address in pairs["refused"]
            for found in stitching.lookup(warehouse, platform.policy, address)
        }
    assert shown == {"first@refused.org": True, "second@refused.org": False}


def test_a_no_of_one_identifier_is_overruled_by_nobody_else(cdp: Cdp, write: Write) -> None:
    rows = [
        # One device denies ads, another grants them later.
        event(DAY, "no.1", user="torn", ads="No", at=1),
        event(DAY, "yes.1", user="torn", ads="Yes", at=9),
        # The person's own Yes of January, and the banner's No of today.
        event(DAY, "banner.1", user="january", ads="No", at=1),
        # An imported No on the user id, and a banner's Yes.
        event(DAY, "loud.1", user="loud", ads="Yes", at=9),
        # Denied rows without a client speak for their user id: the next hit of a device that had
        # spoken before changes nothing, the first Yes of a new one does.
        event(DAY, "old.1", user="pinged", at=1),
        event(DAY, None, user="pinged", analytics="No", ads="No", session=None, at=2),
        event(DAY, "old.1", user="pinged", at=3),
        event(DAY, "before.1", user="answered", at=1),
        event(DAY, None, user="answered", analytics="No", ads="No", session=None, at=2),
        event(DAY, "fresh.1", user="answered", at=3),
        # What nobody knows denies; what says nothing says nothing.
        event(DAY, "odd.1", user="odd", ads="maybe", at=1),
        event(DAY, "silent.1", user="silent", ads="Unset", at=1),
        # Global Privacy Control, though the banner says Yes.
        event(
            DAY, "gpc.1", user="gpc", at=1,
            event_params=[
                {"key": "ga_session_id", "value": {"int_value": "1"}},
                {"key": "gpc", "value": {"int_value": "1"}},
            ],
        ),
        # The newest word of one device.
        event(DAY, "newest.1", ads="No", at=1),
        event(DAY, "newest.1", ads="Yes", at=2),
        event(DAY, "newest.1", ads="Yes", at=8),
    ]  # fmt: skip
    said = [
        decision(
            "user_id", "january", "ads", "granted", "2026-01-05T00:00:00Z", "preference_centre"
        ),
        decision("user_id", "loud", "ads", "denied", at(1, "00:00:00"), "some_banner"),
    ]
    loaded(cdp, write, ga4=rows, consent=said)
    found = {
        who: profile_of(cdp, who)["consent"]["ads"]
        for who in ("torn", "january", "loud", "gpc", "odd", "silent", "newest.1")
    }
    assert {who: (ads["state"], ads.get("source")) for who, ads in found.items()} == {
        "torn": ("denied", "ga4"),
        "january": ("denied", "ga4"),
        "loud": ("denied", "some_banner"),
        "gpc": ("denied", "gpc"),
        "odd": ("denied", "ga4"),
        "silent": ("unknown", None),
        "newest.1": ("granted", "ga4"),
    }
    # A repeated Yes is not a new one.
    assert found["newest.1"]["since"].startswith("2026-10-01T12:00:02")
    cdp.run("profile", "pinged", code=1)
    cdp.run("profile", "old.1", code=1)
    assert state(cdp, "answered", "analytics") == "granted"
    assert "ads" not in profile_of(cdp, "torn")


def test_only_a_newer_explicit_yes_on_the_user_id_sets_a_no_aside(cdp: Cdp, write: Write) -> None:
    rows = [
        event(DAY, f"{who}.1", user=who, ads="No", at=1) for who in ("asked", "mailed", "revoked")
    ]
    links = [link(("user_id", "mailed"), ("email", "mailed@example.org"))]
    said = [
        decision("user_id", "asked", "ads", "granted", at(2), "preference_centre"),
        decision("email", "mailed@example.org", "ads", "granted", at(2), "preference_centre"),
        decision("user_id", "revoked", "ads", "granted", at(2), "preference_centre"),
        decision("user_id", "revoked", "ads", "denied", at(3), "any_other"),
    ]
    loaded(cdp, write, ga4=rows, links=links, consent=said)
    found = {who: state(cdp, who, "ads") for who in ("asked", "mailed", "revoked")}
    assert found == {"asked": "granted", "mailed": "denied", "revoked": "denied"}


def test_a_date_without_a_time_denies_to_the_end_of_its_day(cdp: Cdp, write: Write) -> None:
    rows = [event(DAY, f"{who}.1", user=who, ads=None, at=1) for who in ("no", "yes")]
    said = [
        decision("user_id", "no", "ads", "denied", "2026-10-02", "support"),
        decision("user_id", "no", "ads", "granted", at(2, "15:00:00"), "support"),
        decision("user_id", "yes", "ads", "granted", "2026-10-02", "support"),
        decision("user_id", "yes", "ads", "denied", at(2, "15:00:00"), "support"),
    ]
    loaded(cdp, write, ga4=rows, consent=said)
    assert (state(cdp, "no", "ads"), state(cdp, "yes", "ads")) == ("denied", "granted")
    assert profile_of(cdp, "yes")["consent"]["ads"]["since"].startswith("2026-10-02T23:59:59")


def test_a_link_that_is_denied_later_no_longer_joins(cdp: Cdp, write: Write) -> None:
    rows = [
        event(DAY, f"{who}.1", user=who, at=n) for n, who in enumerate(["kept", "parted", "shut"])
    ]
    links = [
        link(("user_id", "kept"), ("email", "kept@example.org")),
        link(("user_id", "parted"), ("email", "parted@example.org")),
        {**link(("email", "parted@example.org"), ("user_id", "parted"), "denied"), "at": at(3)},
        {**link(("user_id", "kept"), ("email", "kept@example.org"), "unknown"), "at": at(4)},
        link(("user_id", "shut"), ("email", "shut@example.org")),
    ]
    said = [
        decision("email", f"{who}@example.org", "marketing", "granted", at(2), "crm")
        for who in ("kept", "parted", "shut")
    ]
    # Whoever denies to be joined has no edge; the person they belong to is bound by their No.
    said.append(decision("email", "shut@example.org", "analytics", "denied", at(3), "support"))
    loaded(cdp, write, ga4=rows, links=links, consent=said)
    assert profile_of(cdp, "kept")["contact"]["email"] == "kept@example.org"
    assert "contact" not in profile_of(cdp, "parted")
    cdp.run("profile", "shut", code=1)


def test_a_cmps_grant_opens_rows_that_say_nothing(cdp: Cdp, write: Write) -> None:
    rows = [
        event(DAY, f"{who}.1", user=who, analytics=None, ads=None, at=n)
        for n, who in enumerate(["opened", "silent"])
    ]
    said = [decision("client_id", "opened.1", "analytics", "granted", at(2), "cmp")]
    loaded(cdp, write, ga4=rows, consent=said)
    assert profile_of(cdp, "opened")["ga4"]["events"] == 1
    cdp.run("profile", "silent", code=1)


def test_a_grant_lapses(cdp: Cdp, write: Write, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    text = (Path(__file__).parents[2] / "cdp" / "domain" / "policy.toml").read_text("utf-8")
    policy.write_text(text.replace("[purposes.ads]\n", '[purposes.ads]\nexpires = "13 months"\n'))
    cdp.env["CDP_POLICY"] = str(policy)
    rows = [event(DAY, f"{who}.1", user=who, ads=None) for who in ("lapsed", "fresh")]
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    said = [
        decision("user_id", "lapsed", "ads", "granted", "2020-01-01T00:00:00Z", "support"),
        decision("user_id", "fresh", "ads", "granted", yesterday, "support"),
    ]
    loaded(cdp, write, ga4=rows, consent=said)
    assert (state(cdp, "lapsed", "ads"), state(cdp, "fresh", "ads")) == ("unknown", "granted")


SPELLINGS = {
    "phone": ["+33 6 12 34 56 78", "0033612345678", "06 12 34 56 78", "+33 (0)6 12 34 56 78"],
    "email": [
        "zoë@bücher.example.org",
        unicodedata.normalize("NFD", "Zoë@Bücher.example.org"),
        "mailto:zoë@xn--bcher-kva.example.org",
        "\u200bzoë@bücher.example.org\ufeff",
    ],
}


@pytest.mark.parametrize("type_", SPELLINGS)
def test_a_denial_in_one_spelling_binds_all_of_them(
    cdp: Cdp, write: Write, tmp_path: Path, type_: str
) -> None:
    policy = tmp_path / "policy.toml"
    text = (Path(__file__).parents[2] / "cdp" / "domain" / "policy.toml").read_text("utf-8")
    policy.write_text(text.replace("[regions]\n", '[regions]\n"*" = "FR"\n'))
    cdp.env["CDP_POLICY"] = str(policy)
    spelled = SPELLINGS[type_]
    people = [f"u{n}" for n in range(len(spelled))]
    rows = [event(DAY, f"{n}.1", user=who, at=n) for n, who in enumerate(people)]
    # Of several user ids a contact joins nobody: one person, whose devices have no user.
    rows = [event(DAY, f"{n}.1", at=n) for n, _ in enumerate(people)]
    links = [link(("client_id", f"{n}.1"), (type_, value)) for n, value in enumerate(spelled)]
    said = [decision(type_, spelled[0], "marketing", "granted", at(2), "crm")]
    loaded(cdp, write, ga4=rows, links=links, consent=said)
    ids = {profile_of(cdp, value)["profile_id"] for value in spelled}
    assert len(ids) == 1
    assert len(profile_of(cdp, spelled[0])["identifiers"]["client_id"]) == len(spelled)
    cdp.run("load", "consent", write("no.ndjson", [
        decision(type_, spelled[3], "marketing", "denied", at(3), "crm")]))  # fmt: skip
    cdp.refresh()
    assert all("contact" not in body for body in cdp.documents().values())


def test_what_is_no_identifier_joins_nobody_and_says_why(cdp: Cdp, write: Write) -> None:
    rows = [event(DAY, f"{n}.1", at=n) for n in range(4)]
    junk = [("phone", "000-000-0000"), ("phone", "call me at 12345678"), ("email", "ada@localhost")]
    links = [link(("client_id", f"{n}.1"), end) for end in junk for n in range(4)]
    loaded(cdp, write, ga4=rows, links=links)
    assert cdp.json("stats")["clusters"] == 4


def test_a_look_up_knows_the_country_that_a_number_leaves_out(cdp: Cdp, write: Write) -> None:
    links = [link(("client_id", "1.1"), ("phone", "0049 30 1234567"))]
    said = [decision("phone", "+49 (0)30 1234567", "marketing", "granted", at(2), "crm")]
    loaded(cdp, write, ga4=[event(DAY, "1.1")], links=links, consent=said)
    assert profile_of(cdp, "0049301234567")["contact"]["phone"] == "+49301234567"


def test_the_ledger_holds_every_statement_once_with_its_evidence(cdp: Cdp, write: Write) -> None:
    said = [decision("user_id", "ada", "ads", "denied", at(2), "support")]
    loaded(cdp, write, ga4=[event(DAY, "1.1", user="ada")], consent=said)
    cdp.refresh("--full")
    asked = (
        "select type, value, purpose, state, source, evidence, told_by is not null "
        "from consent_statement order by purpose, type"
    )
    with closing(cdp.platform.published()) as warehouse:
        ledger = warehouse.query(asked, {}).rows()
    assert ledger == [
        ("client_id", "default/1/1.1", "ads", "granted", "ga4", "events_20261001", False),
        ("user_id", "ada", "ads", "denied", "support", "consent.ndjson, line 1", True),
        ("client_id", "default/1/1.1", "analytics", "granted", "ga4", "events_20261001", False),
    ]

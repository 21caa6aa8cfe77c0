"""Who receives which identifiers: whatever a page draws, all that is sent to the browser counts."""

import json
import time
from collections.abc import Callable, Collection

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import HIDDEN, Role, mask
from cdp.governance.actions import Shell
from cdp.ui import masks
from tests.pages.property import HALLE, HOSTILE, OPAL, PAULA
from tests.pages.support import Download, Wire, go, table, tour
from tests.people import audited, change, tamper

SignedIn = Callable[[Role], AppTest]


def id_of(platform: Platform, value: str) -> str:
    (found,) = platform.documents.find(value)
    return found


def everybody(platform: Platform) -> set[str]:
    """Return every identifier that the warehouse or the document store holds, as people know it."""
    found: set[str] = set()
    documents = platform.documents.page("profiles", limit=1000).documents
    for document in documents:
        held = document.body.get("identifiers")
        for values in held.values() if isinstance(held, dict) else ():
            found |= (
                {v for v in values if isinstance(v, str)} if isinstance(values, list) else set()
            )
    warehouse = platform.published()
    try:
        for row in warehouse.query("select type, value from identifier", {}).to_dicts():
            bare = row["value"].split("/", 2)[-1] if row["type"] == "client_id" else row["value"]
            found.add(bare)
    finally:
        warehouse.close()
    found.discard(HOSTILE)  # it is also a country
    # Text of six characters and more: shorter ones are part of anything.
    return {value for value in found if len(value) > 5}


def received(wire: Wire, values: Collection[str]) -> set[str]:
    sent = wire.bytes().lower()
    spelled = {value: (value, json.dumps(value)[1:-1]) for value in values}
    return {
        value
        for value, ways in spelled.items()
        if any(way.lower().encode() in sent for way in ways)
    }


def ask(at: AppTest, reason: str = "a customer asked by phone") -> AppTest:
    """Open the dialog and give a reason; AppTest draws a dialog only where its button is hit."""
    at.button(key="reveal").click().run()
    at.text_input(key="reason").input(reason)
    return at.button(key="reveal").click().run()


def reveal(at: AppTest, reason: str = "a customer asked by phone") -> AppTest:
    ask(at, reason).button(key="reveal_it").click().run()
    assert not at.exception
    return at


def test_a_marketer_receives_nobodys_identifiers_on_any_page(
    refreshed: Platform, signed_in: SignedIn, wire: Wire
) -> None:
    values = everybody(refreshed)
    assert len(values) > 600
    assert {*PAULA.values(), *OPAL.values()} <= values
    profiles = [id_of(refreshed, someone["user_id"]) for someone in (PAULA, OPAL)]
    at = signed_in(Role.MARKETER)
    tour(at, *profiles)
    for typed in (PAULA["user_id"], OPAL["phone"]):
        go(at, "stitching", "Look up")
        at.text_input(key="look_up_0").input(typed)
        at.text_input(key="look_up_1").input(OPAL["client_id"]).run()
        go(at, "consent", "A person")
        at.text_input(key="who").input(typed).run()
    assert received(wire, values) == set()


def test_an_admin_receives_whom_a_list_shows_and_on_a_profile_what_consent_permits(
    refreshed: Platform, signed_in: SignedIn, wire: Wire
) -> None:
    at = signed_in(Role.ADMIN)
    wire.messages.clear()
    tour(at)
    assert len(received(wire, everybody(refreshed))) > 40, "lists are whole, and this finds them"

    wire.messages.clear()
    for tab in ("Events", "Identities", "Consent history", "Fields", "Document"):
        go(at, "customers", tab, profile=id_of(refreshed, PAULA["user_id"]))
    assert received(wire, PAULA.values()) == {PAULA["user_id"], PAULA["client_id"]}
    wire.messages.clear()
    for tab in ("Events", "Identities", "Consent history", "Fields", "Document"):
        go(at, "customers", tab, profile=id_of(refreshed, OPAL["user_id"]))
    assert received(wire, OPAL.values()) == set(OPAL.values())


def test_who_reveals_with_a_reason_receives_that_profile_and_no_other(
    refreshed: Platform, signed_in: SignedIn, wire: Wire
) -> None:
    values = everybody(refreshed) - set(PAULA.values())
    paula = id_of(refreshed, PAULA["user_id"])
    opal = id_of(refreshed, OPAL["user_id"])
    at = go(signed_in(Role.MARKETER), "customers", profile=paula)
    wire.messages.clear()
    reveal(at)
    permitted = {PAULA["user_id"], PAULA["client_id"]}
    assert received(wire, PAULA.values()) == permitted
    assert {
        row["Value"] for row in table(go(at, "customers", "Identities", profile=paula), "Value")
    } == permitted | {HIDDEN}
    assert audited(
        refreshed.documents, "target", "outcome", "reason", "details", action="profile:reveal"
    ) == [(paula, "done", "a customer asked by phone", {})]
    assert received(wire, values) == set()
    wire.messages.clear()
    tour(at, opal)
    go(at, "stitching", "Clusters", cluster=paula)
    go(at, "consent", "A person")
    at.text_input(key="who").input(paula).run()
    assert table(at, "When", "Identifier")
    assert received(wire, values | set(PAULA.values())) == set()


def test_an_admin_has_nothing_to_reveal_for_only_consent_withholds(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = go(signed_in(Role.ADMIN), "customers", profile=id_of(refreshed, PAULA["user_id"]))
    assert "reveal" not in {button.key for button in at.button}


def withheld(platform: Platform) -> set[str]:
    """Return the identifiers that consent in force shows to nobody, as people know them."""
    policy = platform.policy
    warehouse = platform.published()
    try:
        held = warehouse.query(
            "select i.type, i.value, i.identifier_id, p.granted from identifier as i "
            "join identity as n on n.identifier_id = i.identifier_id and n.present "
            "join permit as p on p.profile_id = n.profile_id",
            {},
        ).rows()
        values = {
            (number, purpose): state
            for number, purpose, state in warehouse.query(
                "select identifier_id, purpose, state from value_consent", {}
            ).rows()
        }
        ends = warehouse.query(
            "select a_type, a_value from link where consent <> 'granted' "
            "union distinct select b_type, b_value from link where consent <> 'granted'",
            {},
        ).rows()
    finally:
        warehouse.close()
    permitted, refused = set(), set()
    for kind, value, number, granted in held:
        purpose = policy.purpose_of(f"identifiers.{kind}")
        may = f"|{purpose}|" in granted and values.get((number, purpose), "granted") == "granted"
        (permitted if may else refused).add((kind, value))
    refused |= {*ends} - permitted
    bare = {kind_value: kind_value[1].split("/", 2)[-1] for kind_value in permitted | refused}
    shown = {bare[one] for one in permitted} | {HOSTILE}
    return {bare[one] for one in refused if len(bare[one]) > 5} - shown


@pytest.mark.parametrize("role", Role)
def test_what_consent_withholds_nobody_receives_on_any_page(
    refreshed: Platform, signed_in: SignedIn, wire: Wire, role: Role
) -> None:
    hidden = withheld(refreshed)
    assert {PAULA["email"], PAULA["phone"], HALLE["phone"]} <= hidden
    assert len(hidden) > 100
    paula, halle = (id_of(refreshed, someone["user_id"]) for someone in (PAULA, HALLE))
    at = signed_in(role)
    for profile_id in (paula, halle):
        go(at, "customers", profile=profile_id)
        if role is Role.MARKETER:
            reveal(at)
    tour(at, paula, halle)
    go(at, "stitching", "Kept out")
    while not at.button(key="kept_out_next").disabled:
        at.button(key="kept_out_next").click().run()
    go(at, "stitching", "Look up")
    at.text_input(key="look_up_0").input(paula)
    at.text_input(key="look_up_1").input(OPAL["client_id"]).run()
    go(at, "consent", "A person")
    at.text_input(key="who").input(paula).run()
    assert received(wire, hidden) == set()


def test_the_audit_log_holds_no_value_of_anybody(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download]
) -> None:
    paula = id_of(refreshed, PAULA["user_id"])
    reveal(go(signed_in(Role.MARKETER), "customers", profile=paula))
    assert PAULA["user_id"] in str(downloads[f"{paula}.json"]())
    rows = refreshed.documents.page("audit", limit=1000).documents
    told = json.dumps([row.body for row in rows])
    assert [value for value in everybody(refreshed) if value in told] == []


@pytest.mark.parametrize("reason", ["", "   x   ", "short"])
def test_without_a_reason_nothing_is_revealed(
    refreshed: Platform, signed_in: SignedIn, wire: Wire, reason: str
) -> None:
    paula = id_of(refreshed, PAULA["user_id"])
    at = reveal(go(signed_in(Role.MARKETER), "customers", profile=paula), reason)
    assert "say why" in at.error[0].value
    assert received(wire, PAULA.values()) == set()
    assert audited(refreshed.documents, "action", action="profile:reveal") == []


def test_what_was_revealed_is_masked_again_after_a_quarter_of_an_hour(
    refreshed: Platform, signed_in: SignedIn, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    paula = id_of(refreshed, PAULA["user_id"])
    at = reveal(go(signed_in(Role.MARKETER), "customers", profile=paula))
    now = masks.time.time()
    monkeypatch.setattr(masks.time, "time", lambda: now + masks.REVEALED_SECONDS - 5)
    wire.messages.clear()
    at.run()
    assert received(wire, PAULA.values())
    monkeypatch.setattr(masks.time, "time", lambda: now + masks.REVEALED_SECONDS + 1)
    wire.messages.clear()
    at.run()
    assert received(wire, PAULA.values()) == set()


def test_a_marketers_download_is_masked_until_they_reveal(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download]
) -> None:
    opal = id_of(refreshed, OPAL["user_id"])
    at = go(signed_in(Role.MARKETER), "customers", profile=opal)
    before = str(downloads[f"{opal}.json"]())
    assert [value for value in OPAL.values() if value in before] == []
    assert json.loads(before)["identifiers"]["email"] == [mask("email", OPAL["email"])]
    reveal(at)
    after = json.loads(downloads[f"{opal}.json"]())
    held = refreshed.documents.get("profiles", opal)
    assert held is not None
    assert after == held.body
    assert audited(refreshed.documents, "actor", "details", action="profile:download") == [
        ("max", {"masked": True}),
        ("max", {"masked": False}),
    ]


def test_a_download_is_masked_again_where_the_reveal_has_run_out(
    refreshed: Platform,
    signed_in: SignedIn,
    downloads: dict[str, Download],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opal = id_of(refreshed, OPAL["user_id"])
    at = go(signed_in(Role.MARKETER), "customers", profile=opal)
    reveal(at)
    take = downloads[f"{opal}.json"]
    assert OPAL["email"] in str(take())
    over = time.time() + masks.REVEALED_SECONDS + 1
    monkeypatch.setattr(masks.time, "time", lambda: over)
    after = str(take())
    assert [value for value in OPAL.values() if value in after] == []
    rows = audited(refreshed.documents, "details", action="profile:download")
    assert rows == [({"masked": False},), ({"masked": True},)]


@pytest.mark.parametrize("role", Role)
def test_a_download_of_an_old_page_holds_nothing_that_was_withdrawn_since(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download], role: Role
) -> None:
    opal = id_of(refreshed, OPAL["user_id"])
    at = go(signed_in(role), "customers", profile=opal)
    if role is Role.MARKETER:
        reveal(at)
    take = downloads[f"{opal}.json"]
    assert OPAL["email"] in str(take())
    refreshed.governance.decide(
        Shell("x"), "user_id", OPAL["user_id"], "marketing", "denied",
        channel="phone", reason="asked on the phone",
    )  # fmt: skip
    after = str(take())
    assert OPAL["user_id"] in after
    assert OPAL["email"] not in after
    assert OPAL["phone"] not in after


# --- what an old page can still send --------------------------------------------------------------

LOST = {
    "signed out": lambda documents: change(documents, "max"),
    "disabled": lambda documents: change(documents, "max", disabled=True),
    "no role": lambda documents: tamper(documents, "max", lambda body: body.update(role=None)),
}


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_session_that_is_over_reveals_nothing(
    refreshed: Platform, signed_in: SignedIn, wire: Wire, lose: Callable[..., None]
) -> None:
    paula = id_of(refreshed, PAULA["user_id"])
    at = go(signed_in(Role.MARKETER), "customers", profile=paula)
    ask(at)
    lose(refreshed.documents)
    at.button(key="reveal_it").click().run()
    assert not at.exception
    assert received(wire, PAULA.values()) == set()
    assert audited(refreshed.documents, "outcome", action="session:over") == [("refused",)]
    assert audited(refreshed.documents, "outcome", action="profile:reveal") == []


@pytest.mark.parametrize("lose", LOST.values(), ids=LOST)
def test_a_session_that_is_over_downloads_nothing(
    refreshed: Platform,
    signed_in: SignedIn,
    downloads: dict[str, Download],
    lose: Callable[..., None],
) -> None:
    paula = id_of(refreshed, PAULA["user_id"])
    go(signed_in(Role.MARKETER), "customers", profile=paula)
    lose(refreshed.documents)
    with pytest.raises(Exception, match="Your session is over"):
        downloads[f"{paula}.json"]()
    assert audited(refreshed.documents, "outcome", action="session:over") == [("refused",)]
    assert audited(refreshed.documents, "outcome", action="profile:download") == []

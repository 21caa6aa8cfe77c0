"""Whatever people, sites and other systems are called: pages show it as it is."""

import json
from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import Role
from cdp.profiles.port import PROFILES
from cdp.ui import words
from tests.pages.property import ATTACKS, FORMULA, HOSTILE, HOSTILE_ID
from tests.pages.support import Wire, go, said, tour
from tests.people import tamper

SignedIn = Callable[[Role], AppTest]

# Where the browser takes text as it is: data, ids, what stands in a field, alternative texts.
AS_IT_IS = {
    "alt", "columns", "id", "spec", "config", "query_string", "options", "raw_value", "raw_values",
    "placeholder", "default", "hash", "page_script_hash", "deferred_file_id",
}  # fmt: skip
VALUES = [f"user {HOSTILE}", f"client {HOSTILE}", FORMULA, HOSTILE]


@pytest.fixture
def hostile(refreshed: Platform) -> list[str]:
    """Names, reasons and filters that are markup, too; returns the profiles that have some."""
    documents = refreshed.documents
    for username in ("ada", "max"):
        tamper(documents, username, lambda body: body.update(name=HOSTILE))
    (user,) = documents.find(VALUES[0])
    (formula,) = documents.find("formula.1")
    refreshed.governance.reveal("max", user, HOSTILE)
    refreshed.governance.export("ada", {"source": HOSTILE}, 3, FORMULA)
    return [user, formula, HOSTILE_ID]


def seen(at: AppTest) -> str:
    return said(at) + json.dumps([frame.value.to_dict() for frame in at.dataframe], default=str)


@pytest.mark.parametrize("role", Role)
def test_no_markup_acts_on_any_page(
    hostile: list[str], signed_in: SignedIn, wire: Wire, role: Role
) -> None:
    at = signed_in(role)
    tour(at, *hostile)
    for typed in VALUES:
        go(at, "stitching", "Look up")
        at.text_input(key="look_up_0").input(typed)
        at.text_input(key="look_up_1").input("formula.1").run()
        assert not at.exception
        go(at, "consent", "A person")
        at.text_input(key="who").input(typed).run()
        assert not at.exception
        go(at, "customers")
        at.text_input(key="find").input(typed).run()
        assert not at.exception
        go(at, "customers", source=HOSTILE, country=HOSTILE, order=HOSTILE, after=HOSTILE)
    go(at, "pipeline", run=HOSTILE)
    go(at, "stitching", "Clusters", cluster=HOSTILE)
    go(at, "customers", profile=HOSTILE)

    told = list(wire.texts())
    acting = [
        (path, text[:200])
        for path, text in told
        if path.rpartition(".")[2] not in AS_IT_IS and not path.endswith("json.body")
        for attack in ATTACKS
        if attack in text
    ]
    assert acting == []
    charts = [text for path, text in told if path.endswith("plotly_chart.spec")]
    assert [spec[:200] for spec in charts if "<img" in spec or "<b onclick" in spec] == []
    if role is Role.ADMIN:  # and all of it was there
        assert any("&lt;img src=x onerror=alert(1)&gt;" in spec for spec in charts)
        assert any(words.plain(HOSTILE) in text for _, text in told)


def test_an_admin_reads_markup_as_text(hostile: list[str], signed_in: SignedIn) -> None:
    at = signed_in(Role.ADMIN)
    assert f"**{words.plain(HOSTILE)}**" in said(at)
    go(at, "customers", "Events", profile=hostile[0])
    assert at.title[0].value == words.plain(f"user {HOSTILE}")
    (events,) = [f.value for f in at.dataframe if "Event" in f.value.columns]
    assert set(events["Page"]) == {HOSTILE}
    assert set(events["Event"]) == {"page_view", HOSTILE}
    go(at, "customers", profile=hostile[1])
    assert at.title[0].value == words.plain(FORMULA)
    rows = go(at, "audit").dataframe[0].value
    assert {FORMULA, HOSTILE} <= set(rows["Why"])


@pytest.mark.parametrize("profile_id", ["malformed-1", "malformed-2", "crm-1", HOSTILE_ID])
@pytest.mark.parametrize("tab", ["Events", "Identities", "Consent history", "Fields", "Document"])
def test_what_other_systems_wrote_is_shown_whatever_it_is(
    refreshed: Platform, signed_in: SignedIn, profile_id: str, tab: str
) -> None:
    at = go(signed_in(Role.ADMIN), "customers", tab, profile=profile_id)
    assert "Not synchronised yet" in said(at)
    assert "no refresh has reached it yet" in at.info[0].value
    if tab == "Document":
        held = refreshed.documents.get(PROFILES, profile_id)
        assert held is not None
        shown = json.loads(at.json[0].value)
        assert shown.keys() == held.body.keys()
    if tab == "Fields":
        (fields,) = [f.value for f in at.dataframe if "Field" in f.value.columns]
        assert "written by another system" in set(fields["Comes from"])

"""The audit log as admins read it."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import Role
from cdp.governance.actions import Shell
from cdp.governance.audit import Outcome
from cdp.ui.audit import ACTIONS
from tests.pages.support import go, said, table

SignedIn = Callable[[Role], AppTest]


def log(at: AppTest, **query: str) -> AppTest:
    return go(at, "audit", **query)


def test_a_row_tells_who_did_what_on_whom_why_and_with_which_outcome(
    deployment: Platform, signed_in: SignedIn
) -> None:
    deployment.governance.reveal("max", "p_1", "a customer asked")
    deployment.governance.export("ada", {"stitched": "yes"}, 12, "summer campaign")
    row = deployment.audit.row("max", "refresh:start", "refresh", Outcome.REFUSED)
    deployment.documents.commit([row])
    rows = table(log(signed_in(Role.ADMIN)), "When", "Who")
    columns = ("Who", "Action", "On", "Outcome", "Why", "Details")
    assert [tuple(row[name] for name in columns) for row in rows] == [
        ("ada", "Sign in", "ada", "done", "", "how: password"),
        ("max", "Start a refresh", "refresh", "refused", "", ""),
        (
            "ada",
            "Export a list",
            "profiles",
            "done",
            "summer campaign",
            "filters: stitched yes · rows: 12",
        ),
        ("max", "Reveal identifiers", "p_1", "done", "a customer asked", ""),
    ]


def test_of_many_files_a_row_tells_the_first_and_how_many_more(
    deployment: Platform, signed_in: SignedIn
) -> None:
    files = {f"events_{number}.ndjson": number * 1000 for number in range(1, 1300)}
    deployment.governance.loaded(Shell("root"), "ga4", files)
    row = table(log(signed_in(Role.ADMIN)), "Details")[1]
    assert row["Details"] == "files: events_1.ndjson 1,000, events_2.ndjson 2,000 and 1,297 more"


def test_pages_hold_fifty_rows_and_each_row_once(deployment: Platform, signed_in: SignedIn) -> None:
    for number in range(119):
        deployment.governance.loaded(Shell("root"), "ga4", {f"events_{number}.ndjson": number})
    at = log(signed_in(Role.ADMIN))
    seen = [row["Details"] for row in table(at, "Details")]
    sizes = [len(seen)]
    while not at.button(key="audit_next").disabled:
        at.button(key="audit_next").click().run()
        rows = [row["Details"] for row in table(at, "Details")]
        seen += rows
        sizes.append(len(rows))
    assert sizes == [50, 50, 20]
    assert len(set(seen)) == 120
    at.button(key="audit_previous").click().run()
    assert [row["Details"] for row in table(at, "Details")] == seen[50:100]


@pytest.mark.parametrize("action", ["load:links", "session:begin"])
def test_the_log_is_read_by_action(deployment: Platform, signed_in: SignedIn, action: str) -> None:
    for kind in ("links", "consent"):
        deployment.governance.loaded(Shell("root"), kind, {"a.csv": 1})
    at = log(signed_in(Role.ADMIN), action=ACTIONS[action])
    assert {row["Action"] for row in table(at, "Action")} == {ACTIONS[action]}


def test_an_action_that_never_happened_says_so(signed_in: SignedIn) -> None:
    at = log(signed_in(Role.ADMIN), action="Change a role")
    assert "Nothing of this kind has happened yet." in said(at)
    assert not at.dataframe


def test_every_action_of_the_property_has_words(refreshed: Platform, signed_in: SignedIn) -> None:
    rows = table(log(signed_in(Role.ADMIN)), "Action")
    assert len(rows) > 10
    assert {row["Action"] for row in rows} <= set(ACTIONS.values())


def test_a_marketer_reads_nothing_of_it(refreshed: Platform, signed_in: SignedIn) -> None:
    at = log(signed_in(Role.MARKETER))
    assert "This page is for admins" in at.error[0].value
    assert not at.dataframe
    assert not at.title

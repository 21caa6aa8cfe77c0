"""The console as people use it, in a browser."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdp.domain.access import Role
from cdp.executions.port import State
from tests.browser.support import (
    PLAIN,
    SERVE,
    Browser,
    Page,
    Visitors,
    expect,
    fill,
    form,
    served,
    sign_in,
    sign_out_button,
)
from tests.e2e.support import Cdp
from tests.people import PASSWORD, add, audited, change
from tests.waiting import wait


def heading(page: Page, name: str | re.Pattern[str]):  # type: ignore[no-untyped-def]
    return page.get_by_role("heading", name=name).first  # the page before fades out beside it


def expect_text(page: Page, text: str) -> None:
    """Wait for *text* where a person sees it: a table draws itself, its cells' texts are hidden."""
    expect(page.get_by_text(text).filter(visible=True)).not_to_have_count(0)


def cookies(page: Page) -> list[dict[str, object]]:
    return [dict(c) for c in page.context.cookies() if c.get("name") == "cdp_session"]


def newest(cdp: Cdp) -> str:
    return cdp.platform.executions.list(limit=1)[0].id


# --- sign-in --------------------------------------------------------------------------------------


def test_signing_in_leaves_a_strict_cookie_that_carries_over_a_reload(visitors: Visitors) -> None:
    page = visitors.visit()
    sign_in(page, "ada", "wrong horse battery")
    expect(page.get_by_text("That did not work")).to_be_visible()
    assert cookies(page) == []
    sign_in(page, "ada")
    expect(sign_out_button(page)).to_be_visible()
    expect(form(page)).to_have_count(0)
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    (cookie,) = cookies(page)
    assert (cookie["sameSite"], cookie["path"]) == ("Strict", "/")
    page.reload()
    expect(sign_out_button(page)).to_be_visible()
    page.goto("/customers")
    expect(sign_out_button(page)).to_be_visible()


def test_the_form_is_filled_and_sent_from_the_keyboard(visitors: Visitors) -> None:
    page = visitors.visit()
    expect(form(page)).to_be_visible()
    for _ in range(5):
        page.keyboard.press("Tab")
        if form(page).evaluate("field => field === document.activeElement"):
            break
    expect(form(page)).to_be_focused()
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Password", exact=True)).to_be_focused()
    page.keyboard.type("wrong horse battery")
    page.keyboard.press("Enter")
    expect(page.get_by_text("That did not work")).to_be_visible()
    expect(form(page)).to_have_value("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    button = page.get_by_role("button", name="Sign in", exact=True)
    for _ in range(3):
        page.keyboard.press("Tab")
        if button.evaluate("button => button === document.activeElement"):
            break
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    expect(sign_out_button(page)).to_be_visible()


def test_a_deep_link_survives_sign_in_and_reload(visitors: Visitors, generated: Cdp) -> None:
    run_id = newest(generated)
    page = visitors.signed_in("max", f"/pipeline?run={run_id}")
    for _ in range(2):
        expect(heading(page, "Pipeline Control")).to_be_visible()
        expect_text(page, run_id)
        assert page.url.endswith(f"/pipeline?run={run_id}")
        page.wait_for_function("document.cookie.includes('cdp_session=')")
        page.reload()


PLACES = {
    "Overview": "/",
    "Stitching Audit": "/stitching?tab=Look+up",
    "Customer Explorer": "/customers?order=id",
    "No such profile": "/profile?profile=p_none",
}


@pytest.mark.parametrize("command", [SERVE, PLAIN], ids=["cdp serve", "streamlit run"])
@pytest.mark.parametrize("title", PLACES)
def test_the_first_visitor_of_a_server_finds_what_the_address_names(
    chromium: Browser, generated: Cdp, tmp_path: Path, command: tuple[str, ...], title: str
) -> None:
    path = PLACES[title]
    with served(generated, tmp_path / "log", command) as address:
        visitors = Visitors(chromium, address)
        page = visitors.visit(path)
        fill(page, "ada")
        expect(form(page)).to_have_value("ada")
        expect(page.get_by_label("Password", exact=True)).to_have_value(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(heading(page, title)).to_be_visible()
        expect(page.get_by_text("Page not found")).to_have_count(0)
        assert page.url == address + path
        visitors.close()


@pytest.mark.parametrize("command", [SERVE, PLAIN], ids=["cdp serve", "streamlit run"])
def test_a_new_server_shows_a_visitor_nothing_by_the_name_of_a_pages_file(
    chromium: Browser, generated: Cdp, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with served(generated, tmp_path / "log", command) as address:
        visitors = Visitors(chromium, address, allowed=re.compile("does not seem to exist"))
        page = visitors.visit("/audit")
        expect(form(page)).to_be_visible()
        expect(heading(page, "Audit Log")).to_have_count(0)
        assert not re.search("Audit|Who|Action", page.inner_text("body"))
        visitors.close()


def test_signing_out_ends_other_tabs_and_refuses_the_copied_cookie(visitors: Visitors) -> None:
    page = visitors.signed_in("ada")
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    copied = page.context.cookies()
    tab = page.context.new_page()
    tab.goto("/pipeline")
    expect(heading(tab, "Pipeline Control")).to_be_visible()
    thief = visitors.new()
    thief.add_cookies(copied)  # type: ignore[arg-type]
    before = thief.new_page()
    before.goto("/pipeline")
    expect(heading(before, "Pipeline Control")).to_be_visible()

    sign_out_button(page).click()
    expect(page.get_by_text("You are signed out, here and everywhere else.")).to_be_visible()
    page.wait_for_function("!document.cookie.includes('cdp_session=')")
    tab.get_by_role("button", name="Start a refresh").click()
    expect(tab.get_by_text("Your session is over")).to_be_visible()
    expect(heading(tab, "Pipeline Control")).to_have_count(0)

    late = visitors.new()
    late.add_cookies(copied)  # type: ignore[arg-type]
    for context in (thief, late):
        again = context.new_page()
        again.goto("/pipeline")
        expect(form(again)).to_be_visible()
        expect(heading(again, "Pipeline Control")).to_have_count(0)
    page.reload()
    expect(form(page)).to_be_visible()


def test_whoever_signs_in_again_where_they_signed_out_stays_signed_in(visitors: Visitors) -> None:
    page = visitors.signed_in("ada")
    sign_out_button(page).click()
    expect(page.get_by_text("You are signed out")).to_be_visible()
    page.wait_for_function("!document.cookie.includes('cdp_session=')")
    sign_in(page, "max")
    expect(page.get_by_text("Signed in as Max, marketer")).to_be_visible()
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    page.reload()
    expect(page.get_by_text("Signed in as Max, marketer")).to_be_visible()


def test_five_wrong_passwords_from_five_browsers_lock_the_right_one_out(
    visitors: Visitors, generated: Cdp
) -> None:
    documents = generated.platform.documents
    add(documents, "lena")
    for number in range(5):
        page = visitors.visit()
        sign_in(page, "lena", f"wrong password {number}")
        expect(page.get_by_text("That did not work")).to_be_visible()
    page = visitors.visit()
    sign_in(page, "lena")
    expect(page.get_by_text("locked after too many attempts")).to_be_visible()
    expect(sign_out_button(page)).to_have_count(0)
    assert audited(documents, "action", "outcome", target="lena") == [("session:locked", "refused")]


def test_a_marketer_reads_runs_and_is_told_who_may_start_one(visitors: Visitors) -> None:
    page = visitors.signed_in("max", "/pipeline")
    expect(page.get_by_role("button", name="Start a refresh")).to_be_disabled()
    expect(page.get_by_text("starting and cancelling needs the role admin")).to_be_visible()
    expect(page.get_by_role("link", name="Audit Log")).to_have_count(0)
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    page.goto("/audit")
    expect(page.get_by_text("This page is for admins")).to_be_visible()
    expect(heading(page, "Audit Log")).to_have_count(0)


# --- runs -----------------------------------------------------------------------------------------


@pytest.fixture
def held(generated: Cdp) -> Iterator[sqlite3.Connection]:
    """The queue, written by somebody else: no run gets beyond it until `rollback`."""
    with closing(sqlite3.connect(generated.home / "queue.sqlite", isolation_level=None)) as db:
        db.execute("begin immediate")
        yield db


def start(page: Page, *, full: bool = True) -> None:
    page.get_by_role("button", name="Start a refresh").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Start a refresh?")
    if full:
        dialog.get_by_text("Clean every day and write every profile again").click()
        expect(dialog.get_by_role("checkbox")).to_be_checked()
    dialog.get_by_role("button", name="Start it").click()


def stay(page: Page) -> None:
    """Mark the page, so that `stayed` can tell a reload."""
    page.evaluate("window.stayed = true")


def stayed(page: Page) -> bool:
    return bool(page.evaluate("window.stayed === true"))


def test_an_admin_starts_a_refresh_and_sees_it_succeed_without_a_reload(
    visitors: Visitors, generated: Cdp
) -> None:
    before = newest(generated)
    page = visitors.signed_in("ada", "/pipeline")
    stay(page)
    start(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_text("The refresh has started.")).to_be_visible()
    expect(heading(page, "Running now")).to_be_visible()
    expect_text(page, "Settle the run")
    expect(heading(page, "Running now")).to_have_count(0, timeout=120_000)
    expect(page.get_by_role("button", name="Start a refresh")).to_be_enabled()
    run_id = newest(generated)
    assert run_id != before
    run = generated.platform.executions.get(run_id)
    assert (run.state, run.started_by) == (State.SUCCEEDED, "ada")
    expect(page.get_by_text(f"{run_id} · started by")).to_have_count(1)
    expect(page.get_by_text(f"{run_id} · started by")).to_contain_text(
        re.compile(r"by ada · everything anew · took \d")
    )
    assert stayed(page)
    rows = audited(generated.platform.documents, "outcome", action="refresh:start", actor="ada")
    assert rows[-2:] == [("begun",), ("done",)]


def test_an_admin_cancels_a_run_and_sees_it_stop_without_a_reload(
    visitors: Visitors, generated: Cdp, held: sqlite3.Connection
) -> None:
    page = visitors.signed_in("ada", "/pipeline")
    stay(page)
    start(page)
    expect(heading(page, "Running now")).to_be_visible()
    page.get_by_role("button", name="Cancel run").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("What it has delivered stays")
    run_id = newest(generated)
    expect(dialog).to_contain_text(run_id)
    dialog.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("The run is stopping.")).to_be_visible()
    held.execute("rollback")
    run = wait(generated.platform.executions, run_id)
    assert (run.state, run.error) == (State.CANCELLED, "cancelled by ada")
    expect(heading(page, "Running now")).to_have_count(0)
    expect_text(page, "cancelled by ada")
    assert stayed(page)
    assert generated.refresh()["state"] == "succeeded"


def test_of_two_admins_who_decide_at_once_the_second_is_told(
    visitors: Visitors, generated: Cdp, held: sqlite3.Connection
) -> None:
    add(generated.platform.documents, "eva", Role.ADMIN)
    first, second = visitors.signed_in("ada", "/pipeline"), visitors.signed_in("eva", "/pipeline")
    second.get_by_role("button", name="Start a refresh").click()
    button = second.get_by_role("dialog").get_by_role("button", name="Start it")
    expect(button).to_be_visible()
    start(first)
    expect(heading(first, "Running now")).to_be_visible()
    run_id = newest(generated)
    button.click()
    expect(second.get_by_text(f"run {run_id} by ada is at it")).to_be_visible()
    assert newest(generated) == run_id
    held.execute("rollback")
    assert wait(generated.platform.executions, run_id).state is State.SUCCEEDED
    expect(heading(second, "Running now")).to_have_count(0)


def test_a_page_that_follows_a_run_goes_as_soon_as_its_session_is_over(
    visitors: Visitors, generated: Cdp, held: sqlite3.Connection
) -> None:
    platform = generated.platform
    run_id = platform.executions.start({"full": True}, by="somebody")
    page = visitors.signed_in("max", "/pipeline")
    expect(heading(page, "Running now")).to_be_visible()
    change(platform.documents, "max", name="Max")
    expect(page.get_by_text("Your session is over")).to_be_visible()
    expect(heading(page, "Running now")).to_have_count(0)
    held.execute("rollback")
    assert wait(platform.executions, run_id).state is State.SUCCEEDED

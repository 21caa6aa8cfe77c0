"""Every link of the console, and Back from where it leads: address, title and content."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from cdp.domain.access import Role
from cdp.domain.pseudonym import pseudonym
from tests.browser.support import Page, Visitors, expect
from tests.e2e.support import Cdp

TITLES = {
    "": "Overview",
    "customers": "Customer Explorer",
    "stitching": "Stitching Audit",
    "consent": "Consent Review",
    "pipeline": "Pipeline Control",
    "audit": "Audit Log",
}
ACCOUNTS = {Role.ADMIN: "ada", Role.MARKETER: "max"}


def place(page: Page) -> str:
    """Return path and query of the address."""
    return str(page.evaluate("location.pathname + location.search"))


def named(url: str) -> tuple[str, list[tuple[str, str]]]:
    """Return what an address names: its path, and its parameters in any order."""
    return urlsplit(url).path, sorted(parse_qsl(urlsplit(url).query))


def title_of(path: str) -> str:
    """Return the browser title of an address."""
    if found := re.fullmatch(r"/profile\?profile=(\w+).*", path):
        return pseudonym(found[1])
    return TITLES[re.split(r"[/?]", path)[1]]


def stands(page: Page, path: str) -> None:
    """Wait until the page shows what *path* names, and nothing of another page."""
    page.wait_for_url(lambda url: named(url) == named(path))
    expect(page).to_have_title(title_of(path))
    headings = page.get_by_role("heading", level=1)
    expect(headings).to_have_count(1)
    if path.startswith("/customers"):
        expect(page.locator('a[href*="profile?profile="]:visible').first).to_be_visible()
    if path.startswith("/profile"):
        expect(page.get_by_role("link", name="All customers")).to_be_visible()
    else:
        expect(headings).to_have_text(title_of(path))
    # Whoever goes back while a page is at work meets Streamlit's own race for the address.
    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning")


def links(page: Page) -> dict[str, str]:
    """Return where the page's links lead, with their `href`; of people in a list the first two."""
    found = page.locator("a[href]:visible").evaluate_all(
        """links => links.filter(a => a.target !== '_blank' && !a.hash)
          .map(a => [a.pathname + a.search, a.getAttribute('href')])"""
    )
    people = [path for path, _ in found if path.startswith("/profile?")]
    return {path: href for path, href in found if path not in people[2:]}


def follow(page: Page, origin: str) -> Iterator[str]:
    """Follow each link of a page and come back each time; yield where they lead."""
    stands(page, origin)
    for path, href in links(page).items():
        if urlsplit(path).path == urlsplit(origin).path:  # the menu's entry of the page one is on
            continue
        page.locator(f'a[href="{href}"]:visible').first.click()
        stands(page, path)
        page.go_back()
        stands(page, origin)
        yield path


@pytest.fixture(scope="module")
def someone(generated: Cdp) -> str:
    """The profile of somebody with several identifiers."""
    return next(
        profile_id
        for profile_id, body in generated.documents().items()
        if body.get("identifiers", {}).get("count", 0) > 1
    )


@pytest.mark.parametrize("role", Role)
def test_every_link_leads_where_it_says_and_back(
    visitors: Visitors, someone: str, role: Role
) -> None:
    page = visitors.signed_in(ACCOUNTS[role])
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    origins = [f"/{name}" for name in TITLES if name != "audit" or role is Role.ADMIN]
    origins += [
        "/customers?order=id&stitched=yes",
        f"/profile?profile={someone}",
        f"/profile?profile={someone}&details=Fields",
        f"/stitching?tab=Clusters&cluster={someone}",
    ]
    led: set[str] = set()
    for origin in origins:
        page.goto(origin)
        led |= set(follow(page, origin))
    names = {re.split(r"[/?]", path)[1] for path in led}
    assert names == {*TITLES, "profile"} - ({"audit"} if role is Role.MARKETER else set())

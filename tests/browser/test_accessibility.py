"""What axe-core finds on every page, in both themes, on a desk and on a phone."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from tests.browser.support import Page, Visitors, absent, expect
from tests.browser.support import sign_out_button as inside
from tests.e2e.support import Cdp

try:
    from axe_playwright_python.base import AXE_SCRIPT
except ImportError:
    absent("needs the package axe-playwright-python of requirements-dev.txt")


SIZES: Final = {"desk": (1440, 900), "phone": (390, 844)}
VIEWS: Final = (
    "/",
    "/customers",
    *(f"/stitching?tab={tab}" for tab in ("Shape", "Clusters", "Kept+out", "Look+up")),
    "/stitching?tab=Merges+and+splits",
    *(f"/consent?tab={tab}" for tab in ("States", "Disagreements", "Decisions", "Reachable")),
    "/consent?tab=A+person",
    "/pipeline",
    "/audit",
)
# Rules that are not serious by axe's count, and yet hold here.
HELD: Final = frozenset({"heading-order", "page-has-heading-one", "empty-heading"})
# What Streamlit's own markup gets wrong where no option changes it: rules, and where.
STREAMLITS: Final = {
    # The sections of the navigation are a div each, between the list and its entries.
    "list": '[data-testid="stSidebarNavItems"]',
    "listitem": '[data-testid="stSidebarNavItems"]',
}
DRAWN: Final = """
    document.querySelector('[data-testid="stApp"]')?.dataset.testScriptState === 'notRunning'
    && document.querySelector('h1')
    && !document.querySelector('[data-testid="stSkeleton"]')
"""
# The page's own scrollers are as wide as what is in them; tables and tabs scroll inside.
WITHIN: Final = "([found, part]) => Boolean(document.querySelector(found)?.closest(part))"
OVERFLOWS: Final = """
    [...document.querySelectorAll('[data-testid="stApp"], [data-testid="stMain"]')]
        .filter(part => part.scrollWidth > part.clientWidth)
        .map(part => `overflow: ${part.dataset.testid} is ${part.scrollWidth} wide`)
"""


def problems(page: Page) -> Iterator[str]:
    """Yield what is wrong with the page, at the width it has."""
    page.wait_for_function(DRAWN)
    found: dict[str, Any] = page.evaluate(f"{AXE_SCRIPT}; axe.run({{resultTypes: ['violations']}})")
    for rule in found["violations"]:
        if rule["impact"] not in {"serious", "critical"} and rule["id"] not in HELD:
            continue
        for node in rule["nodes"]:
            part = STREAMLITS.get(rule["id"])
            if part is None or not page.evaluate(WITHIN, [node["target"][0], part]):
                told = re.sub(r"\s+", " ", node["failureSummary"])
                yield f"{rule['id']}: {node['html'][:200]} ({told[:300]})"
    yield from page.evaluate(OVERFLOWS)


def on_every_size(page: Page, where: str, arrive: Callable[[], object]) -> list[str]:
    """Return the problems of a view, which is drawn anew for each size."""
    found = []
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        arrive()
        found += [f"{where} on a {size}: {problem}" for problem in problems(page)]
    return found


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_form_can_be_read_and_named_by_everybody(visitors: Visitors, theme: str) -> None:
    page = visitors.new().new_page()
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    assert on_every_size(page, "sign-in", lambda: page.goto("/")) == []


def test_every_page_can_be_read_and_named_by_everybody(
    visitors: Visitors, generated: Cdp, theme: str
) -> None:
    page = visitors.signed_in("ada")
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.wait_for_function("document.cookie.includes('cdp_session=')")
    someone = generated.platform.documents.page("profiles", limit=1).documents[0].id
    found = []
    for view in (*VIEWS, f"/customers?profile={someone}"):
        found += on_every_size(page, view, lambda view=view: page.goto(view))
        expect(inside(page)).to_have_count(1)
    assert found == []


def test_the_dialog_that_starts_a_refresh_can_be_read_and_named_by_everybody(
    visitors: Visitors, theme: str
) -> None:
    page = visitors.signed_in("ada")
    page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
    page.wait_for_function("document.cookie.includes('cdp_session=')")

    def arrive() -> None:
        page.goto("/pipeline")
        page.get_by_role("button", name="Start a refresh").click()
        expect(page.get_by_role("button", name="Start it")).to_be_visible()

    assert on_every_size(page, "the dialog", arrive) == []

"""A small property, served, and a browser to look at it with."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from cdp.domain.access import Role
from tests.e2e.support import Cdp
from tests.people import add

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.support import Visitors


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Cdp:
    """A home with 200 generated people over 3 days, refreshed, an admin and a marketer."""
    folder = tmp_path_factory.mktemp("served")
    cdp = Cdp(folder / "home", {})
    cdp.run("generate", folder / "in", "--people", "200", "--days", "3")
    cdp.run("load", "ga4", folder / "in" / "ga4")
    cdp.run("load", "links", folder / "in" / "links")
    cdp.run("load", "consent", folder / "in" / "consent")
    cdp.refresh()
    add(cdp.platform.documents, "ada", Role.ADMIN)
    add(cdp.platform.documents, "max")
    return cdp


# Not for the session: while it lives, no other test of this process could run an event loop.
@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """The machine's browser, started."""
    from playwright.sync_api import sync_playwright

    from tests.browser.support import FLAGS, executable

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(generated: Cdp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the console is served."""
    from tests.browser.support import served

    with served(generated, tmp_path_factory.mktemp("server") / "log") as found:
        yield found


@pytest.fixture
def visitors(chromium: "Browser", address: str) -> "Iterator[Visitors]":
    """Visitors of the console; console errors and requests to other hosts fail the test."""
    from tests.browser.support import Visitors

    found = Visitors(chromium, address)
    yield found
    found.close()

"""The console's sessions, as AppTest runs them."""

from pathlib import Path

from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from cdp.domain.access import Role
from cdp.platform import HOME_PAGE

SECONDS = 30
ACCOUNTS = {Role.ADMIN: "ada", Role.MARKETER: "max"}
PAGES = sorted((HOME_PAGE.parent / "pages").glob("*.py"))


class Served:
    """`PagesManager` in a server that `serve` started, or that has come to `st.navigation`.

    AppTest would begin each of its runs as the first of a server.
    """

    uses_pages_directory: bool | None = None  # what AppTest sets

    def __new__(cls, *args: object, **more: object) -> PagesManager:  # type: ignore[misc]
        PagesManager.uses_pages_directory = False
        return PagesManager(*args, **more)  # type: ignore[arg-type]


def visit() -> AppTest:
    """Return a new visitor's session, at the sign-in form."""
    at = AppTest.from_file(str(HOME_PAGE), default_timeout=SECONDS).run()
    assert not at.exception
    return at


def fill(at: AppTest, username: str, password: str) -> AppTest:
    """Fill the sign-in form and send it."""
    at.text_input(key="sign_in_username").input(username)
    at.text_input(key="sign_in_password").input(password)
    at.button(key="sign_in_now").click().run()
    assert not at.exception
    return at


def inside(at: AppTest) -> bool:
    """Whether the session shows the console, not the form."""
    keys = {button.key for button in at.button}
    assert ("sign_out" in keys) != ("sign_in_now" in keys or "provider_out" in keys)
    return "sign_out" in keys


def open_page(at: AppTest, page: Path) -> AppTest:
    """Go to a page of `pages/`."""
    at.switch_page(f"pages/{page.name}").run()
    assert not at.exception
    return at

"""A console that is served, and browsers that visit it."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

from tests.e2e.support import ROOT, Cdp
from tests.people import PASSWORD


def absent(what: str) -> NoReturn:
    """Skip, or fail with CI=true, so that nobody's build skips it unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what, allow_module_level=True)


try:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect
except ImportError:
    absent("needs the package playwright of requirements-dev.txt")

expect.set_options(timeout=60_000)  # a machine may be busy with other tests

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Streamlit asks below a page's own address first, and then at the root: two 404s that are its own.
PROBES = re.compile(r"/[a-z_]+/_stcore/(health|host-config)")

NOTHING = re.compile(r"(?!)")


def executable() -> str:
    """Return the browser to drive: $CDP_CHROMIUM, or what the machine has."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CDP_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    return found or absent("needs a browser: install chromium, or say where in CDP_CHROMIUM")


# --- the server -----------------------------------------------------------------------------------

SERVE = ("-m", "cdp", "serve", "--port")
PLAIN = ("-m", "streamlit", "run", "Home.py", "--server.port")


@contextmanager
def served(cdp: Cdp, log: Path, command: Sequence[str] = SERVE) -> Iterator[str]:
    """Serve the console on a free port; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command, str(port)],
            cwd=ROOT,
            env=cdp.environ({}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not _healthy(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/_stcore/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


# --- visitors -------------------------------------------------------------------------------------


@dataclass
class Visitors:
    """Browser profiles of their own; notes whatever goes wrong in any of them.

    `allowed` finds console errors that the test provokes.
    """

    browser: Browser
    address: str
    allowed: re.Pattern[str] = NOTHING
    problems: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def new(self, width: int = 1280, height: int = 720) -> BrowserContext:
        """Return a fresh browser profile; a narrow one is a phone's."""
        context = self.browser.new_context(
            base_url=self.address,
            locale="en-US",
            viewport={"width": width, "height": height},
            has_touch=width < 500,
        )
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"error: {error.error}"))
        context.on("request", self._request)
        context.on("page", lambda page: page.on("websocket", lambda ws: self._host(ws.url)))
        self.contexts.append(context)
        return context

    def visit(self, path: str = "/", **screen: int) -> Page:
        """Open the address in a fresh browser profile."""
        page = self.new(**screen).new_page()
        page.goto(path)
        return page

    def signed_in(self, username: str, path: str = "/", **screen: int) -> Page:
        """Open the address in a fresh browser profile and sign in."""
        page = self.visit(path, **screen)
        sign_in(page, username)
        expect(sign_out_button(page)).to_be_visible()
        return page

    def close(self) -> None:
        for context in self.contexts:
            context.close()
        assert self.problems == []

    def _console(self, message: ConsoleMessage) -> None:
        url = message.location.get("url", "")
        expected = PROBES.fullmatch(urlsplit(url).path) or self.allowed.search(message.text)
        if message.type == "error" and not expected:
            self.problems.append(f"console: {message.text} ({url})")

    def _request(self, request: Request) -> None:
        self._host(request.url)

    def _host(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob"} and parts.hostname != "127.0.0.1":
            self.problems.append(f"request: {url}")


def fill(page: Page, username: str, password: str = PASSWORD) -> None:
    """Fill the sign-in form."""
    page.get_by_label("Username", exact=True).fill(username)
    page.get_by_label("Password", exact=True).fill(password)


def sign_in(page: Page, username: str, password: str = PASSWORD) -> None:
    """Fill the sign-in form and send it."""
    fill(page, username, password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out_button(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_role("button", name="Sign out")


def form(page: Page):  # type: ignore[no-untyped-def]
    return page.get_by_label("Username", exact=True)

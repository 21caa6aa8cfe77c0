"""The console in this process, entered through its real sign-in form."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.app_test import TMP_DIR

from cdp.domain.access import Role
from cdp.platform import Platform, build
from cdp.settings import Settings
from tests.pages.support import ACCOUNTS, Served, fill, inside, visit
from tests.people import PASSWORD, add


@pytest.fixture(scope="session", autouse=True)
def streamlits_folder() -> Iterator[None]:
    """Remove the folder that AppTest makes for scripts when it is imported, and leaves behind."""
    yield
    TMP_DIR.cleanup()


@pytest.fixture(autouse=True)
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A home with an admin and a marketer; what pages read instead of yours."""
    monkeypatch.setenv("CDP_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("streamlit.testing.v1.app_test.PagesManager", Served)
    st.cache_resource.clear()
    platform = build(Settings.load())
    for role, username in ACCOUNTS.items():
        add(platform.documents, username, role, email=f"{username}@example.com")
    yield platform
    st.cache_resource.clear()


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each run as the first of a server that serves `pages/` by file name."""
    monkeypatch.setattr("streamlit.testing.v1.app_test.PagesManager", PagesManager)


@pytest.fixture
def signed_in() -> Callable[[Role], AppTest]:
    """Sign in through the form, and return the running app at its first page."""

    def enter(role: Role) -> AppTest:
        at = fill(visit(), ACCOUNTS[role], PASSWORD)
        assert inside(at)
        return at

    return enter

"""The console in this process, entered through its real sign-in form."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.app_test import TMP_DIR

from cdp.deployments.build import Platform, build
from cdp.domain.access import Role
from cdp.settings import Settings
from tests.e2e.support import Cdp
from tests.pages.property import make
from tests.pages.support import ACCOUNTS, Download, Wire, fill, inside, visit, warm
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
    warm(monkeypatch)
    st.cache_resource.clear()
    platform = build(Settings.load())
    for role, username in ACCOUNTS.items():
        add(platform.documents, username, role, email=f"{username}@example.com")
    yield platform
    st.cache_resource.clear()


@pytest.fixture
def signed_in() -> Callable[[Role], AppTest]:
    """Sign in through the form, and return the running app at its first page."""

    def enter(role: Role) -> AppTest:
        at = fill(visit(), ACCOUNTS[role], PASSWORD)
        assert inside(at)
        return at

    return enter


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Cdp:
    """A home in which everything happened that pages tell of; tests see copies of it."""
    return make(tmp_path_factory.mktemp("generated"))


@pytest.fixture
def refreshed(
    deployment: Platform, generated: Cdp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Platform:
    """What pages read instead of an empty home: a copy of the generated one."""
    home = shutil.copytree(generated.home, tmp_path / "refreshed")
    monkeypatch.setenv("CDP_HOME", str(home))
    st.cache_resource.clear()
    st.cache_data.clear()
    return build(Settings.load())


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """All that is sent to browsers from now on."""
    sent = Wire()
    enqueue = ForwardMsgQueue.enqueue

    def listen(self: ForwardMsgQueue, message: ForwardMsg) -> None:
        sent.messages.append(message)
        enqueue(self, message)

    monkeypatch.setattr(ForwardMsgQueue, "enqueue", listen)
    return sent


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Download]:
    """What download buttons do, by the name of their file: a browser may ask at any later time."""
    kept: dict[str, Download] = {}
    add_deferred = MediaFileManager.add_deferred

    def keep(self: MediaFileManager, data: Download, *args: Any, **more: Any) -> str:
        kept[str(more.get("file_name") or args[2])] = data
        return str(add_deferred(self, data, *args, **more))

    monkeypatch.setattr(MediaFileManager, "add_deferred", keep)
    return kept

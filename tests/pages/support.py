"""The console's sessions, as AppTest runs them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import HOME_PAGE
from cdp.domain.access import Role

SECONDS = 30
ACCOUNTS = {Role.ADMIN: "ada", Role.MARKETER: "max"}
PARAMETERS = {"consent": "view", "pipeline": "of_run"}
"""The parameters that name an open tab, of pages whose is not `tab`."""
PAGES = sorted((HOME_PAGE.parent / "pages").glob("*.py"))


def warm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let AppTest begin each run as a server does that has come to `st.navigation`."""
    begin = PagesManager.__init__

    def begin_warm(self: PagesManager, *args: Any, **more: Any) -> None:
        PagesManager.uses_pages_directory = False
        begin(self, *args, **more)

    monkeypatch.setattr(PagesManager, "__init__", begin_warm)


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


def go(at: AppTest, name: str, tab: str = "", **query: str) -> AppTest:
    """Go to an address: a page of `pages/`, perhaps one of its tabs, with its parameters."""
    at.query_params.clear()
    name = "profile" if "profile" in query else name
    if tab:  # AppTest would take the tab of another page with it
        at.switch_page("pages/overview.py").run()
        query["details" if "profile" in query else PARAMETERS.get(name, "tab")] = tab
    for key, value in query.items():
        at.query_params[key] = value
    at.switch_page(f"pages/{name}.py").run()
    assert not at.exception
    return at


def said(at: AppTest) -> str:
    """Return all prose of the page, a line an element."""
    kinds = (at.title, at.header, at.caption, at.markdown, at.info, at.warning, at.error)
    return "\n".join(str(e.value) for kind in (*kinds, at.success, at.toast) for e in kind)


def metrics(at: AppTest) -> dict[str, str]:
    """Return the page's figures by their labels."""
    return {metric.label: metric.value for metric in at.metric}


def table(at: AppTest, *columns: str) -> list[dict[str, Any]]:
    """Return the rows of the page's only table with these columns; lists instead of arrays."""
    (found,) = [f.value for f in at.dataframe if {*columns} <= {*f.value.columns}]
    return [
        {name: list(v) if hasattr(v, "tolist") and v.shape else v for name, v in row.items()}
        for row in found.to_dict("records")
    ]


def links(at: AppTest) -> list[tuple[str, str, str]]:
    """Return label, page and query of each link of the page."""
    found = [link.proto for link in at.main.get("page_link")]
    return [(link.label, link.page, link.query_string) for link in found]


TABS = {
    "stitching": ("Shape", "Clusters", "Kept out", "Merges and splits", "Look up"),
    "consent": (
        *("States", "Disagreements", "On request", "Decisions", "Expiring soon", "Reachable"),
        "A person",
    ),
    "profile": ("Events", "Identities", "Consent history", "Fields", "Document"),
}


def tour(at: AppTest, *profile_ids: str, more: Callable[[AppTest], Any] = lambda at: None) -> None:
    """Look at every page, every tab, and these profiles; do *more* on each."""
    for name in ("overview", "customers", "pipeline", "audit"):
        more(go(at, name))
    for order in ("id", "revenue", "first_seen", "sessions", "identifiers"):
        more(go(at, "customers", order=order))
    for name in ("stitching", "consent"):
        for tab in TABS[name]:
            more(go(at, name, tab))
    for profile_id in profile_ids:
        more(go(at, "stitching", "Clusters", cluster=profile_id))
        for tab in TABS["profile"]:
            more(go(at, "customers", tab, profile=profile_id))


# --- what a browser gets --------------------------------------------------------------------------

Download = Callable[[], str | bytes]


@dataclass
class Wire:
    """Messages to browsers, as they are sent."""

    messages: list[ForwardMsg] = field(default_factory=list)

    def bytes(self) -> bytes:
        """Return all of them in one."""
        return b"\n".join(message.SerializeToString() for message in self.messages)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield every text with the path of the field that holds it."""
        for message in self.messages:
            yield from _texts(message, "")


def _texts(message: Message, path: str) -> Iterator[tuple[str, str]]:
    for descriptor, value in message.ListFields():
        here = f"{path}.{descriptor.name}" if path else descriptor.name
        values = [value] if isinstance(value, str | bytes | Message) else _each(value)
        for one in values:
            if isinstance(one, Message):
                yield from _texts(one, here)
            elif isinstance(one, str):
                yield here, one


def _each(value: Any) -> list[Any]:
    if hasattr(value, "values"):
        return list(value.values())
    return list(value) if hasattr(value, "__iter__") else []

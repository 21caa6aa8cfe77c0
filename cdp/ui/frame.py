"""The frame of a page: its head, its cards, and what it says where there is nothing to show."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Literal

import streamlit as st

from cdp.domain.errors import CdpError
from cdp.ui import charts
from cdp.ui.app import platform
from cdp.ui.words import plain

Color = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray", "primary"]
Badge = tuple[str, Color, str]
"""Text, colour, and the name of a Material symbol."""


FLASH: Final = "cdp.flash"
"""Session state: how the last action went, `done` or `error`, and in words."""


def sidebar(name: str, role: str, sign_out_button: Callable[[], None]) -> None:
    """Draw what stands beside every page: the mark, and who is signed in."""
    dark = "-dark" if st.context.theme.type == "dark" else ""
    st.logo(f"static/wordmark{dark}.svg", icon_image="static/logo.svg", size="large")
    with st.sidebar:
        st.caption(f"Signed in as **{plain(name)}**, {role}")
        sign_out_button()


@contextmanager
def head(title: str, caption: str = "", badges: tuple[Badge, ...] = ()) -> Iterator[None]:
    """Draw a page's title, badges and a line of facts; what is drawn inside stands at the right."""
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="bottom"
    ):
        with st.container(width="content", gap="xsmall"):
            st.title(plain(title), anchor=False)
            with st.container(horizontal=True, vertical_alignment="center", gap="xsmall"):
                for text, color, icon in badges:
                    badge(text, color, icon)
                if caption:
                    st.caption(caption, width="content")
        with st.container(horizontal=True, width="content", vertical_alignment="center"):
            yield
    _flash()


def badge(text: str, color: Color, icon: str = "") -> None:
    """Draw a badge; `st.badge` escapes brackets that are escaped already."""
    mark = f":material/{icon}: " if icon else ""
    st.markdown(f":{color}-badge[{mark}{plain(text)}]", width="content")


def _flash() -> None:
    kind, words = st.session_state.pop(FLASH, ("", ""))
    if kind == "error":
        st.error(plain(words), icon=":material/error:")
    elif words:
        st.toast(plain(words), icon=":material/check_circle:")


@contextmanager
def card(title: str, note: str = "", help: str | None = None) -> Iterator[None]:
    """Draw a bordered card with its title; what is drawn inside is its content."""
    with st.container(border=True, height="stretch", gap="small"):
        with st.container(horizontal=True):  # where a heading has no room above it
            st.header(title, anchor=False, help=help)
        if note:
            st.caption(note)
        yield


def kpi(
    label: str,
    value: str,
    help: str,
    *,
    delta: str | None = None,
    note: str = "",
    chart: Sequence[float] = (),
    chart_type: Literal["bar", "area"] = "area",
    no_chart: str = "",
    share: float | None = None,
    link: tuple[str, str, dict[str, str]] | None = None,
) -> None:
    """Draw a figure with what it counts, how it went, and the way to what explains it.

    Args:
        no_chart: why there is no chart, where one is missing.
        share: of 1, drawn as a bar.
        link: a page, its words, and its query.
    """
    # The links of a row stand in one line, whatever is above them.
    with st.container(border=True, height="stretch", gap="xsmall", vertical_alignment="distribute"):
        with st.container(gap="xsmall"):
            st.metric(
                label,
                value,
                delta=delta,
                help=help,
                delta_description=note if delta else None,
            )
            if note and not delta:
                st.caption(note)
            if chart:
                charts.spark(chart, chart_type, key=f"spark_{label}", alt=f"{label}, day by day")
            elif no_chart:
                st.caption(no_chart)
            if share is not None:
                st.progress(share)
        if link:
            page, text, query = link
            st.page_link(
                page,
                label=text,
                icon=":material/arrow_forward:",
                icon_position="right",
                query_params=query,
            )


def tabs(drawn: Mapping[str, Callable[[], object]], key: str = "tab") -> None:
    """Draw tabs; the address says which is open, and only that one does its work.

    Args:
        drawn: labels, each with what draws the tab.
        key: the parameter of the address.
    """
    # A bound parameter leaves the address together with the page: Back would open another tab.
    first, *others = drawn
    asked = st.query_params.get(key)
    st.session_state[key] = asked if asked in others else first

    def name() -> None:
        opened = st.session_state[key]
        if opened == first:
            st.query_params.pop(key, None)
        else:
            st.query_params[key] = opened

    shown = st.tabs(list(drawn), key=key, on_change=name)
    for tab, draw in zip(shown, drawn.values(), strict=True):
        if tab.open:
            with tab:
                draw()


def nothing(words: str, icon: str = "inbox") -> None:
    """Say what is missing, and what to do next."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.space("small")
        st.markdown(f":gray[:material/{icon}:]", width="content")
        st.markdown(words, width="content", text_alignment="center")
        st.space("small")


def still_signed_in(actor: Callable[[], str]) -> None:
    """Draw the whole page anew where the session is over; the first line of every dialog.

    Args:
        actor: see `cdp.ui.auth.actor`.
    """
    try:
        actor()
    except CdpError:
        st.rerun()


def ask_why(
    title: str,
    told: str,
    question: str,
    confirm: Callable[[str], None],
    *,
    actor: Callable[[], str],
    icon: str,
) -> None:
    """Open the dialog of an action that needs a reason.

    Args:
        told: what it does, and what is kept of it.
        confirm: draws the button that acts, with the reason.
        actor: see `cdp.ui.auth.actor`.
        icon: the name of a Material symbol.
    """

    @st.dialog(title, icon=f":material/{icon}:")
    def ask() -> None:
        still_signed_in(actor)
        st.write(told)
        reason = st.text_input(question, key="reason", max_chars=500)
        confirm(" ".join((reason or "").split()))

    ask()


def not_refreshed() -> None:
    """Say that no refresh has settled yet, and what to do."""
    nothing(
        f"Nothing was refreshed yet. {platform().first_load}, then start a refresh.",
        "database",
    )
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.page_link("pages/pipeline.py", label="Pipeline Control", icon=":material/account_tree:")


def cursor(name: str, *of: object) -> str | None:
    """Return where the list *name* stands in this session; another list begins at its start."""
    trail = st.session_state.setdefault(f"cdp.trail.{name}", {"of": of, "after": [None]})
    if trail["of"] != of:
        trail |= {"of": of, "after": [None]}
    after: str | None = trail["after"][-1]
    return after


def pager(name: str, following: str | None, words: str = "") -> None:
    """Draw the way to the list's next page and back."""
    after = _trail(name)
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.caption(words or f"Page {len(after)}", width="content")
        st.button(
            "Previous",
            key=f"{name}_previous",
            icon=":material/chevron_left:",
            disabled=len(after) == 1,
            on_click=_back,
            args=(name, len(after)),
        )
        st.button(
            "Next",
            key=f"{name}_next",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=following is None,
            on_click=_on,
            args=(name, len(after), following),
        )


# Both say which page the button stood on: a second click on it before the next one is drawn does
# nothing, nor does one in a session that is over.


def _on(name: str, page: int, following: str | None) -> None:
    after = _trail(name)
    if len(after) == page:
        after.append(following)


def _back(name: str, page: int) -> None:
    after = _trail(name)
    if len(after) == page > 1:
        after.pop()


def _trail(name: str) -> list[str | None]:
    trail: dict[str, list[str | None]] = st.session_state.get(f"cdp.trail.{name}", {})
    return trail.get("after", [])


@contextmanager
def told() -> Iterator[None]:
    """Show what a person can fix as a message; a bug keeps its traceback, in the server's log."""
    try:
        yield
    except CdpError as error:
        st.error(plain(error), icon=":material/error:")

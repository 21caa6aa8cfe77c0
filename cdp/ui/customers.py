"""The list of profiles: one search box, filters that live in the address, pages, an export."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import streamlit as st

from cdp.domain.errors import CdpError
from cdp.domain.policy import Policy
from cdp.governance.actions import EXPORT_AT_MOST, MIN_REASON
from cdp.insight import customers, person
from cdp.insight.customers import Filters, Listing, Order
from cdp.ui import app, frame, masks, people, words
from cdp.ui.masks import NAMES, Show

PAGE: Final = 25
_FILTERS: Final = ("consent", "seen", "revenue", "sessions", "source", "country", "stitched")
_RANGES: Final = ("seen", "revenue", "sessions", "stitched")
_ORDERS: Final[Mapping[str, str]] = {
    Order.LAST_SEEN: "Last seen",
    Order.REVENUE: "Revenue",
    Order.SESSIONS: "Sessions",
    Order.IDENTIFIERS: "Identifiers",
    Order.FIRST_SEEN: "First seen",
    Order.ID: "Everybody",
}


@dataclass(frozen=True, slots=True)
class View:
    """The list that the address names; `today` is the day that “seen in 7 days” ends at."""

    filters: Filters
    order: Order
    today: date
    total: int


def draw(*, is_admin: bool, actor: Callable[[], str]) -> None:
    """Draw the search, the filters and the page of the list that the address names."""
    platform = app.platform()
    query = st.query_params.to_dict()
    people.keep_list()
    filters = customers.from_query(query, platform.policy)
    asked = Order(query["order"]) if query.get("order") in set(Order) else None
    report = app.report("overview")
    today = _today(report)
    show = masks.shower(masks.masked(is_admin))
    wanted = asked or Order.LAST_SEEN
    possible = customers.orders(platform.documents, filters, today=today)
    order = wanted if wanted in possible else next(iter(possible), None)
    home = str(platform.settings.home)
    total = _total(home, filters, order, today) if order else None
    told = "" if total is None else f"{words.count(total, 'profile')} in this list"
    with frame.head("Customer Explorer", told):
        if is_admin and order and total is not None:
            _export_button(View(filters, order, today, total), actor)
    if _found(show):
        return
    _controls(filters, order or wanted, _options(platform.policy, report))
    for note in filters.ignored:
        st.warning(words.plain(note), icon=":material/link_off:")
    if order is None or total is None:
        st.error(f"{_ranges(filters)} cannot filter one list together; take one of them away.")
        return
    if asked and order is not asked:
        st.info(
            f"A list that is filtered by {_ranges(filters)} cannot be ordered by "
            f"“{_ORDERS[asked]}”: it is ordered by “{_ORDERS[order]}”. For another order, take "
            "the filter away."
        )
    try:
        after = query.get("after")
        listing = customers.page(platform.documents, filters, order, after, PAGE, today=today)
    except CdpError as error:
        st.error(words.plain(error))
        return
    if not listing.rows:
        _empty(query, refreshed=report is not None)
        return
    _pager(listing, query, total)
    _rows(listing, order, show)
    _pager(listing, query, total, "_below")
    if filters != Filters() or order is Order.ID:
        return
    missing = _without_value(home, order, today)
    if missing:
        st.caption(
            f"{words.count(missing, 'more profile')} without a value for "
            f"“{_ORDERS[order].lower()}”, mostly without consent to analytics: order by "
            "“everybody” to see them."
        )


@st.cache_data(ttl="30s", max_entries=1000, show_spinner=False)
def _total(home: str, filters: Filters, order: Order, today: date) -> int:
    """Return how many profiles the list has, or had half a minute ago."""
    del home
    return customers.total(app.platform().documents, filters, order, today=today)


@st.cache_data(ttl="30s", max_entries=1000, show_spinner=False)
def _without_value(home: str, order: Order, today: date) -> int:
    """Return how many profiles an order leaves out, or left out half a minute ago."""
    del home
    return customers.without_value(app.platform().documents, Filters(), order, today=today)


def _ranges(filters: Filters) -> str:
    """Return the names of the filters that take a range; lists of several have few orders."""
    used = customers.to_query(filters)
    *most, last = [f"“{_TITLES[name]}”" for name in _RANGES if name in used]
    return f"{', '.join(most)} and {last}" if most else last


def _today(report: Mapping[str, Any] | None) -> date:
    """Return the day that “seen in 7 days” ends at: today, or the last one that was loaded."""
    last = report["freshness"]["last_day"] if report else None
    today = datetime.now(UTC).date()
    return min(today, date.fromisoformat(last)) if last else today


# --- search ---------------------------------------------------------------------------------------


def _found(show: Show) -> bool:
    """Draw the search box; True where its answer takes the place of the list."""
    typed = st.text_input(
        "Find anyone",
        key="find",
        type="search",
        icon=":material/search:",
        placeholder="E-mail, phone, user id, client id or profile id",
        label_visibility="collapsed",
    )
    if not typed or not typed.strip():
        return False
    # What is typed stays out of the address: it may be somebody's e-mail address.
    platform = app.platform()
    ids = person.find(platform.documents, platform.policy, typed)
    if len(ids) == 1:
        st.switch_page(people.PROFILE, query_params={"profile": ids[0]})
    if not ids:
        frame.nothing(
            "Nobody has this identifier: it is unknown, or consent does not permit to keep it. "
            "Identifiers are compared whole.",
            "person_search",
        )
        return True
    st.caption(f"{words.count(len(ids), 'profile')} with this identifier")
    for profile_id in ids:
        found = person.person(platform.documents, platform.policy, profile_id)
        ground = masks.ground({told.purpose: told.state for told in found.consent})
        known = ((i.type, i.value) for i in found.identifiers)
        people.link(profile_id, people.called(profile_id, known, show, ground))
    return True


# --- filters --------------------------------------------------------------------------------------


def _controls(filters: Filters, order: Order, options: Mapping[str, Mapping[str, str]]) -> None:
    """Draw the filters as the address has them; a change changes the address.

    Args:
        options: see `_options`.
    """
    now = customers.to_query(filters)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.session_state["filter_order"] = order.value
        st.segmented_control(
            "Order",
            list(_ORDERS),
            key="filter_order",
            required=True,
            format_func=lambda value: _ORDERS[value],
            label_visibility="collapsed",
            on_change=_changed,
            args=("order",),
        )
        # Not in the page itself: eight lists to choose from take a browser longer than the table.
        with st.popover("Filters", icon=":material/filter_list:", key="filters"):
            _filters(now, options)
        for name, text in now.items():
            known = [options[name].get(value, value) for value in text.split(",")]
            st.button(
                words.plain(f"{_TITLES[name]}: {', '.join(known)}"),
                key=f"remove_{name}",
                icon=":material/close:",
                icon_position="right",
                help="Take this filter away",
                on_click=_removed,
                args=(name,),
            )


_TITLES: Final = {
    "consent": "Consent",
    "seen": "Last seen",
    "revenue": "Revenue",
    "sessions": "Sessions",
    "source": "Source",
    "country": "Country",
    "stitched": "Stitched",
}


def _options(policy: Policy, report: Mapping[str, Any] | None) -> dict[str, dict[str, str]]:
    """Return what each filter offers: values as the address spells them, with their words."""
    return {
        "consent": {
            f"{purpose}:{state}": f"{purpose} {state}"
            for purpose in policy.purposes
            for state in customers.STATES
        },
        "seen": {"1d": "today or yesterday", **{f"{n}d": f"in {n} days" for n in (7, 30, 90)}},
        "revenue": {f"{n}-": f"{n} and more" for n in (1, 100, 500, 1000)},
        "sessions": {f"{n}-": f"{n} and more" for n in (2, 5, 10, 25)},
        "source": _top(report, "sources"),
        "country": _top(report, "countries"),
        "stitched": {"yes": "several identifiers", "no": "only one"},
    }


def _top(report: Mapping[str, Any] | None, name: str) -> dict[str, str]:
    rows = report[name]["top"] if report else []
    values = dict.fromkeys(row["value"] for row in rows if row["value"])
    return {value: value for value in values}


def _filters(now: Mapping[str, str], options: Mapping[str, Mapping[str, str]]) -> None:
    for name, title in _TITLES.items():
        if name == "consent":
            _multi(name, title, now, options[name])
        else:
            _choice(name, title, now, options[name], free=name in {"source", "country"})


def _choice(
    name: str,
    title: str,
    now: Mapping[str, str],
    options: Mapping[str, str],
    *,
    free: bool = False,
) -> None:
    """Draw a filter of one value.

    Args:
        now: the parameters of the address.
        options: values as the address spells them, with their words.
        free: other values may be typed.
    """
    key = f"filter_{name}"
    chosen = now.get(name)
    known = dict(options)
    if chosen and chosen not in known:
        known[chosen] = chosen
    st.session_state[key] = chosen
    st.selectbox(
        title,
        list(known),
        index=None,
        key=key,
        format_func=lambda value: known.get(value, value),
        placeholder="Any",
        accept_new_options=free,
        on_change=_changed,
        args=(name,),
    )


def _multi(name: str, title: str, now: Mapping[str, str], options: Mapping[str, str]) -> None:
    key = f"filter_{name}"
    st.session_state[key] = [pair for pair in now.get(name, "").split(",") if pair in options]
    st.multiselect(
        title,
        list(options),
        key=key,
        format_func=lambda value: options[value],
        placeholder="Any",
        on_change=_changed,
        args=(name,),
    )


def _changed(name: str) -> None:
    """Write the chosen value into the address, and start at the list's first page."""
    value = st.session_state[f"filter_{name}"]
    text = ",".join(value) if isinstance(value, list) else value
    read = customers.from_query({name: text} if text else {}, app.platform().policy)
    if read.ignored:  # it may be somebody's e-mail address, which no address bar shall hold
        st.session_state[frame.FLASH] = ("error", read.ignored[0])
        return
    for gone in ("after", "page", name):
        st.query_params.pop(gone, None)
    if text:
        st.query_params[name] = text


def _removed(name: str) -> None:
    for gone in ("after", "page", name):
        st.query_params.pop(gone, None)


def _empty(query: Mapping[str, str], *, refreshed: bool) -> None:
    if any(query.get(name) for name in _FILTERS):
        frame.nothing("Nobody meets all of these filters; take one away.", "filter_alt_off")
        st.button("Clear filters", key="clear", on_click=st.query_params.clear)
    elif not refreshed:
        frame.not_refreshed()
    else:
        frame.nothing("There is no profile in this list; order by “everybody” to see all.")


# --- the list -------------------------------------------------------------------------------------


def _rows(listing: Listing, order: Order, show: Show) -> None:
    """Draw the profiles: a row each, on a narrow screen a card."""
    first = order is Order.FIRST_SEEN
    with st.container(gap="xxsmall"):
        for row in listing.rows:
            with st.container(
                border=True, horizontal=True, vertical_alignment="center", gap="xsmall"
            ):
                people.link(row.profile_id, words.cut(_name(row, show), 24), width=200)
                seen = words.moment(row.first_seen if first else row.last_seen)
                st.caption(f"{'first seen' if first else 'seen'} {seen}", width=170)
                st.text(_count(row.sessions, "session"), width=105)
                st.text(words.money(row.revenue), width=100)
                st.caption(_count(row.identifiers_count, "identifier"), width=90)
                st.markdown(f":small[{_facts(row)}]", width=295)


def _count(value: int | None, one: str) -> str:
    return "" if value is None else words.count(value, one)


def _facts(row: customers.Row) -> str:
    """Return where somebody comes from and what they permit."""
    where = " · ".join(words.plain(text) for text in (row.source, row.country) if text)
    state = "" if row.state == customers.LIVE else f":orange-badge[{row.state}] "
    granted = (name for name, state in row.consent.items() if state == "granted")
    permits = " ".join(f":green-badge[{words.plain(name)}]" for name in granted)
    return f"{state}{where} {permits}"


def _name(row: customers.Row, show: Show) -> str:
    known = ((kind, value) for kind in NAMES for value in row.identifiers.get(kind, ())[:1])
    return people.called(row.profile_id, known, show, masks.ground(row.consent))


def _pager(listing: Listing, query: Mapping[str, str], total: int, below: str = "") -> None:
    """Draw the way through the list.

    Args:
        below: what keeps its buttons apart from those above the list.
    """
    text = query.get("page", "1")
    page = int(text) if text.isdecimal() and len(text) < 9 else 1
    first = (page - 1) * PAGE + 1
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        last = first + len(listing.rows) - 1
        st.caption(
            f"{words.number(first)} to {words.number(last)} of {words.number(total)}",
            width="content",
        )
        st.button(
            "First page",
            key=f"first{below}",
            icon=":material/first_page:",
            disabled="after" not in query,
            on_click=_turn,
            args=(None, 1),
        )
        st.button(
            "Next",
            key=f"next{below}",
            icon=":material/chevron_right:",
            icon_position="right",
            disabled=listing.cursor is None,
            on_click=_turn,
            args=(listing.cursor, page + 1),
        )


def _turn(after: str | None, page: int) -> None:
    for gone in ("after", "page"):
        st.query_params.pop(gone, None)
    if after:
        st.query_params["after"] = after
        st.query_params["page"] = str(page)


# --- export ---------------------------------------------------------------------------------------


def _export_button(view: View, actor: Callable[[], str]) -> None:
    if st.button("Export", key="export", icon=":material/download:", disabled=not view.total):
        _export(view, actor)


def _export(view: View, actor: Callable[[], str]) -> None:
    rows = min(view.total, EXPORT_AT_MOST)
    told = (
        f"{words.count(rows, 'profile')} as CSV, with identifiers. Your name, the filters and the "
        "reason are kept in the audit log."
    )
    if view.total > rows:
        told += (
            f" The list has {words.number(view.total)}; the first {words.number(rows)} are taken."
        )

    def confirm(reason: str) -> None:
        st.download_button(
            "Export",
            data=partial(_file, view, rows, reason, actor),
            file_name="profiles.csv",
            mime="text/csv",
            key="export_it",
            on_click="ignore",
            disabled=len(reason) < MIN_REASON,
            help=f"Say why, in {MIN_REASON} characters or more.",
        )

    frame.ask_why(
        "Export this list?", told, "What are they for?", confirm, actor=actor, icon="download"
    )


def _file(view: View, rows: int, reason: str, actor: Callable[[], str]) -> bytes:
    """Return the list as CSV, once the audit log has it."""
    platform = app.platform()
    told = customers.to_query(view.filters) | {"order": view.order.value}
    platform.governance.export(actor(), told, rows, reason)
    lines = customers.export(
        platform.documents, view.filters, view.order, rows, (), today=view.today
    )
    return "".join(lines).encode()

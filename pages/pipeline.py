"""Pipeline Control: start, follow and cancel a refresh; what every run did."""

from functools import partial

import streamlit as st

from cdp.domain.access import Role
from cdp.insight import runs as insight
from cdp.ui import app, auth, frame, words
from cdp.ui import runs as ui

user = auth.require()
platform = app.platform()
history = insight.history(platform.executions)
newest = history[0] if history else None
busy = newest is not None and newest.active


@st.dialog("Start a refresh?", icon=":material/play_arrow:")
def start() -> None:
    """Ask for the parameters; what the dialog shows is checked again when it acts."""
    auth.require(Role.ADMIN)
    with frame.told():
        ui.ask_start(platform.executions, partial(auth.act, platform.governance.start_refresh))


@st.dialog("Cancel this run?", icon=":material/stop_circle:")
def cancel(run_id: str) -> None:
    """Say what cancelling does."""
    auth.require(Role.ADMIN)
    ui.ask_cancel(run_id, partial(auth.act, platform.governance.cancel_run))


@st.fragment(run_every=max(platform.poll_seconds, 1.0) if busy else None)
def live(run_id: str, state: str) -> None:
    """Follow the run; when its state changes, the whole page is drawn anew."""
    auth.require()
    with frame.told():
        run = insight.one(platform.executions, run_id)
        if run.state != state:
            st.rerun()
        with frame.card("Running now", f"Run {run.id}, started by {words.plain(run.by)}"):
            ui.progress(run, ui.phases(platform.executions, run.id))


with frame.head(
    "Pipeline Control",
    "Brings new days, links and decisions into the profiles, one run at a time.",
    badges=(ui.badge(newest.state),) if newest else (),
):
    if busy and newest:
        if st.button("Cancel run", key="cancel", disabled=not user.is_admin):
            cancel(newest.id)
    elif st.button(
        "Start a refresh",
        key="start",
        icon=":material/play_arrow:",
        disabled=not user.is_admin,
    ):
        start()
if not user.is_admin:
    st.caption(":material/info: You see every run; starting and cancelling needs the role admin.")
if newest is None:
    frame.nothing(f"No run yet. {platform.first_load}, then start a refresh.")
elif busy:
    live(newest.id, newest.state)
if history:
    ui.listed(history, platform.executions, platform.documents, platform.objects)

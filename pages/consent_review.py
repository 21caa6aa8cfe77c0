"""Consent Review: who consented to what, who disagrees, and what was delivered."""

import streamlit as st

from cdp.ui import app, auth, frame, masks, words
from cdp.ui import consent as ui

user = auth.require()
platform = app.platform()
report, warehouse = app.report("consent"), app.warehouse()
show = masks.shower(masks.masked(user.is_admin))
with frame.head("Consent Review", f"As of {words.moment(report['at'])}" if report else ""):
    pass
if report is None or warehouse is None:
    frame.not_refreshed()
    st.stop()
ui.numbers(report)
tabs = st.tabs(
    ["States", "Disagreements", "Decisions", "Reachable", "A person"],
    key="tab",
    on_change="rerun",
    bind="query-params",
)
with frame.told():
    if tabs[0].open:
        with tabs[0]:
            ui.states(report)
    if tabs[1].open:
        with tabs[1]:
            ui.disagreements(report, warehouse, platform.policy, show)
    if tabs[2].open:
        with tabs[2]:
            ui.decisions(report, platform.audit.page(action="load:consent").documents)
    if tabs[3].open:
        with tabs[3]:
            ui.reachable(report, platform.documents, platform.policy)
    if tabs[4].open:
        with tabs[4]:
            ui.of_person(platform.documents, warehouse, is_admin=user.is_admin)

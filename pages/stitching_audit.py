"""Stitching Audit: how identifiers were joined, what was kept out, and why."""

import streamlit as st

from cdp.ui import app, auth, frame, masks, words
from cdp.ui import stitching as ui

user = auth.require()
report, warehouse = app.report("stitching"), app.warehouse()
show = masks.shower(masks.masked(user.is_admin))
with frame.head(
    "Stitching Audit",
    f"As of {words.moment(report['at'])}" if report else "",
):
    pass
if report is None or warehouse is None:
    frame.not_refreshed()
    st.stop()
ui.numbers(report)
tabs = st.tabs(
    ["Shape", "Clusters", "Kept out", "Merges and splits", "Look up"],
    key="tab",
    on_change="rerun",
    bind="query-params",
)
with frame.told():
    if tabs[0].open:
        with tabs[0]:
            ui.shape(report)
    if tabs[1].open:
        with tabs[1]:
            ui.largest(report, warehouse, is_admin=user.is_admin)
    if tabs[2].open:
        with tabs[2]:
            ui.kept_out(report, warehouse, show)
    if tabs[3].open:
        with tabs[3]:
            ui.changes(report)
    if tabs[4].open:
        with tabs[4]:
            ui.look_up(warehouse, app.platform().policy, show)

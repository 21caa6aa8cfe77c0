"""Stitching Audit: how identifiers were joined, what was kept out, and why."""

from functools import partial

import streamlit as st

from cdp.insight.requests import withdrawn_since
from cdp.ui import app, auth, frame, masks, words
from cdp.ui import stitching as ui

user = auth.require()
report, warehouse = app.report("stitching"), app.warehouse()
with frame.head(
    "Stitching Audit",
    f"As of {words.moment(report['at'])}" if report else "",
):
    pass
if report is None or warehouse is None:
    frame.not_refreshed()
    st.stop()
withdrawn = withdrawn_since(warehouse, app.platform().documents)
show = masks.shower(masks.masked(user.is_admin), alone=withdrawn)
ui.numbers(report)
with frame.told():
    frame.tabs(
        {
            "Shape": partial(ui.shape, report),
            "Clusters": partial(ui.largest, report, warehouse, is_admin=user.is_admin),
            "Kept out": partial(ui.kept_out, report, warehouse, show),
            "Merges and splits": partial(ui.changes, report),
            "Look up": partial(ui.look_up, warehouse, app.platform().policy, show),
        }
    )

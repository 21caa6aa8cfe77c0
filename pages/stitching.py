"""Stitching Audit: how identifiers were joined, what was kept out, and why."""

from functools import partial

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

"""Consent Review: who consented to what, who disagrees, and what was delivered."""

from functools import partial

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
with frame.told():
    frame.tabs(
        {
            "States": partial(ui.states, report),
            "Disagreements": partial(ui.disagreements, report, warehouse, platform.policy, show),
            "Decisions": partial(
                ui.decisions, report, platform.audit.page(action="load:consent").documents
            ),
            "Reachable": partial(ui.reachable, report, platform.documents, platform.policy),
            "A person": partial(
                ui.of_person, platform.documents, warehouse, is_admin=user.is_admin
            ),
        },
        key="view",
    )

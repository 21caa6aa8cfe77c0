"""Consent Review: who consented to what, who disagrees, what was delivered, what is asked for."""

from functools import partial

import streamlit as st

from cdp.insight.requests import withdrawn_since
from cdp.ui import app, auth, frame, masks, requests, words
from cdp.ui import consent as ui

user = auth.require()
platform = app.platform()
report, warehouse = app.report("consent"), app.warehouse()
with frame.head("Consent Review", f"As of {words.moment(report['at'])}" if report else ""):
    pass
if report is None or warehouse is None:
    frame.not_refreshed()
    st.stop()
documents, policy = platform.documents, platform.policy
# The warehouse is as of the last run; who withdrew since then is not shown by it.
withdrawn = withdrawn_since(warehouse, documents)
show = masks.shower(masks.masked(user.is_admin), alone=withdrawn)
actor, is_admin = partial(auth.actor, user), user.is_admin
resolve = partial(requests.resolve, act=auth.act, actor=actor, is_admin=is_admin)
ui.numbers(report)
with frame.told():
    frame.tabs(
        {
            "States": partial(ui.states, report),
            "Disagreements": partial(ui.disagreements, report, warehouse, policy, show, resolve),
            "On request": partial(requests.on_request, auth.act, is_admin=is_admin),
            "Decisions": partial(
                ui.decisions,
                report,
                platform.audit.page(action="load:consent").documents,
                partial(requests.without_effect, warehouse),
            ),
            "Expiring soon": partial(requests.lapsing, warehouse, show),
            "Reachable": partial(ui.reachable, report, documents, policy),
            "A person": partial(requests.of_person, documents, warehouse, is_admin=is_admin),
        },
        key="view",
    )

"""Audit Log: who did what, on whom, why, when, with which outcome."""

import streamlit as st

from cdp.domain.access import Role
from cdp.ui import app, auth, frame
from cdp.ui.audit import ACTIONS, table

auth.require(Role.ADMIN)
audit = app.platform().audit
with frame.head("Audit Log", "Rows are only ever added; they name profiles by opaque ids."):
    action = st.selectbox(
        "Action",
        list(ACTIONS),
        index=None,
        placeholder="Every action",
        format_func=lambda name: ACTIONS[name],
        key="action",
        bind="query-params",
        label_visibility="collapsed",
        width=240,
    )
cursor = frame.cursor("audit", action)
page = audit.page(action=action, after=cursor)
if page.documents:
    st.dataframe(table(page.documents), hide_index=True, key="audit", height="content")
    frame.pager("audit", page.cursor)
else:
    frame.nothing("Nothing of this kind has happened yet.")

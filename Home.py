"""The console's router: sign-in, then the page that the address names."""

import streamlit as st

from cdp import auth
from cdp.ui.frame import sidebar

st.set_page_config(page_title="Composable CDP", page_icon="static/logo.svg", layout="wide")
user = auth.sign_in()
# Every page, always: a page that is left out loses the visitor's deep link. No address is the name
# of its file: until this has run once in a server, pages/ is served without it.
page = st.navigation(
    {
        "": [
            st.Page(
                "pages/overview.py",
                title="Overview",
                icon=":material/monitoring:",
                url_path="home",
                default=True,
            ),
            st.Page(
                "pages/customer_explorer.py",
                title="Customer Explorer",
                icon=":material/person_search:",
                url_path="customers",
            ),
        ],
        "Govern": [
            st.Page(
                "pages/stitching_audit.py",
                title="Stitching Audit",
                icon=":material/hub:",
                url_path="stitching",
            ),
            st.Page(
                "pages/consent_review.py",
                title="Consent Review",
                icon=":material/verified_user:",
                url_path="consent",
            ),
        ],
        "Operate": [
            st.Page(
                "pages/pipeline_control.py",
                title="Pipeline Control",
                icon=":material/account_tree:",
                url_path="pipeline",
            ),
            st.Page(
                "pages/audit_log.py",
                title="Audit Log",
                icon=":material/history:",
                url_path="audit",
                visibility="visible" if user and user.is_admin else "hidden",
            ),
        ],
    },
    position="sidebar" if user else "hidden",
)
if user is None:
    st.stop()
sidebar(user.name, user.role.value, auth.sign_out_button)
auth.routed()
page.run()

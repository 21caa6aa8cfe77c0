"""The console's router: sign-in, then the page that the address names."""

import streamlit as st

from cdp.ui import app, auth, frame

st.set_page_config(page_title="Composable CDP", page_icon="static/logo.svg", layout="wide")


def pages(admin: bool) -> dict[str, list[st.Page]]:
    """Return every page, always: one that is left out loses the visitor's deep link."""
    return {
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
                visibility="visible" if admin else "hidden",
            ),
        ],
    }


if app.takes_pages_for_itself():
    st.navigation(pages(admin=False), position="hidden")  # ends that, from the next run on
    st.rerun()
user = None
with frame.told():
    user = auth.sign_in()
page = st.navigation(
    pages(admin=bool(user and user.is_admin)), position="sidebar" if user else "hidden"
)
if user is None:
    st.stop()
frame.sidebar(user.name, user.role.value, auth.sign_out_button)
auth.routed()
with frame.told():
    page.run()

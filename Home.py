"""The console's router: sign-in, then the page that the address names."""

import streamlit as st

from cdp.ui import app, auth, frame

app.own_pages()
st.set_page_config(page_icon="static/logo.svg", layout="wide")


def pages(admin: bool) -> dict[str, list[st.Page]]:
    """Return every page, always: one that is left out loses the visitor's deep link."""
    return {
        "": [
            st.Page(
                "pages/overview.py",
                title="Overview",
                icon=":material/monitoring:",
                default=True,
            ),
            st.Page(
                "pages/customers.py",
                title="Customer Explorer",
                icon=":material/person_search:",
                url_path="customers",
            ),
            st.Page("pages/profile.py", title="Profile", url_path="profile", visibility="hidden"),
        ],
        "Govern": [
            st.Page(
                "pages/stitching.py",
                title="Stitching Audit",
                icon=":material/hub:",
                url_path="stitching",
            ),
            st.Page(
                "pages/consent.py",
                title="Consent Review",
                icon=":material/verified_user:",
                url_path="consent",
            ),
        ],
        "Operate": [
            st.Page(
                "pages/pipeline.py",
                title="Pipeline Control",
                icon=":material/account_tree:",
                url_path="pipeline",
            ),
            st.Page(
                "pages/audit.py",
                title="Audit Log",
                icon=":material/history:",
                url_path="audit",
                visibility="visible" if admin else "hidden",
            ),
        ],
    }


if "cdp.arrived" not in st.session_state:
    # Who sends the form before the browser knows which page this is would come to the first one.
    st.navigation(pages(admin=False), position="hidden")
    st.session_state["cdp.arrived"] = True
user = None
with frame.told():
    user = auth.sign_in()
page = st.navigation(
    pages(admin=bool(user and user.is_admin)), position="sidebar" if user else "hidden"
)
# A page that says its title itself, as a profile does, keeps the next ones from theirs.
st.set_page_config(page_title=page.title)
if user is None:
    st.stop()
frame.sidebar(user.name, user.role.value, auth.sign_out_button)
auth.routed()
with frame.told():
    page.run()

"""audit_log."""

import streamlit as st

from cdp import auth

user = auth.require()
st.title("audit_log")

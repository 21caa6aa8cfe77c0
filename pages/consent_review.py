"""consent_review."""

import streamlit as st

from cdp import auth

user = auth.require()
st.title("consent_review")

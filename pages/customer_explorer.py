"""customer_explorer."""

import streamlit as st

from cdp import auth

user = auth.require()
st.title("customer_explorer")

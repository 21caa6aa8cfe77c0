"""A page with a title and nothing else: what every page of Streamlit costs."""

import streamlit as st

st.set_page_config(page_title="Empty", layout="wide")
st.title("Empty")

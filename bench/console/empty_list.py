"""Fifty rows in Streamlit's table and nothing else: what a list costs in any app."""

import streamlit as st

st.set_page_config(page_title="List", layout="wide")
st.dataframe([{f"column {n}": f"value {n} {row}" for n in range(10)} for row in range(50)])

"""One small Plotly chart and nothing else: what a chart costs in any app."""

import plotly.graph_objects as go
import streamlit as st

st.set_page_config(page_title="Chart", layout="wide")
st.plotly_chart(go.Figure({"data": [{"type": "bar", "y": [1, 2, 3]}]}), theme=None)

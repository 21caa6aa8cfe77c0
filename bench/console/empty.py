"""A title and nothing else, at `/` and at `/page`: what every page of Streamlit costs."""

import streamlit as st


def empty() -> None:
    """Draw the title."""
    st.title("Empty")


st.set_page_config(page_title="Empty", layout="wide")
pages = [st.Page(empty, url_path="", default=True), st.Page(empty, title="Page", url_path="page")]
st.navigation(pages, position="hidden").run()

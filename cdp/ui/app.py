"""The deployment that the pages show, shared by every session of the server."""

from datetime import timedelta
from typing import Any

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from cdp.deployments.build import Platform, build
from cdp.settings import Settings
from cdp.warehouse.port import Warehouse


@st.cache_resource(show_spinner=False)
def platform() -> Platform:
    """Return the deployment that the settings describe."""
    settings = Settings.load()
    _shown["currency"] = settings.currency
    return build(settings)


_shown: dict[str, str | None] = {}  # what tables ask for in every cell, without a cache's price


def currency() -> str | None:
    """Return the property's currency; None where it is not configured."""
    return _shown.get("currency")


def own_pages() -> None:
    """Let Home.py answer for every address; the first line of whatever Streamlit may run.

    Until `st.navigation` has run once in a process, Streamlit serves `pages/` by file name, without
    Home.py. Pages bear their files' names in the address: the first visitor's is found, and ends
    that.
    """
    if PagesManager.uses_pages_directory:
        PagesManager.uses_pages_directory = False
        st.rerun()


def warehouse() -> Warehouse | None:
    """Return what the last settled run published; None where none has settled yet."""
    version = platform().published_version()
    return None if version is None else _opened(version)


def need_warehouse() -> Warehouse:
    """Return what the last settled run published.

    Raises:
        CdpError: none has settled yet.
    """
    return warehouse() or platform().published()


# Two states at most: the newest, and the one that a page still reads while a run publishes.
@st.cache_resource(
    max_entries=2, ttl=timedelta(days=1), show_spinner=False, on_release=lambda held: held.close()
)
def _opened(version: str) -> Any:
    del version
    return platform().published()


# What a published version tells, asked once: the version is part of the key.
per_version = st.cache_data(max_entries=500, ttl="1h", show_spinner=False)


def report(subject: str) -> dict[str, Any] | None:
    """Return a report that the last settled run left; None where none has settled yet."""
    found = platform().documents.get("reports", subject)
    return found.body if found else None

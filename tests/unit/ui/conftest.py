"""A viewer with a locale, a time zone and a theme."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import streamlit as st

Viewer = Callable[..., None]


@pytest.fixture
def viewer(monkeypatch: pytest.MonkeyPatch) -> Viewer:
    """Return what makes the viewer one with this locale, zone and theme."""

    def become(
        locale: str | None = "en-US", zone: str | None = "UTC", theme: str = "light"
    ) -> None:
        context = SimpleNamespace(
            locale=locale, timezone=zone, theme=SimpleNamespace(type=theme), url=None, cookies={}
        )
        monkeypatch.setattr(st, "context", context)

    become()
    return become

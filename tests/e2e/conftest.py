"""Fixtures of the end-to-end tests."""

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.support import NO_CONSENT_MODE, Cdp


@pytest.fixture
def cdp(tmp_path: Path) -> Cdp:
    """A fresh home under the policy that ships."""
    return Cdp(tmp_path / "home", {"CDP_DELIVERY_BACKOFF": "0.1"})


@pytest.fixture
def no_consent_mode(cdp: Cdp) -> Cdp:
    """A fresh home of a site whose export has no consent states."""
    return Cdp(cdp.home, {**cdp.env, "CDP_POLICY": str(NO_CONSENT_MODE)})


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, Iterable[Mapping[str, Any]]], Path]:
    """Write rows as NDJSON to a file of that name."""

    def to_file(name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        file = tmp_path / "in" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return file

    return to_file

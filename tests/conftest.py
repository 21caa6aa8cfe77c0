"""Fixtures for every suite."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder `shared` beside the repository, which holds the real sample data.

    Without it a test is skipped; with CI=true it fails, so that nobody's build skips it unseen.
    """
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data").is_dir():
        reason = f"needs the sample data in {folder / 'data'}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder

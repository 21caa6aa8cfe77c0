"""Fixtures for every suite."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import emulators


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


@pytest.fixture(scope="session")
def firestore_emulator() -> Iterator[str]:
    """Address of a Firestore emulator; take a project of your own."""
    with emulators.firestore() as address:
        yield address


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[str]:
    """Address of a Pub/Sub emulator; take a project of your own."""
    with emulators.pubsub() as address:
        yield address


@pytest.fixture(scope="session")
def storage_emulator() -> Iterator[str]:
    """URL of a Cloud Storage emulator that ignores preconditions; take a bucket of your own."""
    with emulators.storage() as address:
        yield address


@pytest.fixture(scope="session")
def strict_storage_emulator() -> Iterator[str]:
    """URL of a Cloud Storage emulator that keeps preconditions; take a bucket of your own."""
    with emulators.strict_storage() as address:
        yield address

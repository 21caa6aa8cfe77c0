"""Fixtures for every suite."""

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import emulators

# The same examples every time, and as long as they take.
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shuffle", metavar="SEED", help="Run files, and the tests of each, in another order."
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("shuffle")
    if seed is not None:

        def place(text: str) -> float:
            return random.Random(f"{seed} {text}").random()

        # By file first: what the tests of a file share is made once.
        items.sort(key=lambda item: (place(item.nodeid.partition("::")[0]), place(item.nodeid)))


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("shuffle")
    return None if seed is None else f"in the order of --shuffle {seed}"


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the program's own main module: AppTest puts its script there, and spawning runs it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


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

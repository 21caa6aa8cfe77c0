"""A store of documents, and one that says what a document says."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdp.insight.person import Person, person
from cdp.profiles.port import PROFILES, Put
from cdp.profiles.sqlite import SqliteDocuments
from tests.unit.insight.person.support import POLICY


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    with closing(SqliteDocuments(tmp_path / "documents.sqlite")) as store:
        yield store


@pytest.fixture
def told(documents: SqliteDocuments) -> Callable[[Any], Person]:
    """Store a document and return what it says."""

    def put(body: Any) -> Person:
        documents.commit([Put(PROFILES, "p_1", body)])
        return person(documents, POLICY, "p_1")

    return put

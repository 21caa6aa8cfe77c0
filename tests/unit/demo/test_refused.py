"""What was delivered although it was refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdp.demo.refused import Refused, refused
from cdp.domain.policy import Policy
from cdp.profiles.port import PROFILES, Put
from cdp.profiles.sqlite import SqliteDocuments

SAID = """type,value,purpose,state,at,source
email,Ada@Example.com,marketing,denied,2026-10-02T08:00:00Z,crm
email,ada@example.com,marketing,granted,2026-10-01T08:00:00Z,crm
email,ada@example.com,ads,denied,2026-10-03T08:00:00Z,crm
email,bob@example.com,marketing,denied,2026-10-01T08:00:00Z,crm
email,bob@example.com,marketing,granted,2026-10-02T08:00:00Z,crm
phone,0033612345678,marketing,granted,2026-10-01T08:00:00Z,crm
phone,+33 6 12 34 56 78,marketing,denied,2026-10-01T08:00:00Z,web
"""


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    (tmp_path / "consent").mkdir()
    (tmp_path / "consent" / "decisions.csv").write_text(SAID, "utf-8")
    store = SqliteDocuments(tmp_path / "documents.sqlite")
    yield store
    store.close()


def test_the_newest_decision_of_the_address_itself_counts(
    documents: SqliteDocuments, tmp_path: Path
) -> None:
    bob = {"identifiers": {"email": ["bob@example.com"], "user_id": ["bob"]}}
    ada = {"identifiers": {"email": ["ada@example.com"]}, "contact": {"email": "ada@example.com"}}
    eve = {"identifiers": {"phone": ["+33612345678"]}, "contact": {"email": "eve@example.com"}}
    documents.commit([Put(PROFILES, "p_bob", bob)])
    assert refused(tmp_path, documents, Policy.load(None)) == Refused(1, 0)
    documents.commit([Put(PROFILES, "p_ada", ada), Put(PROFILES, "p_eve", eve)])
    assert refused(tmp_path, documents, Policy.load(None)) == Refused(5, 3)

"""The audit log: every row kept, in order, found again."""

from pathlib import Path

import pytest

from cdp.governance.audit import AUDIT, Audit, Outcome
from cdp.profiles.port import AlreadyExists, Create
from cdp.profiles.sqlite import SqliteDocuments
from tests.people import Clock


@pytest.fixture
def documents(tmp_path: Path) -> SqliteDocuments:
    return SqliteDocuments(tmp_path / "documents.sqlite")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit(documents: SqliteDocuments, clock: Clock) -> Audit:
    return Audit(documents, clock=clock)


def test_a_row_says_who_did_what_on_what_why_when_and_how_it_ended(
    audit: Audit, documents: SqliteDocuments
) -> None:
    row = audit.row(
        "ada", "profile:reveal", "p_1", Outcome.REFUSED, reason="asked to", details={"rows": 3}
    )
    documents.commit([row])
    (found,) = audit.page().documents
    assert found.body == {
        "at": "2026-10-01T12:00:00.000000Z",
        "actor": "ada",
        "action": "profile:reveal",
        "target": "p_1",
        "outcome": "refused",
        "reason": "asked to",
        "details": {"rows": 3},
    }


def test_a_row_is_never_written_over(audit: Audit, documents: SqliteDocuments) -> None:
    row = audit.row("ada", "session:begin", "ada")
    assert isinstance(row, Create)
    documents.commit([row])
    with pytest.raises(AlreadyExists):
        documents.commit([row])


def test_rows_of_one_moment_have_ids_of_their_own_and_ids_are_in_order_of_time(
    audit: Audit, documents: SqliteDocuments, clock: Clock
) -> None:
    for _ in range(20):
        documents.commit([audit.row("ada", "session:begin", "ada") for _ in range(5)])
        clock.pass_by(microseconds=1)
    rows = documents.page(AUDIT, limit=200).documents
    assert len(rows) == 100
    assert [row.body["at"] for row in rows] == sorted(row.body["at"] for row in rows)


def test_pages_of_fifty_go_from_the_newest_to_the_oldest(
    audit: Audit, documents: SqliteDocuments, clock: Clock
) -> None:
    for number in range(120):
        documents.commit([audit.row("ada", "session:begin", str(number))])
        if number % 3 == 0:  # several at one moment are neither lost nor told twice
            clock.pass_by(seconds=1)
    seen: list[str] = []
    sizes = []
    after = None
    while True:
        page = audit.page(after=after)
        sizes.append(len(page.documents))
        seen += [row.body["target"] for row in page.documents]
        after = page.cursor
        if after is None:
            break
    assert sizes == [50, 50, 20]
    assert sorted(map(int, seen)) == list(range(120))
    moments = [int(number) // 3 + (int(number) % 3 > 0) for number in seen]
    assert moments == sorted(moments, reverse=True)


def test_rows_are_found_by_action_and_by_actor(
    audit: Audit, documents: SqliteDocuments, clock: Clock
) -> None:
    for actor, action in (
        ("ada", "session:begin"),
        ("bob", "session:begin"),
        ("ada", "refresh:start"),
    ):
        documents.commit([audit.row(actor, action, "x")])
        clock.pass_by(seconds=1)

    def found(**given: str) -> list[tuple[str, str]]:
        rows = audit.page(**given).documents
        return [(row.body["actor"], row.body["action"]) for row in rows]

    assert found(action="session:begin") == [("bob", "session:begin"), ("ada", "session:begin")]
    assert found(actor="ada") == [("ada", "refresh:start"), ("ada", "session:begin")]
    assert found(actor="bob", action="refresh:start") == []


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada <ada.l+x@bücher.example.org> wrote", "Ada <(redacted)> wrote"),
        ("see /?email=ada%40example.com", "see /?email=(redacted)"),
        ("call +49 (0)30 / 123-4567 back", "call (redacted) back"),
        ("call 030 1234567, then 0049301234567", "call (redacted), then (redacted)"),
        ("order 20261001 of 2026-10-01, ticket 4711", "order 20261001 of 2026-10-01, ticket 4711"),
        ("events_20261001, p_81f0000000000001", "events_20261001, p_81f0000000000001"),
        ("a @ b, me@home, 00, +1", "a @ b, me@home, 00, +1"),
    ],
)
def test_a_reason_keeps_no_address_and_no_number(audit: Audit, typed: str, kept: str) -> None:
    assert audit.row("ada", "profile:reveal", "p_1", reason=typed).body["reason"] == kept

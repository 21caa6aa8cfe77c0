"""Messages that are delivered no more, as documents."""

from datetime import UTC, datetime, timedelta

import pytest

from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.port import Dead
from cdp.refresh.dead_letters import DocumentDeadLetters

NOW = datetime(2026, 11, 1, 8, tzinfo=UTC)


@pytest.fixture
def letters(tmp_path):
    documents = SqliteDocuments(tmp_path / "documents.sqlite")
    times = (NOW - timedelta(hours=n) for n in range(1_000_000))
    yield DocumentDeadLetters(documents, clock=lambda: next(times))
    documents.close()


def test_what_is_buried_is_told_with_its_reason(letters):
    letters.bury("7", "shards", {"run_id": "r1", "shard": 3}, attempts=5, reason="gave up")
    letters.bury("8", "others", {}, attempts=1, reason="no JSON")
    assert letters.dead("shards") == [
        Dead("7", {"run_id": "r1", "shard": 3}, 5, "gave up", "2026-11-01T08:00:00.000000Z")
    ]
    assert letters.dead("none") == []


def test_the_oldest_comes_first_however_many_there_are(letters):
    for n in range(650):
        letters.bury(str(n), "shards", {"shard": n}, attempts=5, reason="gave up")
    assert [dead.data["shard"] for dead in letters.dead("shards")] == [*reversed(range(650))]


def test_of_several_burials_of_one_message_the_first_stands(letters):
    letters.bury("7", "shards", {"shard": 3}, attempts=1, reason="refused")
    letters.bury("7", "shards", {"shard": 3}, attempts=5, reason="gave up")
    assert [dead.reason for dead in letters.dead("shards")] == ["refused"]


def test_a_message_may_hold_what_a_document_may_not(letters):
    data = {"": [[1], {"a.b": None}]}
    letters.bury("7", "shards", data, attempts=5, reason="gave up")
    assert letters.dead("shards")[0].data == data
    with pytest.raises(TypeError):
        letters.bury("8", "shards", {"n": object()}, attempts=5, reason="gave up")

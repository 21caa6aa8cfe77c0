"""What only a SQLite file has: its rights, its releases, its lists of many profiles."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from cdp.profiles import sqlite_lists
from cdp.profiles.port import Delete, Put, Where
from cdp.profiles.sqlite import _MIGRATIONS, SqliteDocuments
from cdp.sqlite_file import NewerFile
from tests.documents import SqliteOpener, check_lists, ids, row, walk


@pytest.fixture
def opened(tmp_path):
    return SqliteOpener(str(tmp_path / "deep" / "documents.sqlite"))


@pytest.fixture
def documents(opened):
    store = opened()
    yield store
    store.close()


@pytest.mark.parametrize("few", [True, False])
def test_lists_hold_what_was_written_whatever_is_asked_and_in_every_order(
    documents, monkeypatch, few
):
    if not few:  # as of lists too large to look at each of their profiles
        monkeypatch.setattr(sqlite_lists, "_FEW", 3)
        monkeypatch.setattr(sqlite_lists, "_COUNTED", 8)
        monkeypatch.setattr(sqlite_lists, "_WINDOW", 5)
    check_lists(documents, asked=250)


def test_the_file_is_its_owners_only(documents, opened):
    documents.commit([Put("runs", "r1", {})])
    for name in os.listdir(os.path.dirname(opened.path)):
        mode = os.stat(os.path.join(os.path.dirname(opened.path), name)).st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_a_file_of_a_newer_release_is_refused_with_what_to_do(documents, opened):
    documents.commit([])
    documents.close()
    with sqlite3.connect(opened.path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(NewerFile, match=r"version 99.*use the release that wrote it"):
        opened().get("runs", "r1")


def test_a_path_that_is_declared_later_gets_its_index(documents, opened):
    documents.merge("profiles", [row(set={"consent": {"ads": {"state": "granted"}}})])
    later = SqliteDocuments(Path(opened.path), filtered=["consent.ads.state"])
    granted = [Where("consent.ads.state", "==", "granted")]
    assert later.count("profiles", granted) == 1
    assert ids(later.page("profiles", where=granted, order_by="sync.state")) == ["p1"]
    later.close()


def test_who_does_not_know_a_path_keeps_the_list_by_it_in_step(documents, opened):
    granted = [Where("consent.ads.state", "==", "granted")]
    documents.merge("profiles", [row(set={"consent": {"ads": {"state": "granted"}}})])
    later = SqliteDocuments(Path(opened.path), filtered=["consent.ads.state"])
    assert later.count("profiles", granted) == 1
    documents.merge("profiles", [row("p2", set={"consent": {"ads": {"state": "granted"}}})])
    documents.commit([Delete("profiles", "p1")])
    assert ids(later.page("profiles", where=granted)) == ["p2"]
    later.close()
    other = SqliteDocuments(Path(opened.path), filtered=["consent.news.state"])
    assert other.count("profiles") == 1
    other.close()
    assert later.count("profiles", granted) == 1
    later.close()


def test_a_file_of_an_older_release_is_brought_up_to_date(opened):
    Path(opened.path).parent.mkdir()
    with sqlite3.connect(opened.path) as db:
        for statement in _MIGRATIONS[0]:
            db.execute(statement)
        db.execute(
            "create index 'profiles.ga4.sessions' on document "
            "(json_extract(body, '$.ga4.sessions'), id) where collection = 'profiles'"
        )
        rows = [(name, f"d{n}", f'{{"ga4": {{"sessions": {n}}}}}') for n in range(5) for name in
                ("profiles", "runs")]  # fmt: skip
        db.executemany("insert into document values (?, ?, 'v', ?)", rows)
        db.execute("pragma user_version = 1")
    db.close()
    store = opened()
    assert walk(store, order_by="ga4.sessions", descending=True) == ["d4", "d3", "d2", "d1", "d0"]
    assert store.count("profiles", [Where("ga4.sessions", ">", 2)]) == 2
    assert store.count("runs") == 5
    assert store.get("runs", "d3").version == "v"
    store.commit([Delete("profiles", "d4")])
    assert store.count("profiles") == 4
    store.close()


def test_a_file_that_was_vacuumed_lists_the_same(documents, opened):
    documents.commit([Put("profiles", f"p{n}", {"ga4": {"sessions": n}}) for n in range(9)])
    documents.commit([Delete("profiles", f"p{n}") for n in range(0, 9, 2)])
    with sqlite3.connect(opened.path) as db:
        db.execute("vacuum")
    db.close()
    documents.commit([Put("profiles", "p3", {"ga4": {"sessions": 0}})])
    assert walk(documents, order_by="ga4.sessions") == ["p3", "p1", "p5", "p7"]
    assert documents.count("profiles", [Where("ga4.sessions", "==", 0)]) == 1

"""The document store's contract, for every adapter."""

import multiprocessing
import threading
from collections.abc import Callable
from enum import IntEnum

import pytest

from cdp.domain.merge import Kind, Outcome, withdrawal
from cdp.domain.withdrawal import Denial
from cdp.profiles.decisions import FIRST, Decisions
from cdp.profiles.port import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    InvalidDocument,
    InvalidQuery,
    Put,
    Where,
)
from tests.documents import ORDERS, FirestoreOpener, SqliteOpener, body, check_lists, ids, row, walk


class Level(IntEnum):
    HIGH = 2


def without_index(adapter, reason):
    """Mark a list that one adapter refuses, for want of an index; it must refuse it."""

    def mark(test):
        refused = pytest.mark.xfail(raises=InvalidQuery, reason=reason)
        params = [
            pytest.param(name, marks=refused if name == adapter else ())
            for name in ("sqlite", "firestore")
        ]
        return pytest.mark.parametrize("opened", params, indirect=True)(test)

    return mark


SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(params=["sqlite", "firestore"])
def opened(request, tmp_path):
    """A function of no arguments that opens the store; other processes may call it, too."""
    if request.param == "sqlite":
        return SqliteOpener(str(tmp_path / "deep" / "documents.sqlite"))
    return FirestoreOpener(request.getfixturevalue("firestore_emulator"))


@pytest.fixture
def documents(opened):
    store = opened()
    yield store
    store.close()


# Documents and versions


def test_a_document_reads_back_as_it_was_written(documents):
    value = {"a": [1, 2.5, None, True, {"ü.[0]`": "\x00"}], "b": {}, "c": -(2**63)}
    documents.commit([Put("runs", "r 1.ü", {**value, "d": Outcome.WRITTEN, "e": Level.HIGH})])
    value |= {"d": "written", "e": 2}
    assert documents.get("runs", "r 1.ü").body == value
    assert documents.get("runs", "r2") is None
    assert documents.get("profiles", "r 1.ü") is None


def test_many_documents_are_read_at_once(documents):
    documents.commit([Put("runs", str(n), {"n": n}) for n in range(3)])
    found = documents.get_many("runs", ["0", "2", "none"])
    assert {key: document.body for key, document in found.items()} == {"0": {"n": 0}, "2": {"n": 2}}
    assert documents.get_many("runs", []) == {}


def test_a_version_changes_with_every_change(documents):
    versions = set()
    for n in range(3):
        documents.commit([Put("runs", "r1", {"n": n})])
        versions.add(documents.get("runs", "r1").version)
    documents.commit([Delete("runs", "r1")])
    documents.commit([Create("runs", "r1", {})])
    versions.add(documents.get("runs", "r1").version)
    assert len(versions) == 4


def test_a_write_that_expects_another_version_conflicts(documents):
    documents.commit([Put("leases", "refresh", {"by": 1})])
    old = documents.get("leases", "refresh").version
    documents.commit([Put("leases", "refresh", {"by": 2}, expect=old)])
    for write in (
        Put("leases", "refresh", {"by": 3}, expect=old),
        Delete("leases", "refresh", old),
    ):
        with pytest.raises(Conflict):
            documents.commit([write])
    with pytest.raises(Conflict):
        documents.commit([Put("leases", "none", {}, expect=old)])
    assert documents.get("leases", "refresh").body == {"by": 2}


def test_create_meets_no_document(documents):
    documents.commit([Create("runs", "r1", {"n": 1})])
    with pytest.raises(AlreadyExists):
        documents.commit([Create("runs", "r1", {"n": 2})])
    assert documents.get("runs", "r1").body == {"n": 1}


def test_deleting_nothing_is_no_error(documents):
    documents.commit([Delete("runs", "none")])


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (Put("runs", "r2", {"at": object()}), TypeError),
        (Put("runs", "r2", {"at": float("nan")}), TypeError),
        (Put("runs", "r2", {"at": "\ud800"}), TypeError),
        (Put("runs", "r2", {"at": 2**63}), TypeError),
        (Put("runs", "r2", {"at": [[1]]}), TypeError),
        (Put("runs", "r2", {1: 1}), TypeError),
        (Put("runs", "r2", {"": 1}), TypeError),
        (Put("runs", "r2", {"a": {"__x__": 1}}), TypeError),
        (Put("runs", "r2", {"x" * 1501: 1}), TypeError),
        (Put("runs", "r2", {"at": "x" * 1_100_000}), InvalidDocument),
        (Put("runs", "a/b", {}), InvalidDocument),
        (Create("runs", "r1", {}), AlreadyExists),
        (Delete("runs", "r2", expect="x"), Conflict),
    ],
)
def test_a_commit_that_fails_leaves_no_write_behind(documents, last, error):
    with pytest.raises(error):
        documents.commit([Put("runs", "r1", {}), last])
    assert documents.get("runs", "r1") is None


@pytest.mark.parametrize("id", ["", ".", "..", "a/b", "__x__", "____", "x" * 1501, "\ud800"])
def test_an_id_that_a_store_refuses_is_refused_everywhere(documents, id):
    with pytest.raises(InvalidDocument):
        documents.commit([Put("runs", id, {})])
    with pytest.raises(InvalidDocument):
        documents.get("runs", id)
    with pytest.raises(InvalidDocument):
        documents.merge("profiles", [row(id)])


# Pages and counts


@pytest.fixture
def people(documents):
    """Ten people; every third has two sessions, the others one; one has no GA4 fields."""
    documents.commit(
        [
            Put(
                "profiles",
                f"p{n}",
                {
                    "ga4": {
                        "sessions": 2 if n % 3 == 0 else 1,
                        "revenue": n * 1.5,
                        "country": "DE",
                    },
                    "segments": ["new", f"s{n % 2}"],
                    "vip": n == 4,
                },
            )
            for n in range(9)
        ]
        + [Put("profiles", "p9", {"written": "by sGTM"}), Put("runs", "r1", {"ga4": {}})]
    )
    return documents


def test_pages_are_in_order_of_value_and_then_of_id(people):
    two, one = ["p0", "p3", "p6"], ["p1", "p2", "p4", "p5", "p7", "p8"]
    assert walk(people, order_by="ga4.sessions") == one + two
    assert walk(people, order_by="ga4.sessions", descending=True) == two[::-1] + one[::-1]
    assert walk(people, order_by="ga4.country") == [f"p{n}" for n in range(9)]


def test_without_an_order_pages_are_by_id_and_hold_every_document(people):
    assert walk(people) == [f"p{n}" for n in range(10)]


@without_index("firestore", "an index begins with a value, never with the id backwards")
def test_without_an_order_pages_can_be_backwards(people):
    assert walk(people, descending=True) == [f"p{n}" for n in reversed(range(10))]


def test_the_last_page_has_no_cursor(people):
    assert people.page("profiles", limit=10).cursor is None
    assert people.page("profiles", limit=9).cursor is not None
    assert people.page("nothing").cursor is None


def test_a_page_goes_on_where_the_one_before_ended_whatever_was_written_since(people):
    first = people.page("profiles", order_by="ga4.revenue", limit=3)
    people.commit(
        [
            Delete("profiles", "p2"),
            Put("profiles", "p00", {"ga4": {"revenue": 0.1}}),
            Put("profiles", "p33", {"ga4": {"revenue": 4.5}}),
        ]
    )
    second = people.page("profiles", order_by="ga4.revenue", limit=3, after=first.cursor)
    assert ids(first) + ids(second) == ["p0", "p1", "p2", "p3", "p33", "p4"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ([Where("ga4.sessions", "==", 2)], "036"),
        ([Where("ga4.sessions", "!=", 2)], "124578"),
        ([Where("ga4.sessions", "in", [2, 7])], "036"),
        ([Where("ga4.revenue", "<", 3)], "01"),
        ([Where("ga4.revenue", "<=", 3.0)], "012"),
        ([Where("ga4.revenue", ">", 10.5)], "8"),
        ([Where("ga4.revenue", ">=", 10.5)], "78"),
        ([Where("ga4.revenue", ">", 1.5), Where("ga4.revenue", "<", 6)], "23"),
        ([Where("ga4.revenue", ">", ""), Where("ga4.revenue", "<", "z")], ""),
        ([Where("ga4.country", ">", 0)], ""),
        ([Where("ga4.country", "<", "E"), Where("ga4.sessions", "==", 2)], "036"),
        ([Where("segments", "contains", "s1")], "1357"),
        ([Where("segments", "contains", "s")], ""),
        ([Where("ga4.country", "contains", "DE")], ""),
        ([Where("vip", "==", True)], "4"),
        ([Where("ga4.sessions", "==", True)], ""),
        ([Where("ga4.country", "==", "' or 1 = 1 --")], ""),
        ([Where("ga4", "==", "x")], ""),
    ],
)
def test_conditions(people, where, found):
    expected = [f"p{n}" for n in found]
    assert sorted(walk(people, where=where, order_by="ga4.country")) == expected
    assert sorted(walk(people, where=where, order_by="ga4.revenue")) == expected
    assert people.count("profiles", where) == len(expected)


EQUAL = [Where("ga4.sessions", "==", 2), Where("ga4.country", "in", ["AT", "DE"])]
COMPARED = [Where("ga4.sessions", ">", 1), Where("segments", "contains", "s0")]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("order_by", [None, "ga4.sessions"])
@pytest.mark.parametrize("where", [[], EQUAL, COMPARED])
def test_a_store_knows_which_lists_it_refuses(people, where, order_by, descending):
    asked = {"where": where, "order_by": order_by, "descending": descending}
    if people.lists("profiles", **asked):
        people.page("profiles", **asked)
    else:
        with pytest.raises(InvalidQuery):
            people.page("profiles", **asked)


def test_what_equals_is_listed_by_id(people):
    assert walk(people, where=EQUAL) == ["p0", "p3", "p6"]


@without_index("firestore", "an index that holds a range is in the order of that range")
def test_what_is_in_a_range_is_listed_by_id(people):
    assert walk(people, where=COMPARED) == ["p0", "p6"]


def test_count_counts_one_collection(people):
    assert people.count("profiles") == 10
    assert people.count("runs") == 1
    assert people.count("nothing") == 0


@pytest.mark.parametrize(
    ("path", "op", "value"),
    [
        ("a'b", "==", 1),
        ("a b", "==", 1),
        ("a..b", "==", 1),
        ("", "==", 1),
        ("a", "like", "x"),
        ("a", "==", None),
        ("a", "==", [1]),
        ("a", "<", True),
        ("a", "in", []),
        ("a", "in", list(range(31))),
        ("a", "in", "abc"),
        ("a", "in", [[1]]),
    ],
)
def test_what_no_store_can_answer_is_refused(path, op, value):
    with pytest.raises(InvalidQuery):
        Where(path, op, value)


def test_an_order_that_is_no_path_is_refused(documents):
    with pytest.raises(InvalidQuery):
        documents.page("profiles", order_by="id) --")


@pytest.mark.parametrize(
    "cursor", ["", "x", "gASVBQ==", "W10=", "bnVsbA==", "ü", "e30=", "/" * 400]
)
def test_a_cursor_that_was_made_up_is_refused(people, cursor):
    for order in (None, "ga4.sessions"):
        with pytest.raises(InvalidQuery):
            people.page("profiles", order_by=order, after=cursor)


def test_a_cursor_of_another_order_is_refused(people):
    cursor = people.page("profiles", order_by="ga4.sessions", limit=1).cursor
    for other in (
        {},
        {"order_by": "ga4.revenue"},
        {"order_by": "ga4.sessions", "descending": True},
    ):
        with pytest.raises(InvalidQuery):
            people.page("profiles", after=cursor, **other)


def test_lists_hold_what_was_written_whatever_is_asked_and_in_every_order(documents):
    check_lists(documents, asked=60, orders=[order for order in ORDERS if order], ties=False)


def test_a_write_that_fails_leaves_the_lists_as_they_were(people):
    live = [Where("ga4.sessions", "==", 2)]
    with pytest.raises(Conflict):
        people.commit([Delete("profiles", "p0"), Delete("profiles", "p3", expect="x")])
    assert walk(people, where=live, order_by="ga4.revenue") == ["p0", "p3", "p6"]
    assert people.count("profiles", live) == 3
    assert people.count("profiles") == 10


def test_values_that_no_refresh_writes_do_not_break_a_list(documents):
    odd = [{"a": 1}, [1, "x"], True, False, None, "", 1e308, -(2**63)]
    documents.commit(
        [
            Put("profiles", f"p{n}", {"ga4": {"revenue": one, "country": one, "last_source": "x"}})
            for n, one in enumerate(odd)
        ]
        + [Put("profiles", "p8", {"ga4": "none"}), Put("profiles", "p9", {"sync": []})]
    )
    assert documents.count("profiles") == len(walk(documents)) == 10
    assert documents.count("profiles", [Where("ga4.country", "==", True)]) == 1
    assert documents.count("profiles", [Where("ga4.country", "==", "")]) == 1
    assert "p4" not in walk(documents, order_by="ga4.revenue")
    found = walk(documents, order_by="ga4.revenue", where=[Where("ga4.revenue", "<", -5)])
    assert found == ["p7"]
    assert documents.count("profiles", [Where("ga4.revenue", ">=", 1e308)]) == 1


# Identifiers


def test_find_gives_every_profile_that_holds_an_identifier(documents):
    both = {"identifiers": {"email": ["a@x"], "user_id": ["7"], "other": ["o"], "phone": "a@x"}}
    documents.commit([Put("profiles", "p2", both), Put("profiles", "p1", both)])
    documents.merge("profiles", [row("p3", set={"identifiers": {"client_id": ["7", "c"]}})])
    assert documents.find("a@x") == ["p1", "p2"]
    assert documents.find("7") == ["p1", "p2", "p3"]
    assert documents.find("7", "user_id") == ["p1", "p2"]
    assert documents.find("7", type="client_id") == ["p3"]
    assert documents.find("o") == documents.find("A@x") == documents.find("") == []
    with pytest.raises(InvalidQuery):
        documents.find("7", "other")


def test_find_finds_a_profile_by_its_own_id(documents):
    documents.merge("profiles", [row("p1"), row("p2", kind=Kind.DELETE, hash="")])
    assert documents.find("p1") == ["p1"]
    assert documents.find("p1", "email") == documents.find("p2") == []


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.commit([Delete("profiles", "p1")]),
        lambda d: d.commit([Put("profiles", "p1", {})]),
        lambda d: d.merge("profiles", [row(seq=2, hash="", kind=Kind.DELETE)]),
        lambda d: d.merge("profiles", [row(seq=2, kind=Kind.MERGED, into="p2")]),
        lambda d: d.merge("profiles", [row(seq=2, hash="h2", unset=["identifiers"])]),
        lambda d: d.merge(
            "profiles", [row(seq=2, hash="h2", set={"identifiers": {"email": ["b"]}})]
        ),
    ],
)
def test_an_identifier_that_is_gone_finds_nothing(documents, change: Callable[[object], None]):
    documents.merge("profiles", [row(set={"identifiers": {"email": ["a"]}})])
    assert documents.find("a") == ["p1"]
    change(documents)
    assert documents.find("a") == []


# Merge


def test_merge_keeps_what_others_wrote(documents):
    documents.commit(
        [Put("profiles", "p1", {"crm": {"owner": "x", "a.b": 1}, "ga4": {"custom_by_sgtm": [1]}})]
    )
    fields = {"ga4": {"country": "DE", "sessions": None}, "crm": {}, "consent": {"ads": {}}}
    outcomes = documents.merge("profiles", [row(set=fields)])
    assert outcomes == [Outcome.WRITTEN]
    stamp = {"run": "r1", "seq": 1, "hash": "h1", "at": "t", "state": "live"}
    assert body(documents) == {
        "crm": {"owner": "x", "a.b": 1},
        "ga4": {"custom_by_sgtm": [1], "country": "DE"},
        "sync": stamp,
    }
    documents.merge("profiles", [row(seq=2, hash="h2", unset=["ga4"])])
    assert body(documents)["ga4"] == {"custom_by_sgtm": [1]}


def test_keys_with_dots_brackets_and_backticks_are_keys(documents):
    odd = {"ga4": {"a.b": 1, "c[0]": 2, "`d`": 3, "ü": 4, "*": 5, "_x_": 6, "\\": 7, "a b": 8}}
    documents.merge("profiles", [row(set=odd)])
    documents.merge("profiles", [row(seq=2, hash="h2", set={"ga4": {"country": "DE"}})])
    assert body(documents)["ga4"] == {**odd["ga4"], "country": "DE"}


def test_older_rows_are_stale_and_the_same_row_changes_nothing(documents):
    new = row(seq=5, hash="h5", set={"ga4": {"country": "DE"}})
    assert documents.merge("profiles", [new]) == [Outcome.WRITTEN]
    version = documents.get("profiles", "p1").version
    again = [row(seq=4, hash="h4"), new, row(seq=6, hash="h5")]
    outcomes = documents.merge("profiles", again)
    assert outcomes == [Outcome.STALE, Outcome.UNCHANGED, Outcome.UNCHANGED]
    assert documents.get("profiles", "p1").version == version
    assert body(documents)["sync"]["seq"] == 5


def test_rows_of_one_profile_in_one_batch_apply_in_turn(documents):
    rows = [
        row(seq=1, hash="a", set={"ga4": {"country": "DE"}, "identifiers": {"email": ["a"]}}),
        row(seq=3, hash="c", set={"ga4": {"sessions": 3}, "identifiers": {"email": ["c"]}}),
        row(seq=2, hash="b", set={"ga4": {"country": "FR"}}),
        row(seq=3, hash="c"),
    ]
    outcomes = documents.merge("profiles", rows)
    assert outcomes == [Outcome.WRITTEN, Outcome.WRITTEN, Outcome.STALE, Outcome.UNCHANGED]
    assert body(documents)["ga4"] == {"country": "DE", "sessions": 3}
    assert (documents.find("a"), documents.find("c")) == ([], ["p1"])
    assert documents.merge("profiles", []) == []


def test_an_erased_profile_holds_its_stamp_only_and_no_older_row_brings_it_back(documents):
    documents.commit([Put("profiles", "p1", {"crm": {"owner": "x"}})])
    documents.merge("profiles", [row(set={"contact": {"email": "a@x"}})])
    documents.merge("profiles", [row(seq=3, hash="", kind=Kind.DELETE)])
    stamp = {"run": "r3", "seq": 3, "hash": "", "at": "t", "state": "deleted"}
    assert body(documents) == {"sync": stamp}
    for seq in (2, 9):
        assert documents.merge("profiles", [row(seq=seq, hash="h2")]) == [Outcome.UNCHANGED]
        assert body(documents) == {"sync": stamp}
    assert documents.merge("profiles", [row(seq=3, hash="", kind=Kind.DELETE)])[0] == "unchanged"
    assert (
        documents.merge("profiles", [row("never", seq=3, hash="", kind=Kind.DELETE)])[0]
        == "written"
    )


def test_a_withdrawal_takes_ours_and_leaves_the_stamp_and_what_others_wrote(documents):
    held = {
        "identifiers": {"email": ["a@x.de", "b@x.de"], "user_id": ["u1"], "vip": True},
        "contact": {"email": "a@x.de", "email_valid": True},
        "consent": {"marketing": {"state": "granted", "source": "crm"}},
        "crm": {"tier": 1},
        "sync": {"state": "live", "seq": 7, "hash": "h7"},
    }
    documents.commit([Put("profiles", id, held) for id in ("p1", "p2")])
    documents.commit([Put("profiles", "p3", {"identifiers": {"email": ["a@x.de"]}})])
    of_marketing = ("identifiers.email", "contact.email", "contact.email_valid")
    denial = Denial("email", "a@x.de", "marketing", "t", "admin", of_marketing, alone=True)
    rows = [withdrawal(id, denial) for id in ("p1", "p3", "p4")]
    assert documents.merge("profiles", rows) == [
        Outcome.WRITTEN,
        Outcome.WRITTEN,
        Outcome.UNCHANGED,
    ]
    assert documents.merge("profiles", rows) == [Outcome.UNCHANGED] * 3
    assert body(documents) == {
        "identifiers": {"email": ["b@x.de"], "user_id": ["u1"], "vip": True},
        **{name: held[name] for name in ("consent", "crm", "sync")},
    }
    # A document that no run wrote is still none that a run wrote.
    denied = {"marketing": {"state": "denied", "since": "t", "source": "admin"}}
    assert body(documents, "p3") == {"consent": denied}
    assert documents.get("profiles", "p4") is None
    assert documents.find("a@x.de") == ["p2"]
    # The run that wrote it may bring its row again, and changes nothing.
    assert documents.merge("profiles", [row(seq=7, hash="h7")]) == [Outcome.UNCHANGED]


def test_decisions_are_read_in_order_from_any_of_them_on(documents):
    decisions = Decisions(documents)
    assert decisions.last() == FIRST
    for state in ("denied", "granted", "denied"):
        _, writes = decisions.added([{"state": state}], at="2026-10-01T12:00:00Z")
        documents.commit(writes)
    _, late = decisions.added([{"state": "granted"}], at="2026-10-01T12:00:00Z")
    # A clock that is behind gives no id that comes before.
    documents.commit(decisions.added([{"state": "denied"}] * 2, at="2026-10-01T11:00:00Z")[1])
    with pytest.raises(Conflict):
        documents.commit(late)
    known = [f"d_179085600000000{n}" for n in range(5)]
    assert decisions.last() == known[-1]
    for place, after in enumerate([FIRST, *known]):
        assert [found.id for found in decisions.after(after)] == known[place:]


def test_a_row_that_makes_a_document_too_large_is_told_and_the_others_are_written(documents):
    documents.commit([Put("profiles", "p1", {"crm": "x" * 1_000_000})])
    large = row(set={"contact": {"email": "y" * 100_000}})
    outcomes = documents.merge("profiles", [row("p0"), large, row("p2")])
    assert outcomes == [Outcome.WRITTEN, Outcome.TOO_LARGE, Outcome.WRITTEN]
    assert body(documents) == {"crm": "x" * 1_000_000}
    assert documents.get("profiles", "p2")


def test_live_profiles_can_be_counted(documents):
    rows = [row(f"p{n}") for n in range(4)] + [row("gone", hash="", kind=Kind.DELETE)]
    documents.merge("profiles", rows)
    documents.merge("profiles", [row("p0", seq=2, kind=Kind.MERGED, into="p1")])
    assert documents.count("profiles", [Where("sync.state", "==", "live")]) == 3


def test_resolve_follows_merges_to_the_living(documents):
    def into(id, other):
        return row(id, kind=Kind.MERGED, into=other)

    documents.commit([Put("profiles", "sgtm", {})])
    documents.merge("profiles", [into("a", "b"), into("b", "c"), row("c"), into("x", "y")])
    documents.merge("profiles", [into("y", "x"), into("l", "lost"), into("d", "e")])
    documents.merge("profiles", [row("e", hash="", kind=Kind.DELETE)])
    resolved = {key: documents.resolve(key) for key in [*"abcxld", "sgtm", "none"]}
    assert resolved == {
        **dict.fromkeys("abc", "c"),
        "sgtm": "sgtm",
        **dict.fromkeys(["x", "l", "d", "none"]),
    }


# Several processes and threads


def merge_all(opened, seqs, barrier):
    store = opened()
    barrier.wait()
    for seq in seqs:
        rows = [
            row(f"p{n}", seq=seq, hash=f"h{seq}", set={"ga4": {"sessions": seq}}) for n in range(20)
        ]
        store.merge("profiles", rows)
    store.close()


def test_of_two_processes_that_race_the_newer_row_stands(opened):
    """First use of the file included: each process finds none, and makes it."""
    barrier = SPAWN.Barrier(2)
    racers = [
        SPAWN.Process(target=merge_all, args=(opened, seqs, barrier))
        for seqs in (range(1, 41, 2), range(40, 0, -2))
    ]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    store = opened()
    for n in range(20):
        assert body(store, f"p{n}")["sync"]["seq"] == 40
        assert body(store, f"p{n}")["ga4"]["sessions"] == 40
    store.close()


def test_threads_share_a_store_and_lose_no_update(documents):
    documents.commit([Put("counters", "seq", {"value": 0})])

    def count():
        for _ in range(20):
            while True:
                found = documents.get("counters", "seq")
                try:
                    documents.commit(
                        [Put("counters", "seq", {"value": found.body["value"] + 1}, found.version)]
                    )
                except Conflict:
                    continue
                break

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert documents.get("counters", "seq").body == {"value": 80}

"""Firestore's own: faults, races, others' types, and the same result as the embedded store."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import grpc
import pytest
from google.cloud import firestore

from cdp.domain.errors import CdpError
from cdp.domain.merge import Kind, Merge, Outcome
from cdp.profiles.firestore import ForeignDatabase
from cdp.profiles.firestore_rpc import Backoff, FirestoreError, Ramp
from cdp.profiles.port import AlreadyExists, Conflict, Create, Delete, InvalidDocument, Put, Where
from tests.documents import FirestoreOpener, SqliteOpener, body, row, walk
from tests.faulty import Faulty

# So many tries that chance alone never fails all of them.
QUICK = Backoff(tries=40, sleep=lambda _: None)


@pytest.fixture
def opened(firestore_emulator):
    return FirestoreOpener(firestore_emulator, backoff=QUICK)


@pytest.fixture
def documents(opened):
    store = opened()
    yield store
    store.close()


def through(faulty, opened, **options):
    """The same project, reached through the faulty server."""
    return FirestoreOpener(faulty.address, opened.project, backoff=QUICK)(**options)


def rows_of(seq, count=60, **more):
    return [
        row(
            f"p{n}",
            seq=seq,
            hash=f"h{seq}-{n}",
            set={"ga4": {"sessions": seq}, "consent": {"ads": {"state": "granted"}}},
            unset=["consent", "ga4.country"],
            **more,
        )
        for n in range(count)
    ]


# What others write


def test_a_document_of_others_types_reads_as_json_and_keeps_them(opened, documents):
    client = opened.client()
    theirs = {
        "at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
        "where": firestore.GeoPoint(1.5, -2.0),
        "raw": b"\x00\xff",
        "other": client.collection("cdp_profiles").document("p2"),
        "nothing": None,
        "a.b`c\\": {"x.y": float("nan")},
        "empty": {},
        "many": [1, {"at": datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)}],
    }
    client.collection("cdp_profiles").document("p1").set(
        {"crm": theirs, "ga4": {"visited": theirs}}
    )
    documents.merge("profiles", rows_of(1, 2))
    documents.merge("profiles", [row("p1", seq=2, hash="h2", unset=["ga4", "consent"])])
    expected = {
        "at": "2026-01-02T03:04:05.678901Z",
        "where": {"latitude": 1.5, "longitude": -2.0},
        "raw": "AP8=",
        "other": "cdp_profiles/p2",
        "nothing": None,
        "a.b`c\\": {"x.y": "nan"},
        "empty": {},
        "many": [1, {"at": "1969-12-31T23:59:59.000000Z"}],
    }
    found = body(documents)
    assert found["crm"] == expected
    assert found["ga4"] == {"visited": expected}
    stored = client.collection("cdp_profiles").document("p1").get().to_dict()["crm"]
    assert stored["at"] == theirs["at"]
    assert stored["where"] == theirs["where"]
    assert stored["raw"] == theirs["raw"]
    assert stored["other"].path == "cdp_profiles/p2"


def test_a_list_goes_on_after_values_of_every_type(opened, documents):
    client = opened.client()
    odd = [
        False, True, -1.5, 3, "", "z", b"x", datetime(2026, 1, 1, tzinfo=UTC), [1], [2], {"a": 1},
        firestore.GeoPoint(0, 0), client.collection("cdp_profiles").document("p1"), float("nan"),
    ]  # fmt: skip
    for n, one in enumerate([*odd, None]):
        client.collection("cdp_profiles").document(f"p{n:02}").set({"ga4": {"revenue": one}})
    up = walk(documents, order_by="ga4.revenue")
    assert sorted(up) == [f"p{n:02}" for n in range(len(odd))]
    assert walk(documents, order_by="ga4.revenue", descending=True) == up[::-1]


# The same result as the embedded store

OWNED = ["ga4.sessions", "ga4.country", "contact.email", "identifiers.email", "ads.last_gclid",
         "consent.ads.state", "consent.ads.since", "consent.news.state"]  # fmt: skip
MAPS = ["ga4", "contact", "identifiers", "ads", "consent", "consent.ads", "consent.news"]
FOREIGN = ["ga4.custom", "ga4.a.b", "consent.ads.by", "consent.Not A Purpose", "crm.tier", "sync.x"]


def put(target, path, value):
    *above, last = path.split(".", 2) if not path.startswith("ga4.a") else ["ga4", "a.b"]
    for name in above:
        below = target.get(name)
        target = target[name] = below if isinstance(below, dict) else {}
        if target is not below and below is not None:
            return
    target[last] = value


def leaf(chance):
    return chance.choice([1, 2.5, True, "x", "y", ["a"], ["a", "b"], None, {}, "", 0, -(2**63)])


def anybody(chance):
    document = {}
    for path in chance.sample(OWNED + FOREIGN, chance.randint(0, 8)):
        put(document, path, leaf(chance))
    if chance.random() < 0.15:
        document[chance.choice(["ga4", "consent", "contact"])] = leaf(chance)
    if chance.random() < 0.3:
        document["sync"] = chance.choice(["text", {}, {"seq": "1"}, {"seq": 2, "hash": "h"}])
    return document


def anything(chance, id, seq):
    kind = chance.choices(list(Kind), [8, 1, 1, 1])[0]
    more = {"confirm": chance.random() < 0.2}
    if kind is Kind.UPSERT:
        fields = {}
        for path in chance.sample([*OWNED, "ga4.a.b"], chance.randint(0, 4)):
            put(fields, path, leaf(chance))
        more |= {"set": fields, "unset": chance.sample(OWNED + MAPS, chance.randint(0, 3))}
    if kind is Kind.MERGED:
        more["into"] = "other"
    seq = max(0, seq + chance.randint(-1, 1))
    return Merge(id, seq, f"r{seq}", "t", chance.choice(["h", "i", "j"]), kind=kind, **more)


@pytest.mark.parametrize("seed", range(4))
def test_merges_leave_the_documents_that_the_embedded_store_has(documents, tmp_path, seed):
    chance = random.Random(seed)
    embedded = SqliteOpener(str(tmp_path / "documents.sqlite"))()
    stores = (documents, embedded)
    ids = [f"p{n}" for n in range(60)]
    foreign = [Put("profiles", id, anybody(chance)) for id in ids if chance.random() < 0.7]
    for store in stores:
        store.commit(foreign)
    for seq in range(1, 6):
        rows = [anything(chance, id, seq) for id in chance.choices(ids, k=50)]
        outcomes = [store.merge("profiles", rows) for store in stores]
        assert outcomes[0] == outcomes[1]
        found = [
            {id: d.body for id, d in store.get_many("profiles", ids).items()} for store in stores
        ]
        for one in rows:
            assert exact(found[0].get(one.id)) == exact(found[1].get(one.id)), one
    embedded.close()


def held(store, id):
    document = store.get("profiles", id)
    return document and document.body


def exact(value):
    """A value and its types: to Python True is 1, and 1 is 1.0."""
    if isinstance(value, dict):
        return {key: exact(below) for key, below in value.items()}
    if isinstance(value, list):
        return [exact(below) for below in value]
    return (type(value), value)


# Faults


@pytest.mark.parametrize("seed", range(3))
def test_bursts_of_errors_lose_nothing_and_double_nothing(opened, documents, seed):
    theirs = {f"p{n}": {"crm": {"n": n}, "ga4": {"visited": n}} for n in range(0, 300, 3)}
    documents.commit([Put("profiles", id, held) for id, held in theirs.items()])
    with Faulty(opened.address, whole=0.25, single=0.2, seed=seed) as faulty:
        store = through(faulty, opened)
        for seq in (1, 2):
            assert set(store.merge("profiles", rows_of(seq, 300))) == {Outcome.WRITTEN}
        assert set(store.merge("profiles", rows_of(2, 300))) == {Outcome.UNCHANGED}
        assert set(store.merge("profiles", rows_of(1, 300))) == {Outcome.STALE}
        store.close()
        assert faulty.failed["before"]
        assert faulty.failed["after"]
    assert documents.count("profiles") == 300
    for id, document in documents.get_many("profiles", [f"p{n}" for n in range(300)]).items():
        held = theirs.get(id, {})
        assert document.body["ga4"] == {**held.get("ga4", {}), "sessions": 2}
        assert document.body.get("crm") == held.get("crm")


def test_what_is_written_already_is_read_and_not_written(opened, documents):
    with Faulty(opened.address) as faulty:
        store = through(faulty, opened)
        store.merge("profiles", rows_of(1, 700))
        assert faulty.writes == 700
        assert faulty.calls["BatchGetDocuments"] == 3  # a sample of each call's rows
        store.merge("profiles", rows_of(1, 700))
        store.close()
        assert faulty.writes == 700


def test_a_first_load_that_is_held_back_writes_every_row(opened):
    store = opened(ramp=500)
    assert set(store.merge("profiles", rows_of(1, 300))) == {Outcome.WRITTEN}
    assert store.count("profiles") == 300
    store.close()


def test_errors_without_end_are_told_and_the_rows_can_come_again(opened, documents):
    with Faulty(opened.address, whole=1.0) as faulty:
        store = through(faulty, opened)
        with pytest.raises(FirestoreError, match=r"Firestore of project .*\("):
            store.merge("profiles", rows_of(1))
        with pytest.raises(FirestoreError):
            store.get("profiles", "p1")
        with pytest.raises(FirestoreError):
            store.commit([Put("runs", "r1", {})])
        faulty.whole, faulty._left = 0.0, 0
        outcomes = store.merge("profiles", rows_of(1))
        assert set(outcomes) <= {Outcome.WRITTEN, Outcome.UNCHANGED}
        store.close()
    assert documents.count("profiles") == 60


def test_a_commit_whose_answer_was_lost_is_no_conflict_with_itself(opened, documents):
    with Faulty(opened.address, whole=0.4, burst=2, seed=5) as faulty:
        store = through(faulty, opened)
        for n in range(40):
            store.commit([Create("audit", f"a{n}", {"n": n}), Put("runs", "last", {"n": n})])
        with pytest.raises(AlreadyExists):
            store.commit([Create("audit", "a1", {"n": "another"})])
        with pytest.raises(Conflict):
            store.commit([Put("runs", "last", {}, expect="1.000000000")])
        store.close()
    assert documents.count("audit") == 40
    assert documents.get("runs", "last").body == {"n": 39}


def test_of_two_stores_that_race_the_newer_row_stands(opened, documents):
    documents.commit([Put("profiles", f"p{n}", {"crm": {"n": n}}) for n in range(0, 40, 2)])
    with Faulty(opened.address, whole=0.1, single=0.1, seed=7) as faulty:
        stores = [through(faulty, opened, threads=2) for _ in range(2)]
        errors = []

        def deliver(store, seqs):
            try:
                for seq in seqs:
                    store.merge("profiles", rows_of(seq, 40))
            except Exception as error:  # noqa: BLE001 - told by the assertion below
                errors.append(error)

        orders = [range(1, 31, 2), range(30, 0, -2)]
        threads = [
            threading.Thread(target=deliver, args=pair) for pair in zip(stores, orders, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for store in stores:
            store.close()
    assert errors == []
    found = documents.get_many("profiles", [f"p{n}" for n in range(40)])
    assert {document.body["sync"]["seq"] for document in found.values()} == {30}
    assert {document.body["ga4"]["sessions"] for document in found.values()} == {30}
    assert [n for n in range(40) if "crm" in found[f"p{n}"].body] == list(range(0, 40, 2))


def test_a_row_that_others_change_meanwhile_keeps_what_they_wrote(opened, documents):
    """Another writer adds to the same map, over and over, with no regard to ours."""
    client = opened.client()
    theirs = client.collection("cdp_profiles").document("p0")
    theirs.set({"ga4": {"n": 0}})
    done = threading.Event()

    def count():
        while not done.wait(0.02):
            theirs.update({"ga4.n": firestore.Increment(1), "consent.ads.by": "sgtm"})

    writer = threading.Thread(target=count)
    writer.start()
    for seq in range(1, 15):
        assert documents.merge("profiles", rows_of(seq, 1)) == [Outcome.WRITTEN]
    done.set()
    writer.join()
    found = body(documents, "p0")
    assert found["ga4"]["n"] > 0
    assert found["ga4"]["sessions"] == 14
    assert found["consent"]["ads"] == {"state": "granted", "by": "sgtm"}


def test_a_row_over_the_limit_is_told_among_others_that_are_written(documents):
    large = row("p5", set={"contact": {"email": "x" * 1_258_291}})
    several = [row(f"q{n}", set={"contact": {"email": "y" * 900_000}}) for n in range(6)]
    outcomes = documents.merge("profiles", [*rows_of(1, 4), large, *several, row("last")])
    assert outcomes == [Outcome.WRITTEN] * 4 + [Outcome.TOO_LARGE] + [Outcome.WRITTEN] * 7
    assert documents.get("profiles", "p5") is None
    assert documents.count("profiles") == 11
    huge = row("p6", set={"contact": {"email": "x" * 6_000_000}})
    assert documents.merge("profiles", [row("p7"), huge]) == ["written", "too_large"]
    again = row("q1", seq=2, hash="h2", set={"ads": {"last_gclid": "z" * 200_000}})
    assert documents.merge("profiles", [again, row("p0", seq=2)]) == ["too_large", "written"]
    assert body(documents, "q1")["sync"]["seq"] == 1


def test_a_value_that_no_store_takes_is_refused(documents):
    with pytest.raises(TypeError):
        documents.merge("profiles", [row(set={"contact": {"email": "\ud800"}})])
    with pytest.raises(InvalidDocument):
        documents.commit([Create("runs", "r1", {}), *[Put("runs", "", {})]])


# What errors say


class Refusing(grpc.GenericRpcHandler):
    def __init__(self, code, details):
        self.code, self.details = code, details

    def service(self, handler_call_details):
        def refuse(request, context):
            context.abort(self.code, self.details)

        if handler_call_details.method.rpartition("/")[2] in {"BatchWrite", "Commit"}:
            return grpc.unary_unary_rpc_method_handler(refuse)
        return grpc.unary_stream_rpc_method_handler(refuse)


@pytest.mark.parametrize(
    ("code", "details", "fix"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, "jane@example.com", "grant roles/datastore.user"),
        (grpc.StatusCode.UNAUTHENTICATED, "jane@example.com", "gcloud auth"),
        (grpc.StatusCode.NOT_FOUND, "The database (default) does not exist", "databases create"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Quota exceeded jane@example.com", "quota"),
        (grpc.StatusCode.UNAVAILABLE, "jane@example.com", "try again"),
    ],
)
def test_an_error_names_the_fix_and_quotes_nothing(code, details, fix):
    server = grpc.server(
        ThreadPoolExecutor(4),
        handlers=[Refusing(code, details)],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    store = FirestoreOpener(f"127.0.0.1:{port}", "p", backoff=Backoff(2, sleep=lambda _: None))()
    calls = [
        lambda: store.get("runs", "r1"),
        lambda: store.commit([Put("runs", "r1", {})]),
        lambda: store.page("runs"),
        lambda: store.count("runs"),
        lambda: store.find("jane@example.com"),
        lambda: store.merge("profiles", [row()]),
    ]
    for call in calls:
        with pytest.raises(CdpError, match=fix) as raised:
            call()
        assert "jane" not in str(raised.value)
    store.close()
    server.stop(0).wait()


def test_a_missing_index_is_told_in_words():
    server = grpc.server(
        ThreadPoolExecutor(2),
        handlers=[Refusing(grpc.StatusCode.FAILED_PRECONDITION, "The query requires an index.")],
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    store = FirestoreOpener(f"127.0.0.1:{port}", "p")()
    with pytest.raises(CdpError, match=r"deploy firestore\.indexes\.json"):
        store.page("profiles", where=[Where("ga4.country", "==", "DE")], order_by="ga4.revenue")
    store.close()
    server.stop(0).wait()


# Waiting


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_a_first_load_starts_with_500_writes_a_second_and_grows_by_half():
    clock = Clock()
    ramp = Ramp(clock=clock, sleep=clock.sleep)
    sent = []
    while clock.now < 1000 + 900:
        ramp.take(100)
        sent.append(clock.now)
    for start, rate in ((0, 500), (300, 750), (600, 1125)):
        of_period = [at for at in sent if start <= at - 1000 < start + 300]
        assert len(of_period) * 100 == pytest.approx(300 * rate, rel=0.01)


def test_waits_grow_and_are_never_equal():
    waits = []
    backoff = Backoff(first=0.1, most=10, sleep=waits.append)
    for failed in range(1, 12):
        backoff.wait(failed)
    assert all(0.05 * 2**n <= wait <= 0.1 * 2**n for n, wait in enumerate(waits[:7]))
    assert all(5 <= wait <= 10 for wait in waits[7:])
    assert len(set(waits)) == len(waits)


# Whose database it is


def test_an_empty_database_is_claimed_once(opened, documents):
    documents.claim()
    documents.claim()
    assert [one.id for one in opened.client().collections()] == ["cdp_meta"]
    documents.commit([Put("users", "ada", {"role": "admin"})])
    opened().claim()


def test_a_database_with_others_documents_is_refused_and_left_as_it_is(opened, documents):
    client = opened.client()
    client.collection("users").document("u1").set({"role": "admin"})
    with pytest.raises(ForeignDatabase, match=r"set CDP_DATABASE .* to another name"):
        documents.claim()
    assert [one.id for one in client.collections()] == ["users"]


def test_a_database_is_shared_where_somebody_says_so(opened, documents):
    client = opened.client()
    client.collection("users").document("u1").set({"role": "admin"})
    client.collection("cdp_meta").document("owner").set({"platform": "composable-cdp"})
    documents.claim()
    assert documents.page("users").documents == []
    assert documents.get("users", "u1") is None
    documents.commit([Put("users", "u1", {"role": "marketer"}), Delete("users", "u1")])
    assert client.collection("users").document("u1").get().to_dict() == {"role": "admin"}


def test_anothers_mark_is_none(opened, documents):
    opened.client().collection("cdp_meta").document("owner").set({"platform": "another"})
    with pytest.raises(ForeignDatabase):
        documents.claim()

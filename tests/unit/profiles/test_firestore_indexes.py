"""Every list that the console asks for has an index, or is refused in words."""

import itertools
import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from cdp.domain.payload import FIELDS, FieldType
from cdp.domain.policy import Policy
from cdp.governance.audit import Audit
from cdp.insight import consent, customers
from cdp.insight.customers import Filters, Order
from cdp.profiles import firestore_queries as queries
from cdp.profiles.firestore_indexes import Indexes
from cdp.profiles.port import PROFILES, InvalidQuery, Put, Where
from cdp.profiles.sqlite import SqliteDocuments
from tests.documents import FirestoreOpener, SqliteOpener

FILE = Path(__file__).resolve().parents[3] / "firestore.indexes.json"
POLICY = Policy.load(None)
INDEXES = Indexes(POLICY)
TODAY = date(2026, 2, 1)


def ours(group):
    """Return a collection's name in the port; a group of others has none."""
    assert group.startswith("cdp_"), group
    return group.removeprefix("cdp_")


class Model:
    """Firestore's rule, read from the file alone.

    A list is equal values, then its order, which names each path of a range. A composite index
    serves it that ends in that order; several with that end serve the sum of their equal values.
    """

    def __init__(self, file):
        self.composite = {}
        for index in file["indexes"]:
            fields = [(field["fieldPath"], field["order"]) for field in index["fields"]]
            for cut in range(len(fields)):
                equal = frozenset(path for path, _ in fields[:cut])
                key = (ours(index["collectionGroup"]), tuple(fields[cut:]))
                self.composite.setdefault(key, set()).add(equal)
        self.single = {
            (ours(one["collectionGroup"]), one["fieldPath"]): bool(one["indexes"])
            for one in file["fieldOverrides"]
        }

    def has_single(self, collection, path):
        """An override holds for what is below it, unless that has its own."""
        names = path.split(".")
        above = [".".join(names[:n]) for n in range(len(names), 0, -1)]
        named = [self.single.get((collection, name)) for name in [*above, "*"]]
        return next((found for found in named if found is not None), True)

    def serves(self, collection, where, paths, descending):
        equal = {condition.path for condition in where if condition.op in {"==", "in"}}
        assert {c.path for c in where if c.op in {"<", "<=", ">", ">=", "!="}} <= set(paths)
        if not paths or (len(paths) == 1 and not equal):
            return all(self.has_single(collection, path) for path in [*equal, *paths])
        order = tuple((path, "DESCENDING" if descending else "ASCENDING") for path in paths)
        ends = self.composite.get((collection, order), set())
        held = [prefix for prefix in ends if prefix <= equal]
        return bool(held) and frozenset().union(*held) == equal


MODEL = Model(json.loads(FILE.read_text()))


def test_the_file_is_what_the_declarations_give():
    command = [sys.executable, "-m", "cdp.profiles.firestore_indexes"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert made == FILE.read_text(), f"{' '.join(command[1:])} > {FILE.name}"


def test_indexes_stay_far_below_firestores_limit():
    assert len(INDEXES.composite) < 100


def chosen(order, **filters):
    """What the Customer Explorer asks the store for: conditions, paths of the order, direction."""
    where = customers._conditions(Filters(**filters), order, TODAY)
    paths = queries.order(where, customers._PATHS.get(order))
    return where, paths, order is not Order.ID


def every_choice():
    purposes = list(POLICY.purposes)
    consents = [
        tuple((purpose, "granted") for purpose in some)
        for n in range(len(purposes) + 1)
        for some in itertools.combinations(purposes, n)
    ]
    ranges = {
        "seen": [{}, {"seen_days": 30}, {"seen_to": TODAY}],
        "revenue": [{}, {"revenue_from": 1.0}, {"revenue_from": 1.0, "revenue_to": 2.0}],
        "sessions": [{}, {"sessions_to": 5}],
        "stitched": [{}, {"stitched": True}],
        "source": [{}, {"source": "google"}],
        "country": [{}, {"country": "DE"}],
    }
    for order, agreed, *others in itertools.product(Order, consents, *ranges.values()):
        yield order, {"consent": agreed, **{k: v for one in others for k, v in one.items()}}


def check_advice(words, filters):
    """What a refusal says to order by must serve the same filters."""
    assert "use fewer conditions" in words
    advised = re.findall(r"\b(?:order by|or) ((?:ga4|identifiers)\.\w+)", words)
    for path in advised:
        order = next(order for order, known in customers._PATHS.items() if known == path)
        where, paths, descending = chosen(order, **filters)
        assert MODEL.serves(PROFILES, where, paths, descending), words


def test_every_list_of_the_customer_explorer_is_served_or_refused_in_words():
    served = refused = 0
    for order, filters in every_choice():
        where, paths, descending = chosen(order, **filters)
        if order is Order.ID and paths:
            continue  # the adapter refuses it before it looks for an index
        try:
            INDEXES.check(PROFILES, where, (paths, descending))
        except InvalidQuery as error:
            refused += 1
            check_advice(str(error), filters)
            assert not MODEL.serves(PROFILES, where, paths, descending), filters
        else:
            served += 1
            assert MODEL.serves(PROFILES, where, paths, descending), filters
    assert served > 1000
    assert refused


def test_what_is_counted_is_served_or_refused_in_words():
    for order, filters in every_choice():
        where, _, _ = chosen(order, **filters)
        try:
            paths, descending = INDEXES.counting(PROFILES, where)
        except InvalidQuery:
            ways = itertools.product(itertools.permutations(queries.compared(where)), (True, False))
            assert not any(MODEL.serves(PROFILES, where, *way) for way in ways), filters
        else:
            assert MODEL.serves(PROFILES, where, paths, descending), filters


RANGES = [{"seen_days": 30}, {"revenue_from": 1.0}, {"sessions_to": 5}, {"stitched": True}]
EQUAL = {"consent": (("ads", "granted"), ("marketing", "denied")), "source": "x", "country": "DE"}


@pytest.mark.parametrize("order", [order for order in Order if order is not Order.ID])
def test_values_and_a_range_of_the_order_itself_are_served_in_every_order(order):
    own = {
        Order.LAST_SEEN: {"seen_days": 3},
        Order.REVENUE: {"revenue_to": 9.0},
        Order.SESSIONS: {"sessions_from": 2},
        Order.IDENTIFIERS: {"stitched": True},
    }
    for filters in ({}, EQUAL, {**EQUAL, **own.get(order, {})}):
        where, paths, descending = chosen(order, **filters)
        assert MODEL.serves(PROFILES, where, paths, descending)
        INDEXES.check(PROFILES, where, (paths, descending))


@pytest.mark.parametrize("two", list(itertools.combinations(RANGES, 2)))
def test_any_two_ranges_have_an_order_that_serves_them(two):
    filters = {**EQUAL, **two[0], **two[1]}
    found = []
    for order in Order:
        where, paths, descending = chosen(order, **filters)
        if order is not Order.ID and MODEL.serves(PROFILES, where, paths, descending):
            found.append(order)
    assert found


@pytest.mark.parametrize("one", RANGES)
def test_the_order_that_pages_open_with_serves_each_range(one):
    where, paths, descending = chosen(Order.LAST_SEEN, **EQUAL, **one)
    assert MODEL.serves(PROFILES, where, paths, descending)


class Recording(SqliteDocuments):
    """Keeps what it is asked."""

    def page(self, collection, *, where=(), order_by=None, descending=False, **more):
        paths = queries.order(where, order_by)
        assert order_by is not None or not paths, "a range by id: Firestore has no such index"
        self.asked.append((collection, where, paths, descending))
        return super().page(
            collection, where=where, order_by=order_by, descending=descending, **more
        )

    def count(self, collection, where=()):
        self.asked.append((collection, where, *INDEXES.counting(collection, where)))
        return super().count(collection, where)


@pytest.fixture
def recording(tmp_path):
    store = Recording(tmp_path / "documents.sqlite")
    store.asked = []
    yield store
    store.close()


def test_lists_of_the_consent_report_are_served(recording):
    values = {FieldType.STRINGS: ["x"], FieldType.STRING: "x", FieldType.TIMESTAMP: "2026"}
    held = {}
    for path, kind in FIELDS.items():
        group, _, name = path.partition(".")
        held.setdefault(group, {})[name] = values.get(kind, 1)
    states = {purpose: {"state": "denied"} for purpose in POLICY.purposes}
    recording.commit([Put(PROFILES, "p1", held), Put(PROFILES, "p2", {**held, "consent": states})])
    rows = consent.reachable(recording, POLICY, most=5, thorough=True)
    assert {row["count"] for row in rows} == {0, 1}
    assert len(recording.asked) > 50
    for asked in recording.asked:
        INDEXES.check(asked[0], asked[1], asked[2:])
        assert MODEL.serves(*asked), asked


def test_lists_of_the_audit_log_are_served(recording):
    audit = Audit(recording)
    for action, actor in itertools.product((None, "x"), (None, "y")):
        audit.page(action=action, actor=actor)
    for asked in recording.asked:
        INDEXES.check(asked[0], asked[1], asked[2:])
        assert MODEL.serves(*asked), asked


@pytest.mark.parametrize(
    ("collection", "path"),
    [("runs", "state"), ("reports", "x.y"), ("profiles", "ga4.device"), ("profiles", "sync.seq")],
)
def test_what_has_no_index_of_its_own_is_refused(collection, path):
    assert not MODEL.has_single(collection, path)
    for where in ([], [Where(path, "==", "x")]):
        paths = () if where else (path,)
        with pytest.raises(InvalidQuery, match="no index for"):
            INDEXES.check(collection, where, (paths, False))


def test_other_purposes_have_their_own_indexes(tmp_path):
    text = (Path(customers.__file__).parents[1] / "domain" / "policy.toml").read_text()
    policy = tmp_path / "policy.toml"
    policy.write_text(text.replace("marketing", "newsletter"))
    granted = [Where("consent.newsletter.state", "==", "granted"), Where("ga4.revenue", ">", 1)]
    order = (("ga4.revenue",), True)
    Indexes(Policy.load(policy)).check(PROFILES, granted, order)
    with pytest.raises(InvalidQuery):
        INDEXES.check(PROFILES, granted, order)


def test_the_explorer_shows_the_same_as_of_the_embedded_store(firestore_emulator, tmp_path):
    stores = [
        FirestoreOpener(firestore_emulator)(indexes=lambda: INDEXES),
        SqliteOpener(str(tmp_path / "documents.sqlite"))(),
    ]
    people = [
        Put(
            PROFILES,
            f"p{n:02}",
            {
                "ga4": {
                    "last_seen": f"2026-01-{n + 1:02}T08:00:00.000000Z",
                    "revenue": float(n % 7),
                    "sessions": n % 5,
                    "country": "DE" if n % 3 else "FR",
                },
                "identifiers": {"count": n % 4},
                "consent": {"ads": {"state": "granted" if n % 2 else "denied"}},
                "sync": {"state": "live"},
            },
        )
        for n in range(28)
    ]
    for store in stores:
        store.commit(people)
    asked = [
        ({}, Order.ID),
        ({"country": "DE"}, Order.REVENUE),
        ({"consent": (("ads", "granted"),), "country": "DE"}, Order.LAST_SEEN),
        ({"seen_days": 20, "consent": (("ads", "granted"),)}, Order.REVENUE),
        ({"seen_days": 20, "stitched": True, "country": "DE"}, Order.LAST_SEEN),
        ({"revenue_from": 2.0, "revenue_to": 5.0}, Order.REVENUE),
    ]
    for filters, order in asked:
        shown, totals = [], []
        for store in stores:
            ids, after = [], None
            while True:
                listing = customers.page(store, Filters(**filters), order, after, 5, today=TODAY)
                ids += [one.profile_id for one in listing.rows]
                after = listing.cursor
                if after is None:
                    break
            shown.append(ids)
            totals.append(customers.total(store, Filters(**filters), order, today=TODAY))
        assert sorted(shown[0]) == sorted(shown[1])
        assert totals[0] == totals[1] == len(shown[0])
    with pytest.raises(
        InvalidQuery, match=r"order by ga4\.last_seen or ga4\.revenue, or use fewer"
    ):
        customers.page(stores[0], Filters(seen_days=9, revenue_to=3.0), Order.SESSIONS)
    with pytest.raises(InvalidQuery, match="order by a value"):
        customers.page(stores[0], Filters(revenue_to=3.0), Order.ID)
    for store in stores:
        store.close()

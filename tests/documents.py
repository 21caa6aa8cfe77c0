"""Document stores, and what is asked of them, for the tests of every adapter."""

import itertools
import operator
import os
import random
from pathlib import Path
from unittest import mock
from uuid import uuid4

from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from cdp.domain.merge import Merge
from cdp.profiles.firestore import FirestoreDocuments
from cdp.profiles.port import Delete, Put, Where
from cdp.profiles.sqlite import SqliteDocuments


class SqliteOpener:
    def __init__(self, path):
        self.path = path

    def __call__(self):
        return SqliteDocuments(Path(self.path))


class FirestoreOpener:
    """Opens one project of an emulator, a new one unless it is named."""

    def __init__(self, address, project=None, **options):
        self.address = address
        self.project = project or f"t-{uuid4().hex[:12]}"
        self.options = options

    def client(self):
        with mock.patch.dict(os.environ, FIRESTORE_EMULATOR_HOST=self.address):
            client = firestore.Client(self.project, credentials=AnonymousCredentials())
            assert client._firestore_api  # made while the address is known
        return client

    def __call__(self, **options):
        return FirestoreDocuments(self.client(), **{**self.options, **options})


def row(id="p1", seq=1, hash="h1", **more):
    return Merge(id=id, seq=seq, run=f"r{seq}", at="t", hash=hash, **more)


def body(documents, id="p1"):
    return documents.get("profiles", id).body


def ids(page):
    return [document.id for document in page.documents]


def walk(documents, **query):
    """Return the ids of every page, and check that no page is empty or over its limit."""
    found, after = [], None
    while True:
        page = documents.page("profiles", after=after, limit=3, **query)
        assert len(page.documents) <= 3
        found += ids(page)
        if page.cursor is None:
            return found
        assert len(page.documents) == 3
        after = page.cursor


COMPARED = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def value(body, path):
    """The value at a path, as a rank that orders numbers before texts; None where there is none."""
    for key in path.split("."):
        body = body.get(key) if isinstance(body, dict) else None
    return None if body is None else (isinstance(body, str), body)


def meets(body, where):
    for condition in where:
        found = value(body, condition.path)
        if found is None:
            return False
        if condition.op == "in":
            if found[1] not in condition.value:
                return False
        elif found[0] != isinstance(condition.value, str):
            if condition.op != "!=":
                return False
        elif not COMPARED[condition.op](found[1], condition.value):
            return False
    return True


def wanted(stored, where, order_by, descending):
    """The ids of the documents that meet all conditions, in order; another way."""
    rows = [
        (() if order_by is None else value(body, order_by), id)
        for id, body in stored.items()
        if meets(body, where) and (order_by is None or value(body, order_by) is not None)
    ]
    return [id for _, id in sorted(rows, reverse=descending)]


def anybody(chance):
    """A profile's body; some hold what no refresh writes."""
    body = {"crm": {"tier": chance.choice("ab")}}
    if chance.random() < 0.8:
        body["ga4"] = {
            "last_seen": f"2026-10-{chance.randint(1, 9):02}",
            "first_seen": f"2026-09-{chance.randint(1, 9):02}",
            "revenue": chance.choice([0, 0.0, 12.5, -3, "12", None]),
            "sessions": chance.randint(1, 4),
            "last_source": chance.choice(["google", "bing", "n\"e\\'w\n", 7, None]),
            "country": chance.choice(["DE", "FR"]),
        }
    if chance.random() < 0.5:
        body["identifiers"] = {"count": chance.randint(1, 3)}
    if chance.random() < 0.7:
        body["sync"] = {"state": chance.choice(["live", "merged"])}
    return body


CONDITIONS = [
    Where("ga4.last_seen", ">=", "2026-10-04"),
    Where("ga4.last_seen", ">=", ""),
    Where("ga4.last_seen", "<", "2026-10-08"),
    Where("ga4.revenue", ">=", float("-inf")),
    Where("ga4.revenue", "<=", 0),
    Where("ga4.revenue", "==", "12"),
    Where("ga4.sessions", ">", 1),
    Where("ga4.sessions", "in", [1, 4]),
    Where("ga4.sessions", "!=", 2),
    Where("identifiers.count", ">", 1),
    Where("ga4.last_source", "==", "google"),
    Where("ga4.last_source", "!=", "google"),
    Where("ga4.last_source", "==", "n\"e\\'w\n"),
    Where("ga4.last_source", "==", 7),
    Where("ga4.country", "in", ["DE", "AT"]),
    Where("sync.state", "==", "live"),
    Where("crm.tier", "==", "a"),
]
ORDERS = [None, "ga4.last_seen", "ga4.first_seen", "ga4.revenue", "ga4.sessions", "crm.tier"]


def check_lists(documents, asked, orders=ORDERS, ties=True):
    """Write at random, then ask for *asked* pairs of conditions in every order and for counts.

    Without *ties* documents of one value may be in any order.
    """
    chance = random.Random(11)
    stored = {}
    for step in range(12):
        for id in [f"p{chance.randint(0, 40)}" for _ in range(8)]:
            stored[id] = anybody(chance)
            documents.commit([Put("profiles", id, stored[id])])
        gone = chance.choice(sorted(stored))
        del stored[gone]
        documents.commit([Delete("profiles", gone)])
        for id in {f"m{chance.randint(0, 9)}" for _ in range(4)}:
            fields = {key: anybody(chance).get(key, {}) for key in ("ga4", "identifiers")}
            documents.merge("profiles", [row(id, seq=step, hash=f"h{step}", set=fields)])
            stored[id] = body(documents, id)
    checks = list(itertools.product(itertools.combinations(CONDITIONS, 2), orders))
    for where, order_by in chance.sample(checks, asked):
        assert documents.count("profiles", where) == len(wanted(stored, where, None, False)), where
        for descending in (False, True):
            query = {"where": where, "order_by": order_by, "descending": descending}
            found, expected = walk(documents, **query), wanted(stored, **query)
            assert sorted(found) == sorted(expected), query
            if order_by is not None:
                values = [[value(stored[id], order_by) for id in ids] for ids in (found, expected)]
                assert values[0] == values[1], query
            if ties:
                assert found == expected, query
    for condition in CONDITIONS:
        assert documents.count("profiles", [condition]) == len(
            wanted(stored, [condition], None, False)
        )

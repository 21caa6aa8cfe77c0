# ruff: noqa: RUF001 - what spreadsheets take for = + - @
"""The list of profiles: filters, orders, pages, totals, the URL and the export."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.merge import Kind, Merge
from cdp.domain.policy import Policy
from cdp.insight.customers import (
    NOT_YET,
    Filters,
    Order,
    export,
    from_query,
    page,
    to_query,
    total,
    without_value,
)
from cdp.profiles.port import PROFILES, DocumentStore, InvalidQuery, Put
from cdp.profiles.sqlite import SqliteDocuments

TODAY = date(2026, 10, 31)
POLICY = Policy.load(None)


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    states = [f"consent.{purpose}.state" for purpose in POLICY.purposes]
    store = SqliteDocuments(tmp_path / "documents.sqlite", filtered=states)
    yield store
    store.close()


def refreshed(id: str, **fields: Any) -> Merge:
    return Merge(id=id, seq=1, run="r1", at="t", hash=f"h{id}", set=fields)


def ga4(last: str, **more: Any) -> dict[str, Any]:
    return {"first_seen": "2026-01-01T00:00:00.000000Z", "last_seen": f"{last}.000000Z", **more}


def consent(**states: str) -> dict[str, Any]:
    return {purpose: {"state": state} for purpose, state in states.items()}


@pytest.fixture
def people(documents: SqliteDocuments) -> DocumentStore:
    """Ann, bob and cem as refreshes leave them, dia without analytics; eve whom only a tag wrote;
    tombstones of the others."""
    documents.merge(
        PROFILES,
        [
            refreshed(
                "ann",
                identifiers={"email": ["ann@example.com"], "client_id": ["a.1"], "count": 2},
                ga4=ga4("2026-10-31T08:00:00", revenue=120.5, sessions=9, last_source="google",
                        country="Germany"),
                consent=consent(analytics="granted", marketing="granted"),
            ),
            refreshed(
                "bob",
                identifiers={"client_id": ["b.1"], "count": 1},
                ga4=ga4("2026-10-01T00:00:00", revenue=0.0, sessions=1, last_source="bing",
                        country="Germany"),
                consent=consent(analytics="granted", marketing="denied"),
            ),
            refreshed(
                "cem",
                identifiers={"client_id": ["c.1"], "count": 1},
                ga4=ga4("2026-09-30T23:59:59", revenue=80.0, sessions=3, last_source="google",
                        country="Austria"),
                consent=consent(analytics="granted", marketing="unknown"),
            ),
            refreshed("dia", consent=consent(analytics="denied", marketing="granted")),
            Merge("old", 1, "r1", "t", "h", kind=Kind.MERGED, into="ann"),
            Merge("erased", 1, "r1", "t", kind=Kind.DELETE),
            Merge("gone", 1, "r1", "t", "h", kind=Kind.GONE),
        ],
    )  # fmt: skip
    documents.commit([Put(PROFILES, "eve", {"tag": {"page": "/"}})])
    return documents


def listed(documents: DocumentStore, filters: Filters, order: Order = Order.ID) -> list[str]:
    found = page(documents, filters, order, today=TODAY)
    ids = [row.profile_id for row in found.rows]
    assert total(documents, filters, order, today=TODAY) == len(ids)
    return ids


def test_a_row_shows_what_a_list_needs(people: DocumentStore) -> None:
    row = page(people, Filters(), Order.LAST_SEEN).rows[0]
    assert (row.profile_id, row.state) == ("ann", "live")
    assert row.identifiers == {"email": ["ann@example.com"], "client_id": ["a.1"]}
    assert row.identifiers_count == 2
    assert row.first_seen == datetime(2026, 1, 1, tzinfo=UTC)
    assert row.last_seen == datetime(2026, 10, 31, 8, tzinfo=UTC)
    assert (row.sessions, row.revenue) == (9, 120.5)
    assert (row.source, row.country) == ("google", "Germany")
    assert row.consent == {"analytics": "granted", "marketing": "granted"}


def test_the_order_of_ids_lists_everybody_but_tombstones(people: DocumentStore) -> None:
    assert listed(people, Filters()) == ["ann", "bob", "cem", "dia", "eve"]
    states = {row.profile_id: row.state for row in page(people, Filters(), Order.ID).rows}
    assert states["dia"] == "live"
    assert states["eve"] == NOT_YET


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        (Order.LAST_SEEN, ["ann", "bob", "cem"]),
        (Order.FIRST_SEEN, ["cem", "bob", "ann"]),
        (Order.REVENUE, ["ann", "cem", "bob"]),
        (Order.SESSIONS, ["ann", "cem", "bob"]),
        (Order.IDENTIFIERS, ["ann", "cem", "bob"]),
    ],
)
def test_an_order_by_a_value_lists_those_that_have_it_and_tells_of_the_others(
    people: DocumentStore, order: Order, ids: list[str]
) -> None:
    assert listed(people, Filters(), order) == ids
    assert without_value(people, Filters(), order) == 2
    assert without_value(people, Filters(country="Germany"), order) == 0
    assert without_value(people, Filters(), Order.ID) == 0


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (Filters(consent=(("marketing", "granted"),)), ["ann", "dia"]),
        (Filters(consent=(("marketing", "granted"), ("analytics", "denied"))), ["dia"]),
        (Filters(consent=(("marketing", "unknown"),)), ["cem"]),
        (Filters(seen_days=30), ["ann", "bob"]),
        (Filters(seen_days=29), ["ann"]),
        (Filters(seen_days=0), ["ann"]),
        (Filters(seen_from=date(2026, 9, 30), seen_to=date(2026, 9, 30)), ["cem"]),
        (Filters(seen_from=date(2026, 10, 1), seen_to=date(2026, 10, 30)), ["bob"]),
        (Filters(seen_to=date.max), ["ann", "bob", "cem"]),
        (Filters(revenue_from=80), ["ann", "cem"]),
        (Filters(revenue_to=80), ["bob", "cem"]),
        (Filters(revenue_from=0.01, revenue_to=100), ["cem"]),
        (Filters(sessions_from=3), ["ann", "cem"]),
        (Filters(sessions_from=2, sessions_to=8), ["cem"]),
        (Filters(source="google"), ["ann", "cem"]),
        (Filters(source="google", country="Germany"), ["ann"]),
        (Filters(source="bing", country="Austria"), []),
        (Filters(stitched=True), ["ann"]),
        (Filters(stitched=False), ["bob", "cem"]),
    ],
)
def test_each_filter_in_each_order(people: DocumentStore, filters: Filters, ids: list[str]) -> None:
    assert listed(people, filters) == ids
    for order in Order:
        expected = [id for id in ids if order is Order.ID or id != "dia"]
        assert sorted(listed(people, filters, order)) == expected


def test_pages_go_on_where_the_one_before_ended_and_are_full_among_tombstones(
    documents: SqliteDocuments,
) -> None:
    live = [refreshed(f"p{n:03}", ga4=ga4("2026-10-01T00:00:00")) for n in range(0, 200, 10)]
    dead = [Merge(f"p{n:03}", 1, "r1", "t", kind=Kind.DELETE) for n in range(200) if n % 10]
    documents.merge(PROFILES, [*live, *dead])
    for order in (Order.ID, Order.LAST_SEEN):
        ids: list[str] = []
        after = None
        while True:
            found = page(documents, Filters(), order, after, limit=7)
            ids += [row.profile_id for row in found.rows]
            after = found.cursor
            if after is None:
                break
        assert sorted(ids) == [row.id for row in live]
        assert total(documents, Filters(), order) == 20
    with pytest.raises(InvalidQuery):
        page(documents, Filters(), Order.ID, "made up")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sync": "live", "ga4": [], "identifiers": "x", "consent": 7},
        {"sync": {"state": ["merged"]}, "consent": {"ads": "granted"}},
        {"sync": {"state": {"a": 1}}, "consent": {"ads": {"state": ["granted"]}}},
        {"identifiers": {"email": "a@example.com", "phone": [1, None], "count": "many"}},
        {"ga4": {"last_seen": 5, "first_seen": "yesterday", "revenue": {}, "sessions": True}},
        {"ga4": {"last_source": ["google"], "country": {"de": 1}, "revenue": "1e999"}},
    ],
)
def test_what_others_wrote_badly_is_shown_as_nothing(
    documents: SqliteDocuments, body: dict[str, Any]
) -> None:
    documents.commit([Put(PROFILES, "odd", body)])
    (row,) = page(documents, Filters(), Order.ID).rows
    assert row.state == NOT_YET
    assert (row.identifiers, row.identifiers_count, row.consent) == ({}, None, {})
    assert (row.first_seen, row.last_seen, row.sessions, row.revenue) == (None,) * 4
    assert (row.source, row.country) == (None, None)
    for order in Order:
        shown = page(documents, Filters(), order).rows
        assert total(documents, Filters(), order) == len(shown)
        assert list(export(documents, Filters(), order, 10, []))


# The URL

SPELLED = [
    (Filters(), {}),
    (
        Filters(consent=(("marketing", "granted"), ("ads", "denied"))),
        {"consent": "marketing:granted,ads:denied"},
    ),
    (Filters(seen_days=30), {"seen": "30d"}),
    (
        Filters(seen_from=date(2026, 1, 1), seen_to=date(2026, 1, 31)),
        {"seen": "2026-01-01..2026-01-31"},
    ),
    (Filters(seen_to=date(2026, 1, 31)), {"seen": "..2026-01-31"}),
    (Filters(revenue_from=100.0), {"revenue": "100-"}),
    (Filters(revenue_from=0.0, revenue_to=99.5), {"revenue": "0-99.5"}),
    (Filters(revenue_to=1_000_000.0), {"revenue": "-1000000"}),
    (Filters(sessions_from=2, sessions_to=5), {"sessions": "2-5"}),
    (
        Filters(source="google / x", country="Côte d’Ivoire", stitched=False),
        {"source": "google / x", "country": "Côte d’Ivoire", "stitched": "no"},
    ),
    (Filters(stitched=True), {"stitched": "yes"}),
]


@pytest.mark.parametrize(("filters", "query"), SPELLED)
def test_a_url_says_what_the_filters_are(filters: Filters, query: dict[str, str]) -> None:
    assert to_query(filters) == query
    read = from_query({**query, "page": "2"}, POLICY)
    assert read == filters
    assert read.ignored == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("consent", ""),
        ("consent", "marketing"),
        ("consent", "marketing:granted:x"),
        ("consent", "marketing:yes"),
        ("consent", "telepathy:granted"),
        ("consent", "a') or 1=1:granted"),
        ("seen", "30"),
        ("seen", "0d"),
        ("seen", "99999d"),
        ("seen", "-3d"),
        ("seen", "٣d"),
        ("seen", ".."),
        ("seen", "2026-02-30..2026-03-01"),
        ("seen", "__import__('os')"),
        ("revenue", "-"),
        ("revenue", "1e9-"),
        ("revenue", "nan-"),
        ("revenue", "9" * 400 + "-"),
        ("sessions", "1.5-"),
        ("sessions", "-٣"),
        ("source", ""),
        ("source", "x" * 201),
        ("source", "ann@example.com"),
        ("country", "a\0b"),
        ("country", "a\nb"),
        ("stitched", "True"),
        ("stitched", ["yes"]),
        ("seen", None),
        ("source", 7),
    ],
)
def test_what_a_url_says_badly_is_ignored_with_a_note_that_does_not_repeat_it(
    people: DocumentStore, name: str, value: Any
) -> None:
    read = from_query({name: value, "source" if name != "source" else "country": "x"}, POLICY)
    assert read == (Filters(country="x") if name == "source" else Filters(source="x"))
    (note,) = read.ignored
    assert note.startswith(f"{name} was ignored: it takes ")
    assert "ann@" not in note
    assert "import" not in note
    assert page(people, read, Order.ID).rows == []


def test_what_looks_like_a_person_stays_out_of_the_url() -> None:
    assert to_query(Filters(source="ann@example.com", country="Germany")) == {"country": "Germany"}


# Export


def read_back(chunks: Iterator[str]) -> list[dict[str, str]]:
    data = "".join(chunks).encode()
    assert data.startswith(b"\xef\xbb\xbfprofile_id,")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True))


def test_an_export_holds_the_list_in_its_order(people: DocumentStore) -> None:
    filters = Filters(consent=(("analytics", "granted"),))
    rows = read_back(export(people, filters, Order.REVENUE, 10, []))
    assert [row["profile_id"] for row in rows] == ["ann", "cem", "bob"]
    assert rows[0] == {
        "profile_id": "ann",
        "state": "live",
        "user_id": "",
        "email": "ann@example.com",
        "phone": "",
        "client_id": "a.1",
        "identifiers": "2",
        "first_seen": "2026-01-01T00:00:00.000000Z",
        "last_seen": "2026-10-31T08:00:00.000000Z",
        "sessions": "9",
        "revenue": "120.5",
        "source": "google",
        "country": "Germany",
        "consent": "analytics: granted, marketing: granted",
    }


@pytest.mark.parametrize("most", [0, 1, 2, 3, 4])
def test_an_export_holds_no_more_rows_than_asked(
    people: DocumentStore, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("cdp.insight.customers._EXPORTED", 2)
    rows = read_back(export(people, Filters(), Order.LAST_SEEN, most, []))
    assert [row["profile_id"] for row in rows] == ["ann", "bob", "cem"][:most]


def test_masked_types_are_exported_in_part(documents: SqliteDocuments) -> None:
    identifiers = {"email": ["ann@example.com", "a@example.org"], "phone": ["+4915112345678"]}
    documents.merge(PROFILES, [refreshed("ann", identifiers=identifiers)])
    (row,) = read_back(export(documents, Filters(), Order.ID, 10, ["email"]))
    assert row["email"] == "a•••@e•••.com | a•••@e•••.org"
    assert row["phone"] == "'+4915112345678"
    (row,) = read_back(export(documents, Filters(), Order.ID, 10, ["email", "phone"]))
    assert row["phone"] == "'+49•••78"


@pytest.mark.parametrize(
    ("written", "cell"),
    [
        ('=HYPERLINK("http://x","y")', '\'=HYPERLINK("http://x","y")'),
        ("+1+1", "'+1+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),
        ("＋1", "'＋1"),
        ("－1", "'－1"),
        ("＠x", "'＠x"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\nx", "'\nx"),
        ("  =1", "'  =1"),
        ("\0=1", "'=1"),
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        ('x";=1', "x\";'=1"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("**bold**", "**bold**"),
        ('a "quoted", b', 'a "quoted", b'),
        ("two\r\nlines", "two\r\nlines"),
        ("a-b@c=d", "a-b@c=d"),
        ("'", "'"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_and_every_cell_reads_back(
    documents: SqliteDocuments, written: str, cell: str
) -> None:
    fields = {"ga4": ga4("2026-10-01T00:00:00", last_source=written, revenue=-3.5)}
    documents.commit(
        [Put(PROFILES, "p1", {**fields, "identifiers": {"user_id": [written]}}),
         Put(PROFILES, "p2", {})]
    )  # fmt: skip
    rows = read_back(export(documents, Filters(), Order.ID, 10, []))
    assert [row["profile_id"] for row in rows] == ["p1", "p2"]
    assert rows[0]["source"] == cell
    assert rows[0]["user_id"] == cell
    assert rows[0]["revenue"] == "-3.5"

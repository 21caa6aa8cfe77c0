"""Finding people: search, filters that live in the address, pages, and the export."""

import csv
import io
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from cdp.deployments.build import Platform
from cdp.domain.access import Role
from cdp.domain.pseudonym import pseudonym
from cdp.insight import customers
from cdp.insight.customers import Filters, Order
from cdp.profiles.port import PROFILES, Put
from cdp.ui import words
from cdp.ui.customers import PAGE
from tests.pages.property import FORMULA, HOSTILE, HOSTILE_ID, OPAL, PAULA
from tests.pages.support import Download, go, links, said
from tests.people import audited, change, tamper

SignedIn = Callable[[Role], AppTest]


def explorer(at: AppTest, **query: str) -> AppTest:
    return go(at, "customers", **query)


def ids(at: AppTest) -> list[str]:
    return [dict(parse_qsl(query))["profile"] for _, page, query in links(at) if page == "profile"]


def names(at: AppTest) -> list[str]:
    return [label for label, page, _ in links(at) if page == "profile"]


def query(at: AppTest) -> dict[str, str]:
    told = at.query_params.items()
    return {name: value if isinstance(value, str) else value[0] for name, value in told}


def search(at: AppTest, typed: str) -> AppTest:
    at.text_input(key="find").input(typed).run()
    assert not at.exception
    return at


# --- search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        OPAL["email"],
        f"  {OPAL['email'].upper()} ",
        OPAL["phone"],
        "+49 (151) 777-00088",
        "004915177700088",
        OPAL["user_id"],
        OPAL["client_id"],
    ],
)
@pytest.mark.parametrize("role", Role)
def test_any_identifier_leads_to_its_profile_and_stays_out_of_the_address(
    refreshed: Platform, signed_in: SignedIn, typed: str, role: Role
) -> None:
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    at = search(explorer(signed_in(role)), typed)
    assert query(at) == {"profile": opal}
    assert words.plain(opal) in said(at)


def test_a_profile_id_leads_to_the_profile_also_one_that_was_merged(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    (now,) = refreshed.documents.find("merged.1")
    merged = [
        document.id
        for document in refreshed.documents.page(PROFILES, limit=1000).documents
        if isinstance(document.body.get("sync"), dict)
        if document.body["sync"].get("merged_into") == now
    ]
    assert len(merged) == 1
    at = explorer(signed_in(Role.MARKETER))
    for typed in (now, *merged):
        assert query(search(explorer(at), typed)) == {"profile": now}


@pytest.mark.parametrize(
    "typed",
    [
        "nobody@example.com",
        PAULA["email"],
        "gone.1",
        "p_none",
        "../x",
        "\0",
        "x" * 5000,
        HOSTILE_ID,
    ],
)
def test_an_unknown_identifier_says_why_that_may_be(
    refreshed: Platform, signed_in: SignedIn, typed: str
) -> None:
    at = explorer(signed_in(Role.ADMIN))
    search(at, typed)
    if typed == HOSTILE_ID:
        assert query(at) == {"profile": HOSTILE_ID}
        return
    assert query(at) == {}
    assert "unknown, or consent does not permit to keep it" in said(at)
    assert not ids(at)


def test_several_profiles_with_an_identifier_are_offered(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    documents = refreshed.documents
    body = {"identifiers": {"email": ["both@example.com"]}}
    granted = {**body, "consent": {"marketing": {"state": "granted"}}}
    documents.commit([Put(PROFILES, "crm-a", granted), Put(PROFILES, "crm-b", body)])
    for role, shown in ((Role.ADMIN, "both@example.com"), (Role.MARKETER, pseudonym("crm-a"))):
        at = search(explorer(signed_in(role)), "Both@Example.com")
        assert "2 profiles with this identifier" in said(at)
        assert links(at) == [
            (f"**:primary[{words.plain(name)}]**", "profile", f"profile={id}")
            for name, id in ((shown, "crm-a"), (pseudonym("crm-b"), "crm-b"))
        ]
        assert query(at) == {}


def test_an_empty_search_shows_the_list(refreshed: Platform, signed_in: SignedIn) -> None:
    assert len(ids(search(explorer(signed_in(Role.ADMIN)), "   "))) == PAGE


# --- the list -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_rows_are_the_documents_with_identifiers_as_the_role_sees_them(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    at = explorer(signed_in(role), order="revenue")
    expected = customers.page(refreshed.documents, Filters(), Order.REVENUE, limit=PAGE).rows
    assert ids(at) == [row.profile_id for row in expected]
    shown = [text.value for text in at.text]
    for row in expected:
        assert {words.money(row.revenue), words.count(row.sessions or 0, "session")} <= {*shown}
    first = expected[0].identifiers
    kind = next(kind for kind in ("user_id", "email", "phone", "client_id") if first.get(kind))
    value = f"Visitor {first[kind][0]}" if kind == "client_id" else first[kind][0]
    name = words.cut(value, 24) if role is Role.ADMIN else pseudonym(expected[0].profile_id)
    assert names(at)[0] == f"**:primary[{words.plain(name)}]**"
    total = customers.total(refreshed.documents, Filters(), Order.REVENUE)
    assert f"{total} profiles in this list" in said(at)
    assert f"1 to {PAGE} of {total}" in said(at)


def test_pages_follow_each_other_and_hold_everybody_once(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = explorer(signed_in(Role.MARKETER), order="id")
    assert at.button(key="first").disabled
    found = ids(at)
    while not at.button(key="next").disabled:
        at.button(key="next").click().run()
        found += ids(at)
    total = customers.total(refreshed.documents, Filters(), Order.ID)
    assert len(found) == len(set(found)) == total
    assert query(at)["page"] == str(-(-total // PAGE))
    assert f"to {total} of {total}" in said(at)
    at.button(key="first").click().run()
    assert (query(at), ids(at)) == ({"order": "id"}, found[:PAGE])


@pytest.mark.parametrize("after", ["made-up", "", "AAAA", HOSTILE, "\0", "x" * 3000])
def test_a_made_up_cursor_is_told_or_ignored_and_never_an_exception(
    refreshed: Platform, signed_in: SignedIn, after: str
) -> None:
    at = explorer(signed_in(Role.MARKETER), after=after, page="99999999999")
    assert not at.exception
    assert len(at.error) == 1
    assert not ids(at)


def test_a_profile_leads_back_to_the_list_that_was_left(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = explorer(signed_in(Role.MARKETER), order="id", stitched="yes")
    at.button(key="next").click().run()
    left = query(at)
    go(at, "profile", profile=ids(at)[2])
    (back,) = [query for label, page, query in links(at) if page == "customers"]
    assert dict(parse_qsl(back)) == left


@pytest.mark.parametrize("role", Role)
def test_where_profiles_had_their_address_once_leads_to_them(
    refreshed: Platform, signed_in: SignedIn, role: Role
) -> None:
    (opal,) = refreshed.documents.find(OPAL["user_id"])
    at = signed_in(role)
    at.query_params["profile"] = opal
    at.switch_page("pages/customers.py").run()
    assert not at.exception
    assert words.plain(opal) in said(at)
    at.switch_page("pages/customers.py").run()
    assert at.title[0].value == "Customer Explorer", "whoever comes back wants the list"


def test_those_without_the_value_are_counted(refreshed: Platform, signed_in: SignedIn) -> None:
    at = explorer(signed_in(Role.MARKETER))
    missing = customers.without_value(refreshed.documents, Filters(), Order.LAST_SEEN)
    assert f"{missing} more profiles without a value for “last seen”" in said(at)
    assert "more profiles" not in said(explorer(at, order="id"))


# --- filters --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "filters"),
    [
        ({"consent": "marketing:granted"}, Filters(consent=(("marketing", "granted"),))),
        ({"revenue": "100-"}, Filters(revenue_from=100)),
        ({"sessions": "5-"}, Filters(sessions_from=5)),
        ({"source": "google"}, Filters(source="google")),
        ({"country": "Germany"}, Filters(country="Germany")),
        ({"stitched": "yes"}, Filters(stitched=True)),
        ({"stitched": "no", "sessions": "-2"}, Filters(stitched=False, sessions_to=2)),
    ],
)
def test_filters_come_from_the_address(
    refreshed: Platform, signed_in: SignedIn, address: dict[str, str], filters: Filters
) -> None:
    at = explorer(signed_in(Role.MARKETER), order="id", **address)
    expected = customers.page(refreshed.documents, filters, Order.ID, limit=PAGE)
    assert expected.rows
    assert ids(at) == [row.profile_id for row in expected.rows]
    total = customers.total(refreshed.documents, filters, Order.ID)
    assert f"{total} profile" in said(at)
    for name, value in address.items():
        drawn = at.multiselect if name == "consent" else at.selectbox
        chosen = drawn(key=f"filter_{name}").value
        assert chosen in (value, value.split(","))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("consent", "marketing"),
        ("consent", "nothing:granted"),
        ("consent", "a:b:c,,"),
        ("seen", "yesterday"),
        ("seen", "2026-02-31..2026-13-01"),
        ("seen", "99999999d"),
        ("revenue", "much"),
        ("revenue", "nan-inf"),
        ("sessions", "-"),
        ("sessions", "1e9-"),
        ("source", "ana@example.com"),
        ("country", "x" * 300),
        ("country", "\0"),
        ("stitched", "maybe"),
        ("source", ""),
    ],
)
def test_a_filter_that_is_none_is_ignored_with_a_note(
    refreshed: Platform, signed_in: SignedIn, name: str, value: str
) -> None:
    at = explorer(signed_in(Role.MARKETER), **{name: value})
    (note,) = at.warning
    assert note.value.startswith(f"{name} was ignored")
    assert not {"ana@", "xxx", "yesterday", "maybe", "inf"} & set(note.value.split())
    assert len(ids(at)) == PAGE


@pytest.mark.parametrize("order", ["", "nothing", "ga4.revenue", HOSTILE])
def test_an_order_that_is_none_is_the_usual_one(
    refreshed: Platform, signed_in: SignedIn, order: str
) -> None:
    at = explorer(signed_in(Role.MARKETER), order=order)
    assert at.session_state["filter_order"] == "last_seen"


def test_choosing_a_filter_changes_the_address_and_begins_at_the_first_page(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = explorer(signed_in(Role.MARKETER), order="id")
    at.button(key="next").click().run()
    assert {"after", "page"} <= query(at).keys()
    at.selectbox(key="filter_country").select("Germany").run()
    assert query(at) == {"order": "id", "country": "Germany"}
    at.multiselect(key="filter_consent").select("ads:granted").run()
    at.multiselect(key="filter_consent").select("analytics:granted").run()
    assert query(at)["consent"] == "ads:granted,analytics:granted"
    german = Filters(consent=(("ads", "granted"), ("analytics", "granted")), country="Germany")
    assert ids(at) == [
        row.profile_id
        for row in customers.page(refreshed.documents, german, Order.ID, limit=PAGE).rows
    ]
    at.selectbox(key="filter_country").select(None).run()
    assert query(at).keys() == {"order", "consent"}


def test_where_nobody_meets_the_filters_they_can_be_cleared(
    refreshed: Platform, signed_in: SignedIn
) -> None:
    at = explorer(signed_in(Role.MARKETER), country="Atlantis")
    assert "Nobody meets all of these filters" in said(at)
    assert not ids(at)
    at.button(key="clear").click().run()
    assert query(at) == {}
    assert len(ids(at)) == PAGE


# --- the empty state ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_before_the_first_refresh_the_next_step_is_told(signed_in: SignedIn, role: Role) -> None:
    at = explorer(signed_in(role))
    assert "0 profiles in this list" in said(at)
    assert "Nothing was refreshed yet" in said(at)
    assert [label for label, _, _ in links(at)] == ["Pipeline Control"]
    if role is Role.ADMIN:
        assert at.button(key="export").disabled


def test_documents_of_other_systems_are_listed_before_any_refresh(
    deployment: Platform, signed_in: SignedIn
) -> None:
    body: dict[str, Any] = {"identifiers": {"email": ["crm@example.com"]}, "crm": {"tier": "gold"}}
    deployment.documents.commit([Put(PROFILES, "crm-1", body)])
    at = signed_in(Role.ADMIN)
    explorer(at, order="id")
    assert names(at) == [f"**:primary[{words.plain(pseudonym('crm-1'))}]**"], "no consent"
    assert ":orange-badge[not synchronised yet]" in said(at)
    explorer(at, profile="crm-1")
    assert at.title[0].value == pseudonym("crm-1"), "no consent"
    assert "no refresh has reached it yet" in at.info[0].value
    assert "No refresh has settled yet" in at.info[1].value


# --- export ---------------------------------------------------------------------------------------


def ask(at: AppTest, reason: str) -> AppTest:
    """Open the dialog and give a reason; AppTest draws a dialog only where its button is hit."""
    at.button(key="export").click().run()
    at.text_input(key="reason").input(reason)
    at.button(key="export").click().run()
    assert not at.exception
    return at


def button(at: AppTest) -> Any:
    return next(b.proto for b in at.get("download_button") if "export_it" in b.proto.id)


def test_an_admin_exports_the_filtered_list_with_a_reason(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download]
) -> None:
    at = ask(explorer(signed_in(Role.ADMIN), order="id", stitched="yes"), "summer campaign")
    assert not button(at).disabled
    file = downloads["profiles.csv"]()
    assert isinstance(file, bytes)
    rows = list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))
    filters = Filters(stitched=True)
    total = customers.total(refreshed.documents, filters, Order.ID)
    assert len(rows) == total
    (opal,) = [row for row in rows if row["user_id"] == OPAL["user_id"]]
    assert opal["email"] == OPAL["email"]
    assert audited(
        refreshed.documents, "actor", "outcome", "reason", "details", action="profiles:export"
    ) == [
        (
            "ada",
            "done",
            "summer campaign",
            {"filters": {"stitched": "yes", "order": "id"}, "rows": total},
        )
    ]


@pytest.mark.parametrize("reason", ["", "short", "  a      b  "])
def test_without_a_reason_nothing_is_exported(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download], reason: str
) -> None:
    at = ask(explorer(signed_in(Role.ADMIN)), reason)
    assert button(at).disabled
    assert downloads == {}
    assert audited(refreshed.documents, "action", action="profiles:export") == []


def test_a_spreadsheet_runs_nothing_of_the_file(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download]
) -> None:
    values = [
        FORMULA,
        "+49-151-1",
        "@sum(1)",
        "-1+2",
        "\t=1",
        HOSTILE,
        'a "quoted"\n=2;=3',
        "\uff1d1",
    ]
    for number, value in enumerate(values):
        body = {
            "identifiers": {"user_id": [value], "email": [value]},
            "ga4": {"country": value, "last_source": value},
        }
        refreshed.documents.commit([Put(PROFILES, f"hostile-{number}", body)])
    ask(explorer(signed_in(Role.ADMIN), order="id"), "to see what happens")
    file = downloads["profiles.csv"]()
    assert isinstance(file, bytes)
    rows = {r["profile_id"]: r for r in csv.DictReader(io.StringIO(file.decode("utf-8-sig")))}
    for number, value in enumerate(values):
        row = rows[f"hostile-{number}"]
        for cell in (row["user_id"], row["email"], row["country"], row["source"]):
            assert cell.replace("'", "") == value.replace("'", "")
            assert cell.lstrip(" ")[0] not in "=+-@\t\r\uff1d"
    assert rows["hostile-5"]["country"] == HOSTILE
    assert all(None not in row and None not in row.values() for row in rows.values())


def test_an_export_is_capped_and_says_so(
    refreshed: Platform,
    signed_in: SignedIn,
    downloads: dict[str, Download],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cdp.ui.customers.EXPORT_AT_MOST", 20)
    at = ask(explorer(signed_in(Role.ADMIN), order="id"), "the first twenty")
    assert "the first 20 are taken" in said(at)
    file = downloads["profiles.csv"]()
    assert isinstance(file, bytes)
    assert len(list(csv.DictReader(io.StringIO(file.decode("utf-8-sig"))))) == 20
    assert audited(refreshed.documents, "details", action="profiles:export")[0][0]["rows"] == 20


def test_a_marketer_is_offered_no_export(refreshed: Platform, signed_in: SignedIn) -> None:
    at = explorer(signed_in(Role.MARKETER))
    assert "export" not in {button.key for button in at.button}
    assert not at.get("download_button")


def test_the_downloaded_file_of_an_admin_who_is_none_any_more_is_refused(
    refreshed: Platform, signed_in: SignedIn, downloads: dict[str, Download]
) -> None:
    ask(explorer(signed_in(Role.ADMIN)), "summer campaign")
    tamper(refreshed.documents, "ada", lambda body: body.update(role="marketer"))
    with pytest.raises(Exception, match="needs the role admin"):
        downloads["profiles.csv"]()
    assert audited(refreshed.documents, "outcome", action="profiles:export") == [("refused",)]
    change(refreshed.documents, "ada", disabled=True)
    with pytest.raises(Exception, match="session is over"):
        downloads["profiles.csv"]()
    assert audited(refreshed.documents, "outcome", action="session:over") == [("refused",)]
    assert audited(refreshed.documents, "outcome", action="profiles:export") == [("refused",)]


@pytest.mark.parametrize(
    "lose",
    [
        pytest.param(lambda documents: change(documents, "ada"), id="signed out elsewhere"),
        pytest.param(lambda documents: change(documents, "ada", disabled=True), id="disabled"),
        pytest.param(
            lambda documents: tamper(documents, "ada", lambda body: body.update(role=None)),
            id="no role",
        ),
    ],
)
def test_the_dialog_of_a_session_that_is_over_is_gone(
    refreshed: Platform, signed_in: SignedIn, lose: Callable[..., None]
) -> None:
    at = ask(explorer(signed_in(Role.ADMIN)), "summer campaign")
    lose(refreshed.documents)
    at.text_input(key="reason").input("another reason").run()
    assert not at.exception
    assert not at.get("download_button")
    assert not ids(at)
    assert at.text_input(key="sign_in_username")

import hashlib
import re
from datetime import date

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from cdp.demo import vocabulary as words
from cdp.demo.generate import generate
from cdp.demo.score import score
from cdp.domain.errors import InputError

SIZE = {"people": 3_000, "days": 8, "seed": 5}
NEWEST, OVERLAP, FIRST = "20261031", "20261030", "20261024"
JUNK = {*words.TRAP_USER_IDS, *words.JUNK_VALUES, words.JUNK_EMAIL}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, generate(out, **SIZE)


@pytest.fixture(scope="module")
def out(built):
    return built[0]


@pytest.fixture(scope="module")
def sql(out):
    """Query `days`: each day once, from its daily table, the newest from its intraday one."""
    db = duckdb.connect()
    tables = [str(p) for p in (out / "ga4").glob("events_2*.parquet")]
    tables.append(str(out / "ga4" / f"events_intraday_{NEWEST}.parquet"))
    db.execute("create table days as from read_parquet(?, union_by_name = true)", [tables])
    db.execute("""
        create macro param(list, name) as list_filter(list, lambda p: p.key = name)[1].value
    """)
    return lambda query: db.execute(query).fetchall()


@pytest.fixture(scope="module")
def links(out):
    web = pl.read_csv(out / "links" / "web_links.csv")
    return pl.concat([pl.read_ndjson(out / "links" / "crm_links.ndjson"), web])


@pytest.fixture(scope="module")
def truth(out):
    return pl.read_parquet(out / "truth.parquet")


def canonical(type_, value):
    return (
        pl.when(pl.col(type_) == "email")
        .then(pl.col(value).str.strip_chars().str.to_lowercase())
        .when(pl.col(type_) == "phone")
        .then(pl.col(value).str.replace_all(r"[^+\d]", ""))
        .otherwise(value)
    )


def digests(folder):
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_seed_gives_the_same_files_and_another_seed_gives_others(tmp_path):
    size = {"people": 200, "days": 4}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        generate(tmp_path / name, **size, seed=seed)
    first, second, other = (digests(tmp_path / name) for name in "abc")
    assert first == second
    assert first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())


def test_a_folder_that_is_not_empty_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="not empty"):
        generate(tmp_path, people=1, days=1, seed=1)


@pytest.mark.parametrize(("people", "days"), [(0, 1), (1, 0)])
def test_nobody_and_no_day_are_refused(tmp_path, people, days):
    with pytest.raises(InputError, match="too few"):
        generate(tmp_path / "new", people=people, days=days, seed=1)


@pytest.mark.parametrize("days", [1, 2, 3])
def test_the_smallest_properties_have_every_file(tmp_path, days):
    generate(tmp_path, people=1, days=days, seed=1, until=date(2026, 3, 31))
    assert (tmp_path / "ga4" / "events_intraday_20260331.parquet").is_file()
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    assert names >= {
        "links/crm_links.ndjson",
        "links/web_links.csv",
        "consent/decisions.csv",
        "truth.parquet",
        "truth_evidence.parquet",
    }


def test_people_in_several_blocks_make_one_property(tmp_path, monkeypatch):
    monkeypatch.setattr("cdp.demo.generate._BLOCK", 150)
    told = generate(tmp_path, people=400, days=4, seed=3)
    days = [tmp_path / "ga4" / f"events_202610{d}.parquet" for d in (28, 29, 30)]
    days.append(tmp_path / "ga4" / f"events_intraday_{NEWEST}.parquet")
    assert [pq.read_metadata(path).num_row_groups for path in days] == [3] * 4
    assert sum(pq.read_metadata(path).num_rows for path in days) == told.events
    paid = pl.concat(
        [
            pl.read_parquet(path, columns=["user_pseudo_id", "ecommerce"]).unnest("ecommerce")
            for path in days
        ]
    ).filter((pl.col("transaction_id") != "(not set)") & pl.col("user_pseudo_id").is_not_null())
    buyers = paid.group_by("transaction_id").agg(pl.col("user_pseudo_id").n_unique())
    assert buyers.height > 0
    assert buyers["user_pseudo_id"].max() == 1


def test_progress_is_told_day_by_day(tmp_path):
    told = []
    generate(tmp_path, people=5, days=2, seed=1, progress=lambda *now: told.append(now))
    assert told == [(1, 2), (2, 2)]


def test_one_date_has_all_three_tables_and_the_newest_only_intraday(out):
    names = {p.stem for p in (out / "ga4").iterdir()}
    of = lambda day: {n.removesuffix(day) for n in names if n.endswith(day)}  # noqa: E731
    assert of(OVERLAP) == {"events_", "events_intraday_", "events_fresh_"}
    assert of(NEWEST) == {"events_intraday_"}
    assert of("20261029") == {"events_"}
    assert len(names) == SIZE["days"] + 2


def test_tables_lack_the_columns_that_real_ones_lack(out):
    def columns(name):
        return set(pq.read_schema(out / "ga4" / f"{name}.parquet").names)

    daily = columns("events_20261027")
    late_columns = {"traffic_source", "user_ltv", "is_active_user", "publisher"}
    assert daily - columns(f"events_intraday_{NEWEST}") == late_columns
    assert daily - columns(f"events_fresh_{OVERLAP}") == {"publisher"}
    assert {"collected_traffic_source", "is_active_user"} <= daily - columns(f"events_{FIRST}")


def test_parameters_are_nested_as_in_the_export(out):
    schema = pq.read_schema(out / "ga4" / "events_20261027.parquet")
    assert str(schema.field("event_params").type) == (
        "list<element: struct<key: string, value: struct<string_value: string, "
        "int_value: int64, float_value: double, double_value: double>>>"
    )
    assert str(schema.field("privacy_info").type) == (
        "struct<analytics_storage: string, ads_storage: string, uses_transient_token: string>"
    )


def test_the_counts_told_are_the_rows_written(built, sql, links):
    out, told = built
    rows = sum(pq.read_metadata(p).num_rows for p in (out / "ga4").iterdir())
    assert told.rows == rows
    assert sql("select count(*) from days") == [(told.events,)]
    assert told.links == links.height
    assert told.decisions == pl.read_csv(out / "consent" / "decisions.csv").height


def test_a_person_makes_three_to_four_events_a_day(built):
    assert 3.0 <= built[1].events / (SIZE["people"] * SIZE["days"]) <= 4.2


def test_event_date_is_the_day_in_berlin_also_on_the_day_the_clocks_change(out):
    for path in (out / "ga4").glob("events_2*.parquet"):
        times = pl.read_parquet(path).select(
            "event_date",
            local=pl.from_epoch("event_timestamp", "us")
            .dt.replace_time_zone("UTC")
            .dt.convert_time_zone("Europe/Berlin")
            .dt.strftime("%Y%m%d"),
        )
        assert (times["local"] <= times["event_date"]).all()
        late = (times["local"] < times["event_date"]).mean()
        assert 0 < late < 0.02, path.name


def test_sessions_cross_midnight(sql):
    [(crossing,)] = sql("""
        select count(*) from (
            select user_pseudo_id, param(event_params, 'ga_session_id').int_value as session
            from days
            where user_pseudo_id is not null and event_original_occurrence_timestamp is null
            group by all having count(distinct event_date) > 1)
    """)
    assert crossing > 0


def test_all_events_of_a_shop_with_an_app_occur(sql):
    names = {name for (name,) in sql("select distinct event_name from days")}
    assert names == {
        *("session_start", "first_visit", "first_open", "page_view", "screen_view", "scroll"),
        *("user_engagement", "view_item", "add_to_cart", "begin_checkout", "purchase"),
        *("generate_lead", "form_submit", "sign_up", "login"),
    }
    assert sql("select count(distinct stream_id), count(distinct platform) from days") == [(3, 3)]


def test_consent_has_all_four_states_in_realistic_shares(sql):
    rows = sql("""
        select coalesce(privacy_info.analytics_storage, 'null'), count(*) / sum(count(*)) over ()
        from days group by 1
    """)
    share = dict(rows)
    assert 0.5 < share["Yes"] < 0.7
    assert 0.2 < share["No"] < 0.38
    assert 0.02 < share["Unset"] < 0.1
    assert 0.02 < share["null"] < 0.1


def test_ads_storage_is_never_wider_than_analytics_storage(sql):
    rows = sql("select distinct privacy_info.analytics_storage, privacy_info.ads_storage from days")
    both = {("Yes", "Yes"), ("Yes", "No"), ("No", "No"), ("Unset", "Unset"), (None, None)}
    assert set(rows) == both


def test_denied_pings_carry_no_client_and_no_session_but_sometimes_a_user_id(sql):
    [(pings, sessions, starts, loads, users, others)] = sql("""
        with pings as (
            select *, param(event_params, 'ga_session_id') as session from days
            where user_pseudo_id is null)
        select count(*), count(session), count(*) filter (event_name = 'session_start'),
            count(*) filter (event_name in ('page_view', 'screen_view')), count(user_id),
            count(*) filter (privacy_info.analytics_storage != 'No'
                or user_first_touch_timestamp != event_timestamp)
        from pings
    """)
    assert pings > 0
    assert sessions == others == 0
    assert abs(starts - loads) < 0.01 * loads  # but for duplicates, each page load starts anew
    assert 0 < users < 0.1 * pings


def test_every_row_with_a_client_has_a_session(sql):
    assert sql("""
        select count(*) from days where user_pseudo_id is not null
        and param(event_params, 'ga_session_id').int_value is null
    """) == [(0,)]


def test_an_answer_on_the_same_page_gives_a_daily_row_the_id_that_intraday_lacks(out):
    daily, intraday = (
        pl.read_parquet(out / "ga4" / f"events_{kind}{OVERLAP}.parquet")
        .filter(pl.col("privacy_info").struct.field("analytics_storage") == "No")
        .get_column("user_pseudo_id")
        .count()
        for kind in ("", "intraday_")
    )
    assert daily > 0
    assert intraday == 0


def test_people_change_their_minds_in_both_directions(out, sql):
    changes = pl.read_csv(out / "consent" / "decisions.csv").filter(
        (pl.col("type") == "client_id") & (pl.col("purpose") == "analytics")
    )
    assert set(changes["state"]) == {"granted", "denied"}
    last = dict(
        sql("""
            select user_pseudo_id, max(event_timestamp) from days
            where privacy_info.analytics_storage = 'Yes' group by 1
        """)
    )
    at = pl.col("at").str.to_datetime(time_unit="us", time_zone="UTC").dt.epoch("us")
    denied = changes.filter(pl.col("state") == "denied").select("value", at).rows()
    assert denied
    assert all(last.get(client, 0) < at for client, at in denied)


def test_about_four_percent_of_the_rows_carry_a_user_id(sql):
    [(share,)] = sql("select count(user_id) / count(*) from days")
    assert 0.03 < share < 0.06


def test_user_ids_include_placeholders_and_an_email(sql):
    users = {u for (u,) in sql("select distinct user_id from days where user_id is not null")}
    assert users >= set(words.TRAP_USER_IDS)
    assert any("@" in user for user in users)


def test_shared_devices_show_two_logged_in_people_and_belong_to_nobody(built, truth, sql):
    shared = truth.filter("shared")
    assert shared["person"].null_count() == shared.height == built[1].shared_devices
    assert 0.005 < shared.height / built[1].devices < 0.02
    pairs = sql("""
        select user_pseudo_id, count(distinct user_id) from days
        where user_id like 'u%' and user_pseudo_id is not null group by 1 having count(*) > 1
    """)
    several = {client for client, users in pairs if users == 2}
    assert several <= set(shared["value"])
    assert len(several) > 0.8 * shared.height


def test_some_rows_come_twice_also_with_parameters_in_another_order(sql):
    everything, exact, [(reordered,)] = (
        sql("select count(*) from days")[0][0],
        sql("select count(*) from (select * from days group by all having count(*) > 1)")[0][0],
        sql("""
            select count(*) from (
                select count(distinct event_params) as orders from days
                group by event_timestamp, event_name, user_pseudo_id, batch_page_id,
                    batch_event_index, list_sort(list_transform(event_params, lambda p: p.key))
                having count(*) > 1 and count(distinct list_sort(event_params)) = 1)
            where orders > 1
        """),
    )
    assert 0.002 < exact / everything < 0.005
    assert reordered > 0


def test_purchases_have_the_faults_of_real_ones(sql):
    [(purchases, unset, no_id, no_revenue)] = sql("""
        select count(*), count(*) filter (ecommerce.transaction_id = '(not set)'),
            count(*) filter (ecommerce.transaction_id is null),
            count(*) filter (ecommerce.purchase_revenue is null)
        from days where event_name = 'purchase'
    """)
    assert 0.03 < unset / purchases < 0.15
    assert 0.02 < no_revenue / purchases < 0.12
    assert no_id < 0.05 * purchases
    [(repeated,)] = sql("""
        select count(*) from (
            select 1 from days where event_name = 'purchase'
            and ecommerce.transaction_id != '(not set)'
            group by ecommerce.transaction_id having count(distinct event_timestamp) > 1)
    """)
    assert repeated > 0


def test_a_purchase_costs_what_its_items_cost(sql):
    assert sql("""
        select count(*) from days where event_name = 'purchase' and abs(
            ecommerce.purchase_revenue
            - list_sum(list_transform(items, lambda i: i.price * i.quantity))) > 0.01
    """) == [(0,)]


def test_parameters_drift_between_types(sql):
    [(texts, numbers)] = sql("""
        select count(param(event_params, 'session_engaged').string_value),
            count(param(event_params, 'session_engaged').int_value) from days
    """)
    assert texts > numbers > 0
    for key, one, other in (
        ("transaction_id", "string_value", "int_value"),
        ("value", "double_value", "int_value"),
    ):
        [counts] = sql(f"""
            select count(param(event_params, '{key}').{one}),
                count(param(event_params, '{key}').{other}) from days
        """)
        assert min(counts) > 0, key
    [(huge,)] = sql("select max(param(event_params, 'hit_reference').int_value) from days")
    assert huge > 2**53


def test_paid_sessions_bring_a_gclid_only_where_ads_are_allowed(sql):
    rows = sql("""
        select distinct collected_traffic_source.manual_medium, privacy_info.ads_storage
        from days where collected_traffic_source.gclid is not null
    """)
    assert rows
    assert {medium for medium, _ in rows} == {"cpc"}
    assert "No" not in {ads for _, ads in rows}


def test_a_few_people_make_a_large_part_of_the_events(sql):
    counts = np.array(
        [
            n
            for (n,) in sql("""
            select count(*) from days where user_pseudo_id is not null group by user_pseudo_id
        """)
        ]
    )
    assert counts.max() > 12 * counts.mean()
    assert counts.max() < 1_500


def test_links_name_their_sources_types_and_consent(links):
    kinds = set(links.select("source", "a_type", "b_type").unique().rows())
    assert kinds == {
        ("crm", "user_id", "email"),
        ("crm", "email", "phone"),
        ("lead_form", "client_id", "email"),
        ("sgtm", "client_id", "user_id"),
    }
    assert set(links["consent"]) == {"granted", "denied", "unknown"}
    assert links["at"].str.contains(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$").all()


def test_emails_come_in_mixed_case_and_with_stray_spaces(links):
    emails = links.filter(pl.col("b_type") == "email")["b_value"]
    for odd in (emails != emails.str.to_lowercase(), emails != emails.str.strip_chars()):
        assert 0.02 < odd.mean() < 0.3


def test_junk_is_among_the_links(links):
    values = pl.concat([links["a_value"], links["b_value"].str.to_lowercase().str.strip_chars()])
    assert {"null", "(not set)", words.JUNK_EMAIL} <= set(values)
    assert (values == words.JUNK_EMAIL).sum() > 10


def test_every_address_and_number_is_reserved_for_examples(out, links, truth):
    emails = set(truth.filter(pl.col("type") == "email")["value"])
    assert all(re.fullmatch(r"[a-z.]+\d+@example\.(com|org)", email) for email in emails)
    ranges = tuple(prefix for prefix, _ in words.PHONE_RANGES)
    phones = truth.filter(pl.col("type") == "phone")["value"]
    assert phones.is_unique().all()
    assert all(phone.startswith(ranges) for phone in phones)


def test_decisions_name_known_identifiers_purposes_and_sources(out, truth):
    decisions = pl.read_csv(out / "consent" / "decisions.csv")
    assert decisions.columns == ["type", "value", "purpose", "state", "at", "source"]
    assert set(decisions["purpose"]) == {"analytics", "ads", "marketing"}
    assert set(decisions["source"]) == {"preference_centre", "crm", "support"}
    assert set(decisions["state"]) == {"granted", "denied"}
    plain = decisions.with_columns(value=canonical("type", "value"))
    assert plain.join(truth, on=["type", "value"], how="anti").is_empty()


def test_every_identifier_in_events_and_links_is_in_the_truth_or_is_junk(sql, links, truth):
    assert truth.select("type", "value").is_unique().all()
    seen = [("client_id", v) for (v,) in sql("select distinct user_pseudo_id from days")]
    seen += [("user_id", v) for (v,) in sql("select distinct user_id from days")]
    for side in "ab":
        value = canonical(f"{side}_type", f"{side}_value").alias("v")
        seen += links.select(f"{side}_type", value).rows()
    known = set(truth.select("type", "value").rows())
    unknown = {value for type_, value in seen if (type_, value) not in known}
    emails = {value for value in unknown if value and "@" in value} - JUNK
    assert unknown - emails - {None} <= JUNK
    assert all(("email", email) in known for email in emails)  # an e-mail sent as user_id


def test_evidence_holds_every_pair_that_was_written_and_no_other(out, sql, links):
    evidence = pl.read_parquet(out / "truth_evidence.parquet")
    pair = ["a_type", "a_value", "b_type", "b_value", "granted"]
    told = links.select(
        "a_type",
        canonical("a_type", "a_value").alias("a_value"),
        "b_type",
        canonical("b_type", "b_value").alias("b_value"),
        (pl.col("consent") == "granted").alias("granted"),
    )
    rows = sql("""
        select distinct 'client_id', user_pseudo_id, 'user_id', user_id,
            privacy_info.analytics_storage is not distinct from 'Yes'
        from days where user_pseudo_id is not null and user_id is not null
    """)
    assert set(evidence.select(pair).rows()) == {*told.rows(), *rows}
    assert evidence.select(pair).is_unique().all()


def test_one_profile_a_person_scores_in_full_and_counts_unconsented_pairs(out, truth):
    whole = truth.drop_nulls("person").rename({"person": "profile_id"})
    result = score(out, whole)
    assert (result.precision, result.recall) == (1.0, 1.0)
    assert result.unconsented_pairs > 0

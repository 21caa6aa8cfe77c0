import glob
import gzip
import json
import math
import random
import signal
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as given_of
from hypothesis import strategies as st
from sqlglot import exp

from cdp.domain.days import Kind
from cdp.domain.errors import InputError
from cdp.warehouse.ga4_files import Loaded, export_files, ga4_schema, load_ga4
from cdp.warehouse.sources import workplace

DAY = "20210129"
OTHER = "20210130"
HUGE = 2**53 + 1
START = 1_611_878_400_000_000


def event(n=0, day=DAY, **more):
    """Return a row as `bq extract` writes it: integers as text, nulls left out."""
    return {
        "event_date": day,
        "event_timestamp": str(START + n),
        "event_name": "page_view",
        "event_params": [{"key": "ga_session_id", "value": {"int_value": str(n)}}],
        "user_pseudo_id": f"client.{n}",
        **more,
    }


def ndjson(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def parquet(path, columns):
    """Write a Parquet file of *columns*: a list of values, or (values, type)."""
    arrays = {
        name: pa.array(*given) if isinstance(given, tuple) else pa.array(given)
        for name, given in columns.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path)
    return path


PARAM = pa.list_(
    pa.struct(
        [("key", pa.string()), ("value", pa.struct([("int_value", pa.int64())]))],
    )
)


def columns(count=2, day=DAY, **more):
    """Return the columns of a small Parquet export."""
    return {
        "event_date": [day] * count,
        "event_timestamp": [START + n for n in range(count)],
        "event_name": ["page_view"] * count,
        "event_params": ([[{"key": "n", "value": {"int_value": n}}] for n in range(count)], PARAM),
        "user_pseudo_id": [f"client.{n}" for n in range(count)],
        **more,
    }


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "home" / "raw"


@pytest.fixture
def given(tmp_path):
    """A folder for input."""
    folder = tmp_path / "given"
    folder.mkdir()
    return folder


def rows(raw, suffix=DAY):
    """Return the loaded rows of a table, by time."""
    file = glob.escape(str(raw / f"events_{suffix}.parquet"))
    query = "SELECT * FROM read_parquet(?, hive_partitioning=false) ORDER BY event_timestamp"
    with duckdb.connect() as db:
        cursor = db.execute(query, [file])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def bytes_below(folder):
    """Return every file below *folder*, hidden ones too, with its content."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def tables(raw):
    return {table.suffix: table.rows for table, _ in export_files(raw)}


# --- what loads -----------------------------------------------------------------------------------


def test_ndjson_as_bq_extract_writes_it_loads_with_types_and_nulls(raw, given):
    row = event(
        event_value_in_usd=1.5,
        privacy_info={"analytics_storage": "Yes"},
        is_active_user=True,
        items=[],
        device={},
    )
    (loaded,) = load_ga4(raw, [ndjson(given / f"events_{DAY}-000000000000.json", [row])])
    assert loaded == Loaded(f"events_{DAY}", 1, unchanged=False)
    (found,) = rows(raw)
    assert list(found) == list(ga4_schema())
    assert found["event_timestamp"] == START
    assert found["event_params"][0]["value"]["int_value"] == 0
    assert found["event_value_in_usd"] == 1.5
    assert found["privacy_info"]["analytics_storage"] == "Yes"
    assert found["is_active_user"] is True
    assert found["items"] == []
    assert set(found["device"].values()) == {None}
    assert found["user_id"] is None


def test_the_console_s_json_list_loads_with_floats_as_text_and_nulls_shown(raw, given):
    row = event(
        event_value_in_usd="0.1",
        user_id=None,
        geo=None,
        ecommerce={"purchase_revenue": "12.34", "total_item_quantity": "2"},
        is_active_user="true",
    )
    file = given / f"events_{DAY}.json"
    file.write_text(json.dumps([row, event(1)], indent=2))
    assert load_ga4(raw, [file])[0].rows == 2
    found = rows(raw)[0]
    assert found["event_value_in_usd"] == 0.1
    assert found["ecommerce"]["purchase_revenue"] == 12.34
    assert found["ecommerce"]["total_item_quantity"] == 2
    assert found["is_active_user"] is True
    assert found["geo"] is None


def test_parquet_with_the_types_of_2021_loads_as_text(raw, given):
    number = pa.struct([("analytics_storage", pa.int64()), ("ads_storage", pa.null())])
    key = pa.list_(pa.struct([("key", pa.int64())]))
    made = columns(
        privacy_info=([{"analytics_storage": 1}, None], number),
        stream_id=[1_234_567_890, None],
        user_properties=([[{"key": 7}], []], key),
    )
    load_ga4(raw, [parquet(given / f"events_{DAY}.parquet", made)])
    first, second = rows(raw)
    assert first["privacy_info"]["analytics_storage"] == "1"
    assert first["stream_id"] == "1234567890"
    assert first["user_properties"][0]["key"] == "7"
    assert second["privacy_info"] is None
    assert second["user_properties"] == []


def test_struct_fields_in_another_order_end_where_they_belong(raw, given):
    geo = pa.struct([("country", pa.string()), ("continent", pa.string()), ("city", pa.string())])
    value = pa.struct([("double_value", pa.float64()), ("string_value", pa.string())])
    params = pa.list_(pa.struct([("value", value), ("key", pa.string())]))
    place = {"country": "Chile", "continent": "Americas", "city": "Arica"}
    told = [{"value": {"double_value": 2.5, "string_value": None}, "key": "value"}]
    made = columns(1, geo=([place], geo), event_params=([told], params))
    load_ga4(raw, [parquet(given / f"events_{DAY}.parquet", made)])
    (found,) = rows(raw)
    assert {name: found["geo"][name] for name in place} == place
    assert found["geo"]["metro"] is None
    assert found["event_params"][0]["key"] == "value"
    assert found["event_params"][0]["value"]["double_value"] == 2.5


def test_a_column_that_an_old_export_lacks_is_null(raw, given):
    load_ga4(raw, [parquet(given / f"events_{DAY}.parquet", columns())])
    assert rows(raw)[0]["session_traffic_source_last_click"] is None
    assert rows(raw)[0]["event_original_occurrence_timestamp"] is None


def test_the_table_has_the_export_s_columns_and_not_the_fields_below_them(raw, given):
    assert len(ga4_schema()) == 31
    assert "hostname" not in ga4_schema()
    load_ga4(raw, [ndjson(given / f"events_{DAY}.json", [event()])])
    assert list(rows(raw)[0]) == list(ga4_schema())


@pytest.mark.parametrize("number", [HUGE, -HUGE, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("spell", [str, int])
def test_integers_beyond_what_a_float_holds_survive_exactly(raw, given, number, spell):
    params = [{"key": "k", "value": {"int_value": spell(number)}}]
    row = event(event_params=params, batch_page_id=spell(number))
    load_ga4(raw, [ndjson(given / f"events_{DAY}.json", [row])])
    (found,) = rows(raw)
    assert found["batch_page_id"] == number
    assert found["event_params"][0]["value"]["int_value"] == number


def test_files_of_one_day_in_one_call_form_one_table(raw, given):
    paths = [
        ndjson(given / f"events_{DAY}-000000000000.json.gz", [event(0)]),
        ndjson(given / f"events_{DAY}-000000000001.ndjson", [event(1), event(2)]),
        parquet(given / f"events_{DAY}_rest.parquet", columns(1, event_timestamp=[START + 3])),
    ]
    (loaded,) = load_ga4(raw, paths)
    assert (loaded.name, loaded.rows) == (f"events_{DAY}", 4)
    assert [row["event_timestamp"] - START for row in rows(raw)] == [0, 1, 2, 3]


def test_a_folder_is_all_the_files_in_it_but_hidden_ones_and_others(raw, given):
    ndjson(given / f"events_{DAY}.json", [event()])
    ndjson(given / f"events_{OTHER}.jsonl", [event(day=OTHER)])
    (given / "README.txt").write_text("not ours")
    (given / "._events_20210131.parquet").write_bytes(b"\0\5\x16\7")
    (given / "more.json").mkdir()
    told = []
    loaded = load_ga4(raw, [given], skipped=told.append)
    assert [table.name for table in loaded] == [f"events_{DAY}", f"events_{OTHER}"]
    assert told == [given / "README.txt", given / "more.json"]


def test_a_file_that_is_named_twice_is_loaded_once(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event()])
    assert load_ga4(raw, [file, given, given / ".." / "given" / file.name])[0].rows == 1


def test_intraday_and_fresh_tables_stand_beside_the_daily_one(raw, given):
    names = [f"events_{DAY}.json", f"events_intraday_{DAY}.json", f"events_fresh_{DAY}-0.json.gz"]
    load_ga4(raw, [ndjson(given / name, [event(n)]) for n, name in enumerate(names)])
    assert tables(raw) == {DAY: 1, f"fresh_{DAY}": 1, f"intraday_{DAY}": 1}
    assert rows(raw, f"fresh_{DAY}")[0]["event_timestamp"] == START + 2


def test_day_and_kind_name_the_table_where_the_file_does_not(raw, given):
    file = ndjson(given / "bquxjob_1234.json", [event()])
    (loaded,) = load_ga4(raw, [file], day=date(2021, 1, 29), kind=Kind.FRESH)
    assert loaded.name == f"events_fresh_{DAY}"


def test_kind_stands_above_the_file_s_name(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event()])
    assert load_ga4(raw, [file], kind=Kind.INTRADAY)[0].name == f"events_intraday_{DAY}"


def test_without_a_day_each_row_s_own_date_decides(raw, given):
    mixed = [event(0), event(1, OTHER), event(2), event(3, "20210131")]
    file = ndjson(given / "export.ndjson", mixed)
    loaded = load_ga4(raw, [file], kind=Kind.DAILY)
    assert [(table.name, table.rows) for table in loaded] == [
        (f"events_{DAY}", 2),
        (f"events_{OTHER}", 1),
        ("events_20210131", 1),
    ]
    assert [row["user_pseudo_id"] for row in rows(raw)] == ["client.0", "client.2"]
    assert [row["user_pseudo_id"] for row in rows(raw, OTHER)] == ["client.1"]


def test_loading_a_day_again_replaces_it(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event(0)])
    load_ga4(raw, [file])
    before = dict(tables(raw))
    ndjson(file, [event(5), event(6)])
    (loaded,) = load_ga4(raw, [file])
    assert before == {DAY: 1}
    assert (loaded.rows, loaded.unchanged) == (2, False)
    assert [row["user_pseudo_id"] for row in rows(raw)] == ["client.5", "client.6"]


def test_a_day_may_lose_rows_where_that_is_said(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event(0), event(1)])
    load_ga4(raw, [file])
    (loaded,) = load_ga4(raw, [ndjson(file, [event(5)])], replace=True)
    assert (loaded.rows, loaded.unchanged) == (1, False)
    assert tables(raw) == {DAY: 1}


def test_the_rest_of_an_incomplete_day_may_come_with_what_was_there(raw, given):
    first = ndjson(given / f"events_{DAY}-000000000000.json", [event(0)])
    second = ndjson(given / f"events_{DAY}-000000000001.json", [event(1)])
    load_ga4(raw, [first])
    assert load_ga4(raw, [first, second])[0].rows == 2


def test_the_same_content_is_told_as_unchanged_and_left_as_it_is(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event(0)])
    load_ga4(raw, [file])
    before = bytes_below(raw)
    (again,) = load_ga4(raw, [file])
    assert again == Loaded(f"events_{DAY}", 1, unchanged=True)
    packed = ndjson(given / "packed" / f"events_{DAY}.json.gz", [event(0)])
    assert load_ga4(raw, [packed])[0].unchanged
    assert bytes_below(raw) == before


def test_the_same_rows_by_their_own_dates_are_told_as_unchanged(raw, given):
    file = ndjson(given / "export.ndjson", [event(0), event(1, OTHER)])
    load_ga4(raw, [file], kind=Kind.DAILY)
    assert [table.unchanged for table in load_ga4(raw, [file], kind=Kind.DAILY)] == [True, True]


def test_a_file_of_several_days_is_not_taken_for_one_day_though_it_was_loaded_before(raw, given):
    file = ndjson(given / "export.ndjson", [event(0), event(1, OTHER)])
    load_ga4(raw, [file], kind=Kind.DAILY)
    with pytest.raises(InputError, match="a row of 20210130"):
        load_ga4(raw, [file], kind=Kind.DAILY, day=date(2021, 1, 29))


def test_unknown_columns_and_fields_are_told_and_left_out(raw, given):
    lean = event(0)
    more = event(1, new_column="x", geo={"city": "Arica", "planet": "Earth"})
    (loaded,) = load_ga4(raw, [ndjson(given / f"events_{DAY}.json", [lean, more])])
    assert loaded.unknown == ("geo.planet", "new_column")
    geo = pa.struct([("city", pa.string()), ("planet", pa.string())])
    place = {"city": "Arica", "planet": "Earth"}
    made = columns(1, OTHER, hostname=["x"], geo=([place], geo))
    (loaded,) = load_ga4(raw, [parquet(given / f"events_{OTHER}.parquet", made)])
    assert loaded.unknown == ("geo.planet", "hostname")
    for suffix in (DAY, OTHER):
        assert list(rows(raw, suffix)[0]) == list(ga4_schema())
        assert "planet" not in rows(raw, suffix)[-1]["geo"]
        assert rows(raw, suffix)[-1]["geo"]["city"] == "Arica"


@pytest.mark.parametrize("name", ["events.ndjson", "events.json", "events.ndjson.gz"])
def test_an_unknown_column_of_a_late_record_is_told_like_one_before(raw, given, name):
    many = [event(n) for n in range(3_000)]
    many[2_900] |= {"new_column": 1, "items": [{"item_id": "x", "colour": "red"}]}
    file = given / name.replace("events", f"events_{DAY}")
    if name == "events.json":
        file.write_text(json.dumps(many))
    else:
        ndjson(file, many)
    assert load_ga4(raw, [file])[0].unknown == ("items.colour", "new_column")


def test_names_that_mean_something_to_the_engine_are_plain_names(tmp_path):
    folder = tmp_path / "event_name=x" / "it's [1]*"
    raw = folder / "raw"
    file = ndjson(folder / f"events_{DAY}.json", [event()])
    other = parquet(folder / f"events_{OTHER}[1].parquet", columns(day=OTHER))
    load_ga4(raw, [file, other])
    assert rows(raw)[0]["event_name"] == "page_view"
    assert rows(raw, OTHER)[0]["event_name"] == "page_view"


def test_blank_lines_and_windows_line_ends_are_no_rows(raw, given):
    file = given / f"events_{DAY}.ndjson"
    file.write_bytes(b"\r\n".join([json.dumps(event(n)).encode() for n in (0, 1)]) + b"\r\n\r\n")
    assert load_ga4(raw, [file])[0].rows == 2


def test_a_list_under_the_name_of_ndjson_is_read_as_the_list_it_is(raw, given):
    file = given / f"events_{DAY}.ndjson"
    file.write_text(json.dumps([event(0), event(1)]))
    assert load_ga4(raw, [file])[0].rows == 2


def test_a_loaded_table_is_split_so_that_readers_share_it(raw, given):
    file = parquet(given / f"events_{DAY}.parquet", columns(50_000))
    load_ga4(raw, [file])
    assert pq.ParquetFile(raw / f"events_{DAY}.parquet").num_row_groups >= 2
    assert tables(raw) == {DAY: 50_000}


def test_only_the_owner_may_read_what_was_loaded(raw, given):
    load_ga4(raw, [ndjson(given / f"events_{DAY}.json", [event()])])
    assert raw.stat().st_mode & 0o777 == 0o700
    assert (raw / f"events_{DAY}.parquet").stat().st_mode & 0o777 == 0o600


def test_progress_names_each_table_once(raw, given):
    ndjson(given / f"events_{DAY}.json", [event()])
    ndjson(given / f"events_{OTHER}.json", [event(day=OTHER)])
    seen = []
    load_ga4(raw, [given], progress=seen.append)
    assert sorted(seen) == [f"events_{DAY}", f"events_{OTHER}"]


# --- what is refused ------------------------------------------------------------------------------


@pytest.fixture
def kept(raw, given):
    """Load two days; return a check that a refused load left them and nothing else."""
    folder = given / "before"
    ndjson(folder / f"events_{DAY}.json", [event(0), event(1)])
    ndjson(folder / f"events_{OTHER}.json", [event(0, OTHER)])
    load_ga4(raw, [folder])
    before = bytes_below(raw)

    def check():
        assert bytes_below(raw) == before
        assert [path.name for path in raw.iterdir() if path.is_dir()] == []

    return check


def refused(raw, kept, *paths, **arguments):
    """Return the message of a load that must fail and change nothing."""
    with pytest.raises(InputError) as error:
        load_ga4(raw, list(paths), **arguments)
    kept()
    return str(error.value)


GOOD = [json.dumps(event(n)).encode() for n in range(3)]


@pytest.mark.parametrize("broken", [1, 2, 3])
@pytest.mark.parametrize("ending", ["ndjson", "json", "json.gz"])
def test_a_half_written_line_is_refused_with_its_number(raw, given, kept, broken, ending):
    lines = list(GOOD)
    lines[broken - 1] = lines[broken - 1][:60]
    content = b"\n".join(lines)
    file = given / f"events_{DAY}.{ending}"
    file.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    message = refused(raw, kept, file)
    assert message.startswith(f"{file}, line {broken}: not a whole JSON record: ")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"[1, 2]", "not a JSON record"),
        (b"null", "not a JSON record"),
        (b"17", "not a JSON record"),
        (b"garbage", "not a whole JSON record"),
        (GOOD[0] + GOOD[1], "not a whole JSON record"),
        (b'{"event_date": NaN}', "NaN is not JSON"),
        (GOOD[0][:-1] + b', "event_date": "x"}', "the key 'event_date' is there twice"),
        (b'{"event_date": "\xff"}', "not UTF-8"),
        (b"\x00\x01\x02", "not a whole JSON record"),
    ],
)
def test_a_line_that_is_no_record_is_refused_wherever_it_is(raw, given, kept, line, says):
    file = given / f"events_{DAY}.ndjson"
    for place in range(3):
        lines = list(GOOD)
        lines.insert(place, line)
        # A JSON list may begin the file: it is then read as one, and refused likewise.
        file.write_bytes(b"\n".join(lines) + b"\n")
        message = refused(raw, kept, file)
        assert message.startswith(f"{file}, line {place + 1}: "), message
        assert says in message


def test_a_bad_line_after_many_good_ones_is_found_with_its_number(raw, given, kept):
    lines = [json.dumps(event(n)) for n in range(5_000)]
    wrong = event(4321, event_params=[{"key": "k", "value": {"int_value": "many"}}])
    lines[4321] = json.dumps(wrong)
    file = given / f"events_{DAY}.ndjson"
    file.write_text("\n\n".join(lines))
    assert refused(raw, kept, file) == (
        f"{file}, line {2 * 4321 + 1}: event_params.value.int_value takes a whole number of "
        "64 bits, not 'many'"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"event_timestamp": START + 0.5},
        {"batch_page_id": True},
        {"batch_page_id": 2**63},
        {"event_value_in_usd": True},
        {"event_name": {"name": "x"}},
        {"user_id": ["u"]},
        {"user_id": []},
        {"is_active_user": 0.5},
        {"is_active_user": []},
        {"items": {"item_id": "x"}},
        {"items": [{"quantity": 12.5}, {"quantity": "1"}]},
        {"geo": [{"city": "Arica"}]},
        {"ecommerce": {"unique_items": False}},
        {"event_params": [{"key": "k", "value": {"int_value": 12.5}}]},
        {"event_params": [{"key": "k", "value": {"string_value": ["x"]}}]},
    ],
    ids=repr,
)
def test_a_late_record_is_read_as_exactly_as_an_early_one(raw, given, kept, change):
    many = [event(n) for n in range(1_500)]
    many[1_400] |= change
    file = ndjson(given / f"events_{DAY}.json", many)
    assert refused(raw, kept, file).startswith(f"{file}, line 1401: {next(iter(change))}")


def test_whole_numbers_and_yes_or_no_may_be_spelled_in_several_ways(raw, given):
    params = [{"key": "k", "value": {"int_value": v}} for v in (12, "12", 12.0)]
    spelled = [{"is_active_user": v} for v in (True, "true", "True")]
    many = [event(n, event_params=params, **more) for n, more in enumerate(spelled)]
    load_ga4(raw, [ndjson(given / f"events_{DAY}.json", many)])
    for row in rows(raw):
        assert [param["value"]["int_value"] for param in row["event_params"]] == [12, 12, 12]
        assert row["is_active_user"] is True


# As one may find them in any column of a file that something else wrote.
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(2**62, 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1", "1.5", "true", "NaN", "9" * 5000, "\ud800", "\0", "unquoted"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["key", "value", "city", "int_value", "x"]), inner)
    ),
    max_leaves=6,
)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given_of(
    change=st.dictionaries(st.sampled_from([*ga4_schema(), "more"]), ANYTHING, min_size=1),
    as_list=st.booleans(),
)
def test_whatever_a_column_holds_it_loads_or_is_refused_in_words(tmp_path_factory, change, as_list):
    folder = tmp_path_factory.mktemp("fuzz")
    file = folder / f"events_{DAY}.json"
    many = [event(0), event(1, **change)]
    text = json.dumps(many) if as_list else "".join(json.dumps(row) + "\n" for row in many)
    file.write_text(text.replace('"unquoted"', "9" * 5000))
    said = ""
    try:
        assert load_ga4(folder / "raw", [file], threads=1)[0].rows == 2
    except InputError as error:
        said = str(error)
    assert not said or said.startswith(f"{file}, line {1 if as_list else 2}: ")
    assert "\n" not in said


def test_a_broken_json_list_is_refused_with_the_line_of_the_file(raw, given, kept):
    file = given / f"events_{DAY}.json"
    text = json.dumps([event(0), event(1)], indent=1)
    lines = text.splitlines()
    file.write_text("\n".join(lines[:-4]))
    assert "not a whole JSON list" in refused(raw, kept, file)
    place = next(n for n, line in enumerate(lines) if "client.1" in line)
    lines[place] = lines[place].replace(":", "")
    file.write_text("\n".join(lines))
    assert refused(raw, kept, file).startswith(f"{file}, line {place + 1}: not a whole JSON list")
    file.write_text(text + "junk")
    assert str(file) in refused(raw, kept, file)
    file.write_text("[\n\n5]")
    assert refused(raw, kept, file).startswith(f"{file}, line 3: not a JSON record")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"event_timestamp": "yesterday"}, "event_timestamp takes a whole number"),
        ({"event_timestamp": 1.5}, "event_timestamp takes a whole number"),
        ({"event_timestamp": str(2**63)}, "event_timestamp takes a whole number of 64 bits"),
        ({"event_value_in_usd": "much"}, "event_value_in_usd takes a number"),
        ({"is_active_user": "perhaps"}, "is_active_user takes true or false"),
        ({"is_active_user": []}, "is_active_user takes true or false"),
        ({"is_active_user": {"x": 1}}, "is_active_user takes true or false"),
        ({"event_name": {"name": "x"}}, "event_name takes text"),
        ({"user_pseudo_id": [1]}, "user_pseudo_id takes text"),
        ({"event_params": "none"}, "event_params takes a list"),
        ({"event_params": {"key": "k"}}, "event_params takes a list"),
        ({"event_params": ["k"]}, "event_params takes a record"),
        ({"event_params": [{"key": "k", "value": 5}]}, "event_params.value takes a record"),
        ({"geo": "Chile"}, "geo takes a record"),
        ({"device": {"web_info": []}}, "device.web_info takes a record"),
        ({"items": [{"quantity": "two"}]}, "items.quantity takes a whole number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path_and_line(raw, given, kept, change, says):
    file = ndjson(given / f"events_{DAY}.json", [event(0), event(1, **change), event(2)])
    message = refused(raw, kept, file)
    assert message.startswith(f"{file}, line 2: {says}"), message


@pytest.mark.parametrize("name", ["event_date", "event_timestamp", "event_name"])
def test_a_row_without_what_every_event_has_is_refused(raw, given, kept, name):
    lacking = {key: value for key, value in event(1).items() if key != name}
    file = ndjson(given / f"events_{DAY}.json", [event(0), lacking, event(2)])
    assert refused(raw, kept, file) == (
        f"{file}, line 2: a row without event_date or event_timestamp or event_name (1 of 3 rows)"
    )
    first = columns(3)[name][0]
    made = columns(3, **{name: [first, first, None]})
    file = parquet(given / f"events_{DAY}.parquet", made)
    assert refused(raw, kept, file).startswith(f"{file}, row 3: a row without ")


def test_another_table_is_refused_with_what_it_has(raw, given, kept):
    file = ndjson(given / f"events_{DAY}.json", [{"user_id": "u1", "email": "x"}])
    message = refused(raw, kept, file)
    assert message.startswith(f"{file}, line 1: no column event_date, event_timestamp, event_name;")
    assert "(it has email, user_id…)" in message
    file = parquet(given / f"events_{DAY}.parquet", {"user_id": ["u1"], "email": ["x"]})
    message = refused(raw, kept, file)
    assert message.startswith(f"{file}: no column event_date, ")
    assert "not a GA4 events table" in message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"event_timestamp": ["x", "y"]},
            "event_timestamp takes a whole number of 64 bits, not VARCHAR",
        ),
        (
            {"event_timestamp": [1.5, 2.5]},
            "event_timestamp takes a whole number of 64 bits, not DOUBLE",
        ),
        ({"event_date": [date(2021, 1, 29)] * 2}, "event_date takes text, not DATE"),
        ({"stream_id": [1.0, 2.0]}, "stream_id takes text, not DOUBLE"),
        ({"event_params": ["a", "b"]}, "event_params takes a list, not VARCHAR"),
        ({"event_params": [["a"], []]}, "event_params takes a record of key, value, not VARCHAR"),
        ({"geo": ["Chile", "Peru"]}, "geo takes a record of city, "),
        ({"geo": [{"planet": "x"}] * 2}, "geo takes a record of city, "),
        ({"is_active_user": [1, 0]}, "is_active_user takes true or false, not BIGINT"),
        (
            {"event_params": [[{"key": "k", "value": {"int_value": "1"}}], []]},
            "event_params.value.int_value takes a whole number of 64 bits, not VARCHAR",
        ),
        (
            {"ecommerce": [{"tax_value": "1"}] * 2},
            "ecommerce.tax_value takes a number, not VARCHAR",
        ),
    ],
)
def test_a_parquet_column_of_another_type_is_refused_with_its_path(raw, given, kept, change, says):
    file = parquet(given / f"events_{DAY}.parquet", columns(**change))
    message = refused(raw, kept, file)
    assert message.startswith(f"{file}: {says}"), message
    assert message.endswith("(told by its schema, not by a line)")


def test_truncated_parquet_is_refused(raw, given, kept):
    whole = parquet(given / f"events_{DAY}.parquet", columns(500)).read_bytes()
    file = given / f"events_{DAY}.parquet"
    for length in (1, 4, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        message = refused(raw, kept, file)
        assert message.startswith(f"{file}: not a whole Parquet file ("), message
        assert message.endswith("export it again")


def test_parquet_with_a_damaged_page_is_refused(raw, given, kept):
    file = parquet(given / f"events_{DAY}.parquet", columns(500))
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 3] = bytes(len(content) // 3 - 4)
    file.write_bytes(content)
    assert refused(raw, kept, file).startswith(f"{file}: ")


def test_a_truncated_or_damaged_gzip_is_refused(raw, given, kept):
    generator = random.Random(1)
    many = [event(n, user_id=str(generator.random())) for n in range(3_000)]
    file = ndjson(given / f"events_{DAY}.json.gz", many)
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # the checksum, which DuckDB does not look at
    cuts = [whole[:n] for n in (1, 9, len(whole) // 2, len(whole) - 1)]
    for content in [*cuts, bytes(flipped), b"not gzip at all"]:
        file.write_bytes(content)
        message = refused(raw, kept, file)
        assert message.startswith(f"{file}"), message
        assert "cannot be read" in message


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (f"events_foo_{DAY}.json", "unknown kind of table 'foo'; known are events_YYYYMMDD"),
        (f"users_{DAY}.json", "a table of users, not of events"),
        (f"pseudonymous_users_{DAY}.json", "a table of users, not of events"),
        ("events_20210230.json", "20210230 is not a date"),
        ("events_20211301.json", "20211301 is not a date"),
        ("events_202101299.json", "the name does not tell the table"),
        ("export.json", "say --kind daily|intraday|fresh"),
    ],
)
def test_a_name_that_tells_no_table_is_refused(raw, given, kept, name, says):
    file = ndjson(given / name, [event()])
    message = refused(raw, kept, file)
    assert message.startswith(f"{file}: ")
    assert says in message


def test_a_table_of_users_is_refused_whatever_kind_it_is_said_to_be(raw, given, kept):
    file = ndjson(given / f"users_{DAY}.json", [event()])
    assert "a table of users" in refused(raw, kept, file, kind=Kind.DAILY)


def test_rows_of_another_day_than_the_name_s_are_refused(raw, given, kept):
    mixed = [event(0), event(1, OTHER), event(2, OTHER)]
    file = ndjson(given / f"events_{DAY}.json", mixed)
    assert refused(raw, kept, file) == (
        f"{file}, line 2: a row of {OTHER}, but the file is of {DAY} (2 of 3 rows); "
        "name the right day"
    )
    file = parquet(given / f"events_{OTHER}.parquet", columns(2))
    assert refused(raw, kept, file).startswith(f"{file}, row 1: a row of {DAY}, but the file is of")


@pytest.mark.parametrize("text", ["2021-01-29", "20210230", "today", "", "202101"])
def test_an_event_date_that_is_no_day_is_refused(raw, given, kept, text):
    file = ndjson(given / "export.json", [event(0), event(1, text)])
    message = refused(raw, kept, file, kind=Kind.DAILY)
    assert message.startswith(f"{file}, line 2: event_date is {text!r}; it takes a day such as")


@pytest.mark.parametrize("content", [b"", b"[]", b"\n\n \n", b"[\n]\n"])
def test_a_file_without_rows_is_refused(raw, given, kept, content):
    file = given / f"events_{DAY}.json"
    file.write_bytes(content)
    message = refused(raw, kept, file)
    assert message in {f"{file}: no rows in it", f"{file}: the file is empty"}


def test_parquet_without_rows_is_refused(raw, given, kept):
    empty = {
        name: (values[0][:0], values[1]) if isinstance(values, tuple) else values[:0]
        for name, values in columns().items()
    }
    empty |= {n: ([], pa.string()) for n in ("event_date", "event_name", "user_pseudo_id")}
    empty["event_timestamp"] = ([], pa.int64())
    file = parquet(given / f"events_{DAY}.parquet", empty)
    assert refused(raw, kept, file) == f"{file}: no rows in it"


def test_garbage_is_refused_with_the_first_line_that_is_none(raw, given, kept):
    file = given / f"events_{DAY}.ndjson"
    file.write_bytes(random.Random(2).randbytes(5_000))
    assert refused(raw, kept, file).startswith(f"{file}, line 1: ")


def test_a_path_that_is_not_there_and_a_folder_without_files_are_refused(raw, given, kept):
    missing = given / f"events_{DAY}.json"
    assert refused(raw, kept, missing) == f"{missing}: no such file or folder"
    (given / "empty" / "below").mkdir(parents=True)
    assert refused(raw, kept, given / "empty").startswith(f"{given / 'empty'}: no file in it ends")


@pytest.mark.parametrize("name", [f"events_{DAY}.csv", f"events_{DAY}.avro", f"events_{DAY}"])
def test_another_format_is_refused_with_those_that_are_taken(raw, given, kept, name):
    file = given / name
    file.write_text("event_date\n20210129\n")
    assert refused(raw, kept, file).endswith("these are taken: Parquet, NDJSON, a JSON list")


def test_a_day_that_would_lose_rows_is_refused_with_both_counts(raw, given, kept):
    file = ndjson(given / f"events_{DAY}-000000000001.json", [event(0)])
    assert refused(raw, kept, file) == (
        f"{file}: events_{DAY} would have 1 rows, and has 2; load all files of a day in one "
        "command, or say --replace if it has fewer rows now"
    )
    whole = [event(n, OTHER) for n in range(2)]
    file = ndjson(given / "export.ndjson", [event(0), *whole])
    assert f"events_{DAY} would have 1 rows" in refused(raw, kept, file, kind=Kind.DAILY)


def test_rows_and_a_name_that_tell_the_same_table_are_refused(raw, given, kept):
    named = ndjson(given / f"events_{DAY}.json", [event(7)])
    told = ndjson(given / "export.json", [event(8)])
    message = refused(raw, kept, named, told, kind=Kind.DAILY)
    assert message.startswith(f"{told}: has rows of events_{DAY}, which {named} is named after")


def test_one_bad_file_among_many_means_that_nothing_is_loaded(raw, given, kept):
    for day in range(1, 9):
        ndjson(given / f"events_2021020{day}.json", [event(day, f"2021020{day}")])
    ndjson(given / f"events_{DAY}.json", [event(9)])
    bad = ndjson(given / "events_20210205.ndjson", [event(0, "20210205"), event(1, "20210206")])
    assert refused(raw, kept, given).startswith(f"{bad}, line 2: ")


def test_the_bad_one_of_a_table_s_files_is_named(raw, given, kept):
    good = ndjson(given / f"events_{DAY}-0.json", [event(n) for n in range(2_000)])
    late = [event(n) for n in range(2_000)]
    late[1_500] = event(0, geo="Chile")
    bad = ndjson(given / f"events_{DAY}-1.json", late)
    message = refused(raw, kept, good, bad)
    assert message.startswith(f"{bad}, line 1501: geo takes a record")


def test_too_little_memory_is_told_as_such_and_not_as_a_damaged_file(raw, given, kept):
    file = parquet(given / f"events_{DAY}.parquet", columns(20_000))
    message = refused(raw, kept, file, memory_limit="3MB")
    assert message.startswith(f"{file}: failed to allocate")
    assert message.endswith("give it more memory, or fewer rows a file")


def test_a_first_load_that_fails_leaves_no_table(raw, given):
    file = given / f"events_{DAY}.json"
    file.write_text("{")
    with pytest.raises(InputError):
        load_ga4(raw, [file])
    assert bytes_below(raw) == {}
    assert export_files(raw) == []


# --- the loaded tables ----------------------------------------------------------------------------


def test_a_damaged_table_is_named_to_readers_and_loaded_again(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event()])
    load_ga4(raw, [file])
    (raw / f"events_{DAY}.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(InputError, match=f"events_{DAY}.parquet.*load its day again"):
        export_files(raw)
    assert not load_ga4(raw, [file])[0].unchanged
    assert tables(raw) == {DAY: 1}


def test_a_file_that_nobody_loaded_is_refused_by_name(raw):
    parquet(raw / f"events_{DAY}.parquet", columns())
    with pytest.raises(InputError, match=f"events_{DAY}.parquet: not a table that was loaded"):
        export_files(raw)


def test_two_loads_at_once_do_not_mix(raw, given):
    file = ndjson(given / f"events_{DAY}.json", [event()])
    with workplace(raw), pytest.raises(InputError, match="another load is writing it"):
        load_ga4(raw, [file])
    assert load_ga4(raw, [file])[0].rows == 1


CHILD = """
import sys
from itertools import count
from pathlib import Path
from cdp.warehouse.ga4_files import load_ga4

raw, old, new = map(Path, sys.argv[1:])
load_ga4(raw, [old], replace=True)
print("ready", flush=True)
for turn in count():
    load_ga4(raw, [old if turn % 2 else new], replace=True)
"""


def test_a_load_that_is_killed_leaves_the_old_table_or_the_new_one_whole(raw, given):
    old = ndjson(given / "old" / f"events_{DAY}.json", [event(n) for n in range(3_000)])
    new = [event(n, user_id="u") for n in range(4_000)]
    new = ndjson(given / "new" / f"events_{DAY}.json", new)
    pause = random.Random(3)
    for _ in range(6):
        command = [sys.executable, "-c", CHILD, str(raw), str(old), str(new)]
        repository = Path(__file__).resolve().parents[3]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=repository) as child:
            assert child.stdout.readline() == b"ready\n"
            time.sleep(pause.uniform(0, 0.5))
            child.send_signal(signal.SIGKILL)
        found = rows(raw)
        users = {row["user_id"] for row in found}
        assert (len(found), users) in [(3_000, {None}), (4_000, {"u"})]
        assert [row["event_timestamp"] - START for row in found] == list(range(len(found)))
        assert tables(raw) == {DAY: len(found)}
    # What the killed ones left is gone with the next load.
    load_ga4(raw, [old], replace=True)
    assert list(bytes_below(raw)) == [f"events_{DAY}.parquet"]
    assert [path.name for path in raw.iterdir() if path.is_dir()] == []


# --- real exports ---------------------------------------------------------------------------------


def test_three_real_days_load_with_every_row(shared, raw):
    days = sorted((shared / "data" / "ga4_sample").glob("events_*.parquet"))
    loaded = load_ga4(raw, days)
    assert [(table.name, table.rows) for table in loaded] == [
        ("events_20210129", 40_877),
        ("events_20210130", 30_395),
        ("events_20210131", 26_489),
    ]
    assert sum(tables(raw).values()) == 97_761


def typed(kind, value):
    """Return a JSON value as *kind*, as the export means it; fields it leaves out are None."""
    if value is None:
        return None
    if kind.this is exp.DataType.Type.ARRAY:
        return [typed(kind.expressions[0], item) for item in value]
    if kind.this is exp.DataType.Type.STRUCT:
        return {f.name: typed(f.args["kind"], value.get(f.name)) for f in kind.expressions}
    plain = {"BIGINT": int, "DOUBLE": float, "BOOLEAN": lambda v: str(v).lower() == "true"}
    return plain.get(kind.this.name, str)(value)


def unknown(kind, value, path):
    if kind is None:
        return {path}
    if isinstance(value, list):
        return set().union(*(unknown(kind.expressions[0], item, path) for item in value))
    if isinstance(value, dict):
        fields = {f.name: f.args["kind"] for f in kind.expressions}
        return set().union(*(unknown(fields.get(n), v, f"{path}.{n}") for n, v in value.items()))
    return set()


def integers(value):
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from integers(item)
    elif isinstance(value, int):
        yield value


def test_real_rows_as_json_load_without_loss(shared, raw):
    file = shared / "data" / "ga4_sample" / "real_rows_2022_2023.ndjson"
    source = [json.loads(line) for line in file.read_text().splitlines()]
    loaded = load_ga4(raw, [file], kind=Kind.DAILY)
    assert (len(loaded), sum(table.rows for table in loaded)) == (5, 16)
    schema = ga4_schema()
    left_out = set().union(*(unknown(schema.get(n), v, n) for r in source for n, v in r.items()))
    assert {path for table in loaded for path in table.unknown} == left_out
    wanted = [{name: typed(kind, row.get(name)) for name, kind in schema.items()} for row in source]
    found = [row for table in loaded for row in rows(raw, table.name.removeprefix("events_"))]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)
    assert any(abs(number) > 2**53 for number in integers(found))
    assert all(math.isfinite(number) for number in integers(found))

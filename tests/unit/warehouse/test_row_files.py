import csv
import gzip
import io
import json
from datetime import UTC, datetime

import duckdb
import pytest

from cdp.domain.errors import InputError
from cdp.warehouse.row_files import load_rows as load_rows_at

NOW = datetime(2026, 11, 24, 21, tzinfo=UTC)
PURPOSES = ("analytics", "marketing", "personalization")
LINK = {
    "a_type": "user_id",
    "a_value": "u1",
    "b_type": "email",
    "b_value": "ana@example.com",
    "at": "2026-10-31T08:00:00Z",
    "source": "crm",
}
DECISION = {
    "type": "email",
    "value": "ana@example.com",
    "purpose": "marketing",
    "state": "granted",
    "at": "2026-10-31T08:00:00Z",
    "source": "preference_centre",
}


def as_ndjson(records):
    return "".join(json.dumps(record) + "\n" for record in records)


def as_list(records):
    return json.dumps(records, indent=1)


def as_csv(records):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


FORMATS = {"x.ndjson": as_ndjson, "x.jsonl": as_ndjson, "x.json": as_list, "x.csv": as_csv}


def load_rows(raw, table, paths, **more):
    """Load at NOW, under a policy of PURPOSES."""
    return load_rows_at(raw, table, paths, purposes=PURPOSES, now=NOW, **more)


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "home" / "raw"


@pytest.fixture
def given(tmp_path):
    """Write input under a name and return its path."""

    def write(name, content):
        path = tmp_path / "given" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def rows(raw, table="raw_link"):
    files = sorted(str(file) for file in (raw / table).glob("*.parquet"))
    with duckdb.connect() as db:
        cursor = db.execute("SELECT * FROM read_parquet(?)", [files])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def bytes_below(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


# --- what loads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_links_load_from_every_format(raw, given, name, packed):
    content = FORMATS[name]([LINK, {**LINK, "a_value": "u2"}]).encode()
    file = given(name + ".gz" * packed, gzip.compress(content) if packed else content)
    (loaded,) = load_rows(raw, "raw_link", [file], by="ada")
    assert (loaded.path, loaded.rows, loaded.unchanged) == (file, 2, False)
    first = next(row for row in rows(raw) if row["a_value"] == "u1")
    line = 2 if name.endswith("csv") else 1
    assert isinstance(first.pop("loaded_at"), datetime)
    assert first == {
        "a_type": "user_id",
        "a_value": "u1",
        "b_type": "email",
        "b_value": "ana@example.com",
        "seen_at": datetime(2026, 10, 31, 8),  # noqa: DTZ001
        "source": "crm",
        "consent": "unknown",
        "name": file.name,
        "line": line,
        "loaded_by": "ada",
    }


@pytest.mark.parametrize("name", FORMATS)
def test_decisions_load_from_every_format(raw, given, name):
    file = given(name, FORMATS[name]([DECISION, {**DECISION, "state": "denied"}]))
    assert load_rows(raw, "raw_decision", [file])[0].rows == 2
    found = rows(raw, "raw_decision")
    assert sorted(row["state"] for row in found) == ["denied", "granted"]
    assert found[0]["decided_at"] == datetime(2026, 10, 31, 8)  # noqa: DTZ001
    assert found[0]["purpose"] == "marketing"


def test_consent_counts_though_the_first_record_leaves_it_out(raw, given):
    records = [LINK, {**LINK, "consent": "granted"}, {**LINK, "consent": "denied"}]
    load_rows(raw, "raw_link", [given("x.ndjson", as_ndjson(records))])
    assert [row["consent"] for row in rows(raw)] == ["unknown", "granted", "denied"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("empty", ["", " ", None])
def test_a_link_that_states_no_consent_is_unknown(raw, given, name, empty):
    file = given(name, FORMATS[name]([{**LINK, "consent": empty}]))
    load_rows(raw, "raw_link", [file])
    assert rows(raw)[0]["consent"] == "unknown"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-10-31T08:00:00Z", "2026-10-31 08:00:00"),
        ("2026-10-31T08:00:00", "2026-10-31 08:00:00"),
        ("2026-10-31 08:00", "2026-10-31 08:00:00"),
        ("2026-10-31", "2026-10-31 00:00:00"),
        ("2026-10-31T08:00:00+02:00", "2026-10-31 06:00:00"),
        ("2026-10-31T08:00:00-0330", "2026-10-31 11:30:00"),
        ("2026-01-01T00:30:00+01", "2025-12-31 23:30:00"),
        ("2026-10-31 08:00:00 UTC", "2026-10-31 08:00:00"),
        ("2026-10-31T08:00:00.123456Z", "2026-10-31 08:00:00.123456"),
        ("  2026-10-31T08:00:00Z ", "2026-10-31 08:00:00"),
    ],
)
@pytest.mark.parametrize("name", ["x.ndjson", "x.csv"])
def test_times_become_utc_and_one_without_a_zone_is_utc(raw, given, name, text, utc):
    load_rows(raw, "raw_link", [given(name, FORMATS[name]([{**LINK, "at": text}]))])
    assert str(rows(raw)[0]["seen_at"]) == utc


def test_values_keep_their_text_but_lose_the_space_around_it(raw, given):
    huge = "12345678901234567890123"
    line = json.dumps({**LINK, "a_value": "@"}).replace('"@"', huge)
    spaced = {**LINK, "a_value": "  007 ", "b_value": "Ana, née\n“X”"}
    load_rows(raw, "raw_link", [given("x.ndjson", line + "\n" + as_ndjson([spaced]))])
    first, second = rows(raw)
    assert first["a_value"] == huge
    assert (second["a_value"], second["b_value"]) == ("007", "Ana, née\n“X”")


def test_csv_from_excel_loads(raw, given):
    text = (
        "\ufeffsource,note,a_type,a_value,b_type,b_value,at\r\n"
        'crm,"said ""no"", twice",user_id,"u,1",email,"a\r\nb",2026-10-31\r\n'
        "\r\n"
        "crm,,user_id,u2,email,b,2026-10-31"
    )
    assert load_rows(raw, "raw_link", [given("x.csv", text)])[0].rows == 2
    first, second = rows(raw)
    assert (first["a_value"], first["b_value"]) == ("u,1", "a\r\nb")
    assert (second["a_value"], second["source"]) == ("u2", "crm")


def test_columns_that_are_not_read_do_no_harm(raw, given):
    load_rows(raw, "raw_link", [given("x.ndjson", as_ndjson([{**LINK, "extra": {"a": [1]}}]))])
    assert "extra" not in rows(raw)[0]


def test_a_folder_is_all_the_files_in_it(raw, given):
    given("a.csv", as_csv([LINK]))
    folder = given("b.ndjson", as_ndjson([{**LINK, "a_value": "u2"}])).parent
    assert [file.rows for file in load_rows(raw, "raw_link", [folder])] == [1, 1]
    assert len(rows(raw)) == 2


def test_what_a_folder_holds_besides_is_told(raw, given):
    given("README.txt", "not ours")
    given(".DS_Store", "nobody's")
    folder = given("a.csv", as_csv([LINK])).parent
    (folder / "more.json").mkdir()
    told = []
    load_rows(raw, "raw_link", [folder], skipped=told.append)
    assert told == [folder / "README.txt", folder / "more.json"]


def test_the_same_content_twice_is_one_file(raw, given):
    first = given("a.ndjson", as_ndjson([LINK]))
    same = given("b.ndjson", as_ndjson([LINK]))
    told = load_rows(raw, "raw_link", [first, same])
    assert [(file.rows, file.unchanged) for file in told] == [(1, False), (1, True)]
    before = set(bytes_below(raw))
    assert [file.unchanged for file in load_rows(raw, "raw_link", [same])] == [True]
    assert set(bytes_below(raw)) == before
    assert len(rows(raw)) == 1


def test_another_file_adds_to_what_was_loaded(raw, given):
    load_rows(raw, "raw_link", [given("a.ndjson", as_ndjson([LINK]))])
    load_rows(raw, "raw_link", [given("a.ndjson", as_ndjson([{**LINK, "a_value": "u2"}]))])
    assert sorted(row["a_value"] for row in rows(raw)) == ["u1", "u2"]


def test_only_the_owner_may_read_what_was_loaded(raw, given):
    load_rows(raw, "raw_link", [given("a.ndjson", as_ndjson([LINK]))])
    (file,) = (raw / "raw_link").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


# --- what is refused ------------------------------------------------------------------------------


@pytest.fixture
def refused(raw, given):
    """Return the message of a load that must fail and change nothing."""
    load_rows(raw, "raw_link", [given("before.ndjson", as_ndjson([LINK]))])
    load_rows(raw, "raw_decision", [given("before.ndjson", as_ndjson([DECISION]))])
    before = bytes_below(raw)

    def run(*paths, table="raw_link"):
        with pytest.raises(InputError) as error:
            load_rows(raw, table, list(paths))
        assert bytes_below(raw) == before
        assert not [path for path in raw.glob("*/*") if path.is_dir()]
        return str(error.value)

    return run


LONG = "x" * 1025
TYPES = "one of user_id, email, phone, client_id"
TEXT = "text of 1 to 1024 characters"
TIME = "an ISO 8601 time such as 2026-10-31T08:00:00Z"
WRONG = [
    ("raw_link", LINK, "a_type", "device", TYPES),
    ("raw_link", LINK, "b_type", "EMAIL", TYPES),
    ("raw_link", LINK, "a_value", "", TEXT),
    ("raw_link", LINK, "a_value", "  ", TEXT),
    ("raw_link", LINK, "b_value", LONG, TEXT),
    ("raw_link", LINK, "source", "", TEXT),
    ("raw_link", LINK, "consent", "yes", "granted, denied or unknown"),
    ("raw_decision", DECISION, "type", "cookie", TYPES),
    ("raw_decision", DECISION, "value", "", TEXT),
    ("raw_decision", DECISION, "purpose", "", TEXT),
    ("raw_decision", DECISION, "state", "unknown", "granted or denied"),
    ("raw_decision", DECISION, "source", "", TEXT),
    *[
        ("raw_link", LINK, "at", text, TIME)
        for text in (
            "",
            "yesterday",
            "31.10.2026",
            "10/31/2026",
            "2026-02-30",
            "2026-10-31T25:00:00Z",
            "1761897600",
            "infinity",
            "epoch",
            "0000-01-01",
            "2026-10-31 08:00:00 Europe/Berlin",
            "2026-10-31 (BC)",
        )
    ],
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w[0]}.{w[2]}={w[3][:20]!r}")
def test_a_wrong_value_is_refused_with_line_column_and_what_it_takes(refused, given, wrong):
    table, good, column, value, takes = wrong
    good = {column: good.get(column, "granted"), **good}
    records = [good, good, {**good, column: value}, good, {**good, column: value}]
    shown = f"{value!r}"[:80] if value else "'"
    lines = as_ndjson(records).splitlines()
    file = given("x.ndjson", "\n".join([*lines[:2], "", " ", *lines[2:]]))
    message = refused(file, table=table)
    assert message.startswith(f"{file}, line 5: {column} is {shown}"), message
    assert message.endswith(f"; it takes {takes} (2 of 5 rows)")
    # The second record takes two lines, for its note has a line break in it.
    noted = [{**record, "note": "a\nb" if n == 1 else ""} for n, record in enumerate(records)]
    file = given("x.csv", "\n".join(as_csv(noted).split("\r\n")).replace("a\nb", "a\n\nb"))
    message = refused(file, table=table)
    assert message.startswith(f"{file}, line 6: {column} is {shown}"), message
    assert message.endswith(f"; it takes {takes} (2 of 5 rows)")


@pytest.mark.parametrize("name", ["x.ndjson", "x.csv"])
@pytest.mark.parametrize("purpose", ["Marketing", "marketng", "everything"])
def test_a_purpose_that_the_policy_has_not_is_refused_with_those_it_has(
    refused, given, name, purpose
):
    records = [DECISION, {**DECISION, "purpose": purpose}]
    file = given(name, FORMATS[name](records))
    line = 2 + (name == "x.csv")
    assert refused(file, table="raw_decision") == (
        f"{file}, line {line}: purpose is {purpose!r}; it takes one of the policy's purposes: "
        "analytics, marketing, personalization (1 of 2 rows)"
    )


@pytest.mark.parametrize(("table", "good"), [("raw_link", LINK), ("raw_decision", DECISION)])
@pytest.mark.parametrize(
    "at", ["2099-01-01", "2026-11-24T21:05:01Z", "2026-11-24T22:00:00+00:30", "2026-11-25"]
)
def test_a_time_after_now_is_refused_with_its_line(refused, given, table, good, at):
    file = given("x.ndjson", as_ndjson([good, {**good, "at": at}]))
    assert refused(file, table=table) == (
        f"{file}, line 2: at is {at!r}; it takes no time after now (2026-11-24T21:00Z): what has "
        "not happened yet would stand above all that does (1 of 2 rows)"
    )


@pytest.mark.parametrize("at", ["2026-11-24T21:05:00Z", "2026-11-24T23:04:00+02:00"])
def test_a_clock_that_is_a_little_ahead_is_tolerated(raw, given, at):
    load_rows(raw, "raw_link", [given("x.ndjson", as_ndjson([{**LINK, "at": at}]))])
    assert len(rows(raw)) == 1


@pytest.mark.parametrize("value", [None, {"x": 1}, [], ["u1"]])
def test_json_that_is_no_value_is_refused(refused, given, value):
    file = given("x.json", as_list([LINK, {**LINK, "a_value": value}]))
    message = refused(file)
    assert message.startswith(f"{file}, line 10: a_value is ")
    assert message.endswith(f"{TEXT} (1 of 2 rows)")


@pytest.mark.parametrize("name", ["consent", "source", "at"])
def test_a_record_or_a_list_is_no_value_of_any_column(refused, given, name):
    file = given("x.ndjson", as_ndjson([{**LINK, name: {"a": 1}}]))
    assert f"line 1: {name} is {{'a': 1}}; it takes" in refused(file)


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_column_is_refused_with_those_that_are_read(refused, given, name):
    lacking = {key: value for key, value in LINK.items() if key not in {"at", "source"}}
    file = given(name, FORMATS[name]([lacking]))
    assert refused(file) == (
        f"{file}, line 1: no column at, source; these are read: "
        "a_type, a_value, b_type, b_value, at, source, consent"
    )


def test_a_record_that_lacks_a_value_is_refused_with_its_line(refused, given):
    lacking = {key: value for key, value in LINK.items() if key != "at"}
    file = given("x.ndjson", as_ndjson([LINK, LINK, lacking]))
    assert refused(file).startswith(f"{file}, line 3: at is missing; it takes an ISO 8601")


HEADER = ",".join(LINK) + "\n"
GOOD = ",".join(LINK.values()) + "\n"


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (HEADER + GOOD + "user_id,u1,email\n", 3, "3 values, but the header names 6 columns"),
        (HEADER + GOOD + GOOD.replace("u1", "u,1"), 3, "7 values, but the header names 6 columns"),
        (HEADER + GOOD + GOOD.replace("u1", '"u1') + GOOD, 3, "not CSV"),
        (HEADER + GOOD + GOOD.replace("u1", '"u1"x'), 3, "not CSV"),
        (HEADER.replace("source", "at") + GOOD, 1, "the column at is there twice"),
        (HEADER.replace(",", ";") + GOOD, 1, "no column a_type"),
        ("\n" + HEADER + GOOD, 1, "no column a_type"),
        ((HEADER + GOOD + GOOD.replace("u1", "ü")).encode("latin-1"), 3, "not UTF-8"),
    ],
)
def test_csv_that_is_not_whole_is_refused_with_its_line(refused, given, text, line, says):
    file = given("x.csv", text)
    message = refused(file)
    assert message.startswith(f"{file}, line {line}: "), message
    assert says in message


def test_csv_whose_lines_end_in_different_ways_is_refused(refused, given):
    file = given("x.csv", HEADER + GOOD.replace("\n", "\r\n") + GOOD)
    assert "all lines must end alike" in refused(file)


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_a_half_written_line_is_refused_with_its_number(refused, given, broken):
    lines = as_ndjson([LINK, LINK, LINK]).splitlines()
    lines[broken - 1] = lines[broken - 1][:30]
    file = given("x.ndjson", "\n".join(lines))
    assert refused(file).startswith(f"{file}, line {broken}: not a whole JSON record: ")


def test_a_truncated_gzip_is_refused(refused, given):
    whole = gzip.compress(as_csv([LINK] * 50).encode())
    file = given("x.csv.gz", whole[:-9])
    assert "cannot be read to its end" in refused(file)


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.csv", ""), ("x.csv", HEADER), ("x.ndjson", ""), ("x.ndjson", "\n\n"), ("x.json", "[]")],
)
def test_a_file_without_rows_is_refused(refused, given, name, text):
    file = given(name, text)
    assert refused(file) in {f"{file}: no rows in it", f"{file}: the file is empty"}


def test_another_format_is_refused_with_those_that_are_taken(refused, given):
    message = refused(given("x.parquet", "PAR1"))
    assert message.endswith("these are taken: NDJSON, a JSON list, CSV")


def test_one_bad_file_among_many_means_that_nothing_is_loaded(refused, given):
    good = [given(f"{n}.csv", as_csv([{**LINK, "a_value": f"u{n}"}])) for n in range(1, 4)]
    bad = given("9.csv", as_csv([{**LINK, "at": "never"}]))
    assert refused(*good, bad).startswith(f"{bad}, line 2: at is 'never'")

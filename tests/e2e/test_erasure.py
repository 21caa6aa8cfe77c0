"""Erasure: found by nothing afterwards, brought back by nothing, and nobody else is touched."""

import json
import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp.refresh.ingest import parse_row
from tests.e2e.support import Cdp, event
from tests.e2e.test_refresh import decision, link, profile_of

Write = Callable[..., Path]
DAYS = ("20261001", "20261002")
AT = "2026-10-02T08:00:00Z"
HERS = ("1000000001.1700000001", "user-gone-1", "gone.away@example.org", "+33612345678")
"""A client, a user id, an address and a number: all of one person."""
HIS = ("1000000002.1700000002", "user-stays-2", "stays.here@example.org", "+33698765432")
SHARED = "1000000003.1700000003"


def rows(day: str) -> list[dict[str, Any]]:
    her, him = HERS[0], HIS[0]
    told = [{"key": "page_location", "value": {"string_value": f"https://x.org/?to={HERS[2]}"}}]
    return [
        event(day, her, user=HERS[1], at=0),
        event(day, her, at=60, name="purchase", ecommerce={"transaction_id": f"T{day}"}),
        event(day, him, user=HIS[1], at=10),
        event(day, SHARED, user=HERS[1], at=20, session=7),
        event(day, SHARED, user=HIS[1], at=4000, session=8),
        event(day, him, at=70, name="invite", event_params=told),
    ]


def links() -> list[dict[str, Any]]:
    return [
        link(("user_id", person[1]), (type_, value), consent="granted")
        for person in (HERS, HIS)
        for type_, value in (("email", person[2]), ("phone", person[3]))
    ] + [link(("email", HERS[2].upper()), ("client_id", HERS[0]), consent="granted")]


def decisions() -> list[dict[str, Any]]:
    return [
        decision("email", person[2], "marketing", "granted", AT, "crm") for person in (HERS, HIS)
    ] + [decision("phone", "00 33 6 12 34 56 78", "marketing", "granted", AT, "crm")]


@pytest.fixture
def property_(write: Write) -> dict[str, list[Path]]:
    return {
        "ga4": [write(f"events_{day}.ndjson", rows(day)) for day in DAYS],
        "links": [write("links.ndjson", links())],
        "consent": [write("consent.ndjson", decisions())],
    }


@pytest.fixture
def both(cdp: Cdp, property_: dict[str, list[Path]]) -> Cdp:
    """A home in which both people are known."""
    load(cdp, property_)
    assert cdp.refresh()["state"] == "succeeded"
    assert profile_of(cdp, HERS[2])["identifiers"]["phone"] == [HERS[3]]
    return cdp


def load(cdp: Cdp, files: dict[str, list[Path]], *options: str) -> str:
    return "".join(
        cdp.run("load", kind, *paths, *(options if kind == "ga4" else ()))
        for kind, paths in files.items()
    )


def erase(cdp: Cdp, *identifiers: str, code: int = 0) -> dict[str, Any]:
    told = cdp.run(
        "erase", *identifiers, "--reason", "asked by letter", "--confirm", identifiers[0], "--json",
        code=code,
    )  # fmt: skip
    return json.loads(told.splitlines()[-1])


def traces(home: Path, values: Iterable[str] = HERS) -> list[str]:
    """Return where any of the values stands: in a file's bytes, or in a row of a table or file."""
    found = []
    for file in sorted(path for path in home.rglob("*") if path.is_file()):
        try:
            content = file.read_bytes().lower()
        except FileNotFoundError:  # SQLite's log, which goes with its last connection
            continue
        found += [f"{file.name}: {value}" for value in values if value.lower().encode() in content]
        for name, text in _tables(file):
            found += [f"{file.name}, {name}: {value}" for value in values if value.lower() in text]
    return found


def _tables(file: Path) -> Iterable[tuple[str, str]]:
    with closing(duckdb.connect()) as db:
        if file.suffix == ".parquet":
            names = {"rows": f"read_parquet('{file}')"}
        elif file.suffix == ".duckdb":
            db.execute(f"ATTACH '{file}' AS held (READ_ONLY)")
            listed = "SELECT table_name FROM duckdb_tables() WHERE database_name = 'held'"
            names = {name: f'held."{name}"' for (name,) in db.execute(listed).fetchall()}
        else:
            return
        for name, table in names.items():
            every = db.execute(f"SELECT CAST(t AS VARCHAR) FROM {table} AS t").fetchall()
            yield name, "\n".join(row for (row,) in every).lower()


def his(cdp: Cdp) -> dict[str, Any]:
    body = profile_of(cdp, HIS[2])
    return {key: value for key, value in body.items() if key != "sync"}


def test_a_preview_shows_what_would_go_and_deletes_nothing(both: Cdp) -> None:
    told = both.json("erase", HERS[2], "--preview")
    assert {one["value"].rpartition("/")[2] for one in told["identifiers"]} == set(HERS)
    assert told["documents"] == told["profiles"]
    assert told["rows"]["events"] == 6
    assert told["rows"]["consent_statement"] >= 3
    assert profile_of(both, HERS[2])
    assert "nothing was erased" in both.run("erase", HERS[2], "--confirm", "x", code=1)
    assert "is nobody's" in both.run("erase", " ", "--confirm", " ", "--reason", "none", code=1)
    assert "say why" in both.run("erase", HERS[2], "--confirm", HERS[2], code=1)
    assert profile_of(both, HERS[2])
    assert both.json("erasures") == []


def test_who_was_erased_is_found_by_nothing_and_nobody_else_is_touched(both: Cdp) -> None:
    said = ("--state", "denied", "--channel", "email", "--reason", "she wrote")
    both.run("decide", HERS[2], "--purpose", "marketing", *said)
    before = his(both)
    assert traces(both.home)
    outcome = erase(both, HERS[3])
    assert outcome["state"] == "done"
    assert traces(both.home) == []
    assert his(both) == before
    assert traces(both.home, [HIS[2]])
    both.run("profile", HERS[1], code=1)
    again = both.run("decide", HERS[2], "--purpose", "marketing", *said, code=1)
    assert "was erased" in again
    assert both.run("probe").count("found nowhere") == 4
    (listed,) = both.json("erasures")
    assert (listed["state"], listed["profiles"]) == ("done", 1)
    assert traces(both.home, ["asked by letter"]), "the audit log says why"


UNASKED = "1000000009.1700000009"
"""A client that nobody asked for consent: it is counted, and in no profile."""


@pytest.mark.parametrize("only", [(), ("--only",)])
def test_a_device_in_no_profile_is_erased_by_its_bare_id(
    cdp: Cdp, property_: dict[str, list[Path]], write: Write, only: tuple[str, ...]
) -> None:
    unasked = [
        event(DAYS[0], UNASKED, analytics=None, ads=None, at=90),
        event(DAYS[0], UNASKED, analytics=None, ads=None, at=95, name="purchase"),
    ]
    property_["ga4"][0] = write(f"events_{DAYS[0]}.ndjson", rows(DAYS[0]) + unasked)
    load(cdp, property_)
    cdp.refresh()
    before = his(cdp)
    told = cdp.json("erase", UNASKED, *only, "--preview")
    assert told["rows"] == {"events": 2, "session_day": 1, "purchase": 1}
    assert "session_day" in cdp.run("probe", UNASKED, code=1)
    erase(cdp, UNASKED, *only)
    assert traces(cdp.home, [UNASKED]) == []
    assert cdp.run("probe").count("found nowhere") == 4
    assert his(cdp) == before


def test_what_is_left_out_of_a_shared_device_is_only_hers(both: Cdp) -> None:
    erase(both, HERS[2])
    both.refresh()
    with closing(both.platform.published()) as warehouse:
        shared = "select user_id, count(*) as n from events where client_id = @id group by 1"
        held = {
            row["user_id"]: row["n"] for row in warehouse.query(shared, {"id": SHARED}).to_dicts()
        }
    assert held == {HIS[1]: 2}


@pytest.mark.parametrize("how", ["again", "restated", "full", "policy", "warehouse", "everything"])
def test_nothing_brings_them_back(
    both: Cdp, property_: dict[str, list[Path]], tmp_path: Path, how: str
) -> None:
    erase(both, HERS[2])
    cdp = both
    match how:
        case "again":
            load(cdp, property_)
        case "restated":
            for file in (file for files in property_.values() for file in files):
                file.write_text(file.read_text() + "\n")
            told = load(cdp, property_)
            assert "of people who were erased were left out" in told
        case "policy":
            cdp = Cdp(cdp.home, {**cdp.env, "CDP_POLICY": str(_policy(tmp_path))})
        case "warehouse":
            for name in ("warehouse.duckdb", "published.duckdb"):
                (cdp.home / name).unlink()
        case "everything":
            for name in ("warehouse.duckdb", "published.duckdb"):
                (cdp.home / name).unlink()
            shutil.rmtree(cdp.home / "raw")
            told = load(cdp, property_)
            assert "of people who were erased were left out" in told
    assert cdp.refresh("--full")["state"] == "succeeded"
    assert traces(cdp.home) == []
    assert profile_of(cdp, HIS[2])
    cdp.run("probe")


def _policy(folder: Path) -> Path:
    shipped = Path(__file__).parents[2] / "cdp" / "domain" / "policy.toml"
    file = folder / "policy.toml"
    text = shipped.read_text("utf-8").replace('unknown = "denied"', 'unknown = "granted"')
    file.write_text(text.replace('unstated = "denied"', 'unstated = "granted"'), "utf-8")
    return file


def test_an_old_shard_that_comes_again_brings_nothing_back(both: Cdp) -> None:
    ((id, body),) = [
        (id, body)
        for id, body in both.documents().items()
        if HERS[1] in body.get("identifiers", {}).get("user_id", [])
    ]
    erase(both, HERS[2])
    platform = both.platform
    for seq in (1, 2, 10**6):
        row = {"profile_id": id, "seq": seq, "hash": "h", "set": {"ga4": body["ga4"]}}
        merge = parse_row(json.dumps(row).encode(), run="old", at="t")
        assert platform.documents.merge("profiles", [merge]) == ["unchanged"]
    assert platform.documents.get("profiles", id).body.keys() == {"sync"}


def test_an_erasure_waits_for_another_admin_where_the_policy_says_so(
    both: Cdp, tmp_path: Path
) -> None:
    shipped = Path(__file__).parents[2] / "cdp" / "domain" / "policy.toml"
    text = shipped.read_text("utf-8").replace("approval = false", "approval = true")
    file = tmp_path / "policy.toml"
    file.write_text(text, "utf-8")
    cdp = Cdp(both.home, {**both.env, "CDP_POLICY": str(file)})
    assert erase(cdp, HERS[2])["state"] == "awaiting approval"
    cdp.refresh()
    assert profile_of(cdp, HERS[2])
    assert "cannot approve" in cdp.run("approve", "000001", code=1)


def test_one_identifier_alone_leaves_the_rest_of_the_person(both: Cdp) -> None:
    told = both.run(
        "erase", HERS[3], "--only", "--reason", "the number alone", "--confirm", HERS[3]
    )
    assert "is done" in told
    both.refresh()
    assert traces(both.home, [HERS[3], "0033612345678"]) == []
    left = profile_of(both, HERS[2])
    assert left["identifiers"]["user_id"] == [HERS[1]]
    assert "phone" not in left["identifiers"]


def test_somebody_nothing_is_held_of_is_kept_out_when_they_come(
    cdp: Cdp, property_: dict[str, list[Path]]
) -> None:
    for value in HERS:
        erase(cdp, value)
    told = load(cdp, property_)
    assert "of people who were erased were left out" in told
    cdp.refresh()
    assert traces(cdp.home) == []


def test_a_receipt_is_signed_and_tells_where_it_was_changed(both: Cdp, tmp_path: Path) -> None:
    erase(both, HERS[2])
    receipt = tmp_path / "receipt.json"
    both.run("probe", "--out", receipt)
    assert "this deployment's key" in both.run("verify", receipt)
    body = json.loads(receipt.read_text())
    assert body["found"] == 0
    receipt.write_text(json.dumps({**body, "tombstones": 0}))
    assert "changed after it was signed" in both.run("verify", receipt, code=1)
    receipt.write_text("{}")
    assert "no signed receipt" in both.run("verify", receipt, code=1)
    found = json.loads(both.run("probe", HIS[2], "--json", code=1).splitlines()[-1])
    assert found["found"] > 0, "he is held, and the probe finds him"

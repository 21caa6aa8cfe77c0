"""A data folder, and a dataset, of an earlier release end in what fresh ones end in."""

import json
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cdp.profiles.port import Put
from cdp.warehouse.bigquery_values import storage
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.row_files import RAW_TABLES
from cdp.warehouse.statements import cleaned, made, migrations
from tests.cloud.project import Project, project
from tests.e2e.support import ROOT, Cdp

KEPT = ROOT / "tests" / "fixtures" / "home-6e3a266.tar.xz"
ENV = {"CDP_DEPLOYMENT": "embedded", "CDP_DELIVERY_BACKOFF": "0.1"}
# As no release stores these tables: BigQuery refuses to replace them.
OTHERWISE = {"edge": "cluster by b_id", "permit": "", "events": "partition by event_date"}


@dataclass
class Earlier:
    """What the release left: its home, files that came later, and how its tables were stored."""

    cdp: Cdp
    later: Path
    storage: dict[str, str]
    documents: dict[str, dict[str, Any]]

    def load_later(self, cdp: Cdp) -> None:
        cdp.run("load", "ga4", *sorted(self.later.glob("*.parquet")))
        cdp.run("load", "links", self.later / "web_links.csv")


def unpack(folder: Path) -> Earlier:
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    cdp = Cdp(folder / "home", ENV)
    storage = json.loads((folder / "storage.json").read_text("utf-8"))
    return Earlier(cdp, folder / "later", storage, cdp.documents())


@pytest.fixture
def earlier(tmp_path: Path) -> Earlier:
    return unpack(tmp_path)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The documents of a home that loads the same files under the same salt, by this release."""
    folder = tmp_path_factory.mktemp("fresh")
    before, cdp = unpack(folder), Cdp(folder / "made", ENV)
    cdp.home.mkdir()
    for name in ("raw", "salt"):
        shutil.move(before.cdp.home / name, cdp.home / name)
    before.load_later(cdp)
    assert cdp.refresh()["state"] == "succeeded"
    return bodies(cdp.documents())


def bodies(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return documents without the run that wrote them."""
    return {
        id: {**body, "sync": {k: v for k, v in body["sync"].items() if k in {"hash", "state"}}}
        for id, body in documents.items()
    }


def holding(documents: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return those that hold something besides consent: a fresh home never had the others."""
    return {id: body for id, body in documents.items() if body.keys() - {"consent", "sync"}}


def applied(warehouse: Any) -> list[str]:
    return warehouse.query("select name from migration order by name", {})["name"].to_list()


# --- embedded -------------------------------------------------------------------------------------


def test_a_home_of_an_earlier_release_changes_no_document_but_by_the_rule_of_consent(
    earlier: Earlier,
) -> None:
    outcome = earlier.cdp.refresh()
    assert (outcome["state"], outcome["written"]) == ("succeeded", 1)
    assert len(earlier.documents) > 10
    found = earlier.cdp.documents()
    (changed,) = [id for id, body in earlier.documents.items() if found[id] != body]
    # A signal of the export speaks for its device, no longer for the user id beside it.
    assert earlier.documents[changed]["identifiers"]["user_id"]
    assert found[changed].keys() == {"consent", "sync"}
    assert earlier.cdp.refresh()["nothing_new"] is True
    with closing(earlier.cdp.platform.published()) as warehouse:
        assert applied(warehouse) == list(migrations())


def test_a_home_of_an_earlier_release_ends_in_the_documents_of_a_fresh_one(
    earlier: Earlier, fresh: dict[str, dict[str, Any]]
) -> None:
    earlier.load_later(earlier.cdp)
    assert earlier.cdp.refresh()["state"] == "succeeded"
    found = bodies(earlier.cdp.documents())
    assert holding(found) == fresh
    assert found != bodies(earlier.documents)
    assert found.keys() >= earlier.documents.keys(), "nobody has another id"


def test_days_are_cleaned_again_where_the_earlier_tables_had_other_columns(
    earlier: Earlier, fresh: dict[str, dict[str, Any]]
) -> None:
    with duckdb.connect(str(earlier.cdp.home / "warehouse.duckdb")) as db:
        db.execute("ALTER TABLE session_day DROP COLUMN country")
        db.execute("ALTER TABLE events ADD COLUMN colour VARCHAR")
    earlier.load_later(earlier.cdp)
    assert earlier.cdp.refresh()["state"] == "succeeded"
    assert holding(bodies(earlier.cdp.documents())) == fresh
    with closing(DuckWarehouse(earlier.cdp.home, memory_limit="500MB", threads=1)) as warehouse:
        stands = warehouse.shapes()
    assert {n: stands[n].columns for n in cleaned()} == {n: s.columns for n, s in cleaned().items()}


def test_a_home_of_a_newer_release_is_refused_with_the_fix(earlier: Earlier) -> None:
    with duckdb.connect(str(earlier.cdp.home / "warehouse.duckdb")) as db:
        db.execute("CREATE TABLE migration AS SELECT '0999_later' AS name")
    told = earlier.cdp.run("refresh", code=1)
    assert "written by a newer release: 0999_later" in told
    assert "use the release that wrote it" in told
    assert "Traceback" not in told
    assert earlier.cdp.documents() == earlier.documents


# --- on Google Cloud ------------------------------------------------------------------------------


@pytest.fixture
def hosts(
    firestore_emulator: str, pubsub_emulator: str, strict_storage_emulator: str
) -> dict[str, str]:
    return {
        "FIRESTORE_EMULATOR_HOST": firestore_emulator,
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "STORAGE_EMULATOR_HOST": strict_storage_emulator,
    }


@pytest.fixture(params=[{}, OTHERWISE], ids=["as it was declared", "stored otherwise"])
def dataset(
    request: pytest.FixtureRequest, earlier: Earlier, tmp_path: Path, hosts: dict[str, str]
) -> Iterator[Project]:
    """A project with the earlier release's tables, as it left and published them, and documents."""
    home, here = earlier.cdp.home, earlier.cdp.platform
    with project(tmp_path / "cloud", hosts, salt=here.salt) as cloud:
        server = cloud.warehouse
        server.db.execute(f"ATTACH '{home / 'warehouse.duckdb'}' AS earlier (READ_ONLY)")
        for name, how in {**earlier.storage, **request.param}.items():
            select = f"SELECT * FROM earlier.main.{name}"
            if name in RAW_TABLES:  # their rows stay in files there
                (file,) = (home / "raw" / name).iterdir()
                select = f"SELECT *, '{file.stem}' AS file FROM read_parquet('{file}')"
            for dataset in ("cdp", "cdp_a", "cdp_b"):
                server.make_table(dataset, name, select, how)
        server.db.execute("DETACH earlier")
        server.datasets["cdp"]["labels"] = {"published": "a", "published_version": "1"}
        cloud.platform.documents.commit(
            [
                Put(collection, document.id, document.body)
                for collection in ("meta", "counters", "runs", "receipts", "profiles")
                for document in here.documents.page(collection, limit=1000).documents
            ]
        )
        yield cloud


def test_a_dataset_of_an_earlier_release_ends_in_the_documents_of_a_fresh_home(
    earlier: Earlier, fresh: dict[str, dict[str, Any]], dataset: Project
) -> None:
    dataset.load_export(earlier.cdp.home / "raw")
    outcome = dataset.refresh()
    assert (outcome["state"], outcome["written"]) == ("succeeded", 1)
    found = dataset.documents()
    (changed,) = [id for id, body in earlier.documents.items() if found[id] != body]
    assert found[changed].keys() == {"consent", "sync"}
    assert applied(dataset.platform.published()) == list(migrations())
    earlier.load_later(earlier.cdp)
    dataset.load_export(earlier.cdp.home / "raw")
    dataset.platform.load_rows("raw_link", [earlier.later / "web_links.csv"])
    assert dataset.refresh()["state"] == "succeeded"
    assert holding(bodies(dataset.documents())) == fresh
    stands = {**made(), **cleaned()}
    for name in ("cdp", "cdp_a", "cdp_b"):
        stored = {table.table_id: storage(table.to_api_repr()) for table in listed(dataset, name)}
        wanted = {t: s.storage for t, s in stands.items() if t != "stored"}  # only where recalled
        assert {table: stored[table] for table in wanted} == wanted


def listed(dataset: Project, name: str) -> list[Any]:
    return list(dataset.warehouse.client().list_tables(name))

"""BigQuery's REST API on a loopback port, as far as Google's client and the workflow call it.

Datasets are DuckDB's schemas, and statements go through the project's own dialect. Each job runs
within the call that inserts it. What BigQuery refuses is refused in the shape of Google's errors.
Source: BigQuery REST reference, v2.
"""

import contextlib
import io
import itertools
import json
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import sqlglot
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from sqlglot import exp

from cdp.domain.errors import CdpError
from cdp.warehouse.dialect import PARSING, bind, exported, parameter_types, translate
from cdp.warehouse.rest import parameter_values

TABLE_BYTES = 10 * 2**20
"""What BigQuery bills at least for each table that a query reads."""

_TYPES = {
    "boolean": "BOOLEAN",
    "date": "DATE",
    "decimal": "NUMERIC",
    "double": "FLOAT",
    "timestamp": "TIMESTAMP",
    "varchar": "STRING",
}
_DML = {"insert", "update", "delete", "merge"}


class Refusal(Exception):  # noqa: N818 - reads as what it is
    """An error as BigQuery answers it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason

    @property
    def told(self) -> dict[str, str]:
        return {"reason": self.reason, "message": str(self), "domain": "global"}


class Server:
    """One project's BigQuery; *exporting* takes each file of EXPORT DATA with its URI."""

    def __init__(
        self,
        project: str = "p",
        location: str = "EU",
        exporting: Callable[[str, bytes], None] = lambda uri, data: None,
    ) -> None:
        self.project, self.location, self._exporting = project, location, exporting
        self.db = duckdb.connect()
        self.db.execute("SET TimeZone = 'UTC'")
        self.datasets: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.results: dict[str, tuple[list[Any], list[tuple[Any, ...]]]] = {}
        self.uploads: dict[str, tuple[dict[str, Any], io.BytesIO]] = {}
        self.forbidden: set[str] = set()
        self.lost = 0  # answers to come that get lost, after what they answer was done
        self.failing: dict[str, list[str]] = {}  # statement, or "load": why its next jobs fail
        self._stamps: dict[tuple[str, str], tuple[int, int]] = {}  # created, modified
        self._storages: dict[tuple[str, str], dict[str, Any]] = {}  # as the REST API tells them
        self._last = 0
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self.url = ""

    # --- what tests do by hand --------------------------------------------------------------------

    def client(self) -> bigquery.Client:
        return bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )

    def make_dataset(self, name: str) -> None:
        self.db.execute(f'CREATE SCHEMA "{name}"')
        self.datasets[name] = {"labels": {}, "version": 0}

    def make_table(self, dataset: str, name: str, select: str, storage: str = "") -> None:
        """Create or replace a table by DuckDB's own *select*; *storage* as BigQuery declares it."""
        with self._lock, PARSING:
            self.db.execute(f'CREATE OR REPLACE TABLE "{dataset}"."{name}" AS {select}')
            create = sqlglot.parse_one(f"create table t {storage} as select 1", dialect="bigquery")
            self._storages[(dataset, name)] = _storage(create)
            self._touch(dataset, name)

    def forget(self, dataset: str, table: str) -> None:
        """Drop a table; one that is made later is another one."""
        self.db.execute(f'DROP TABLE "{dataset}"."{table}"')
        self._forgotten(dataset, table)

    def _forgotten(self, dataset: str, table: str) -> None:
        self._stamps.pop((dataset, table), None)
        self._storages.pop((dataset, table), None)

    # --- the API ----------------------------------------------------------------------------------

    def answer(self, method: str, path: str, asked: Mapping[str, str], body: Any) -> Any:
        """Answer a call; *path* is what follows `projects/<project>/`."""
        with self._lock:
            answer = self._routed(method, path.split("/"), asked, body)
            if self.lost:
                self.lost -= 1
                raise Refusal(503, "backendError", "The service is unavailable")
            return answer

    def _routed(  # noqa: PLR0911 - one for each call
        self, method: str, path: Sequence[str], asked: Mapping[str, str], body: Any
    ) -> Any:
        match method, *path:
            case "POST", "jobs":
                return self._insert(body)
            case "POST", "queries":
                return self._query(body)
            case "GET", "jobs":
                return {"jobs": self._listed(asked)}
            case "POST", "jobs", id, "cancel":
                self._found(id)["status"]["state"] = "DONE"
                return {"job": self._found(id)}
            case "GET", "jobs", id:
                return self._found(id)
            case "GET", "queries", id:
                return self._results(id)
            case "GET", "datasets", name:
                return self._dataset(name)
            case "PATCH", "datasets", name:
                return self._patch(name, body, asked.get("If-Match"))
            case "GET", "datasets", name, "tables":
                self._dataset(name)
                return {"tables": [self._table(name, table) for table in self._names(name)]}
            case "GET", "datasets", name, "tables", table:
                return self._table(name, table)
        raise Refusal(501, "notImplemented", f"{method} {'/'.join(path)}")

    def _dataset(self, name: str) -> dict[str, Any]:
        if name not in self.datasets:
            raise self._missing_dataset(name)
        held = self.datasets[name]
        return {
            "kind": "bigquery#dataset",
            "datasetReference": {"projectId": self.project, "datasetId": name},
            "location": self.location,
            "labels": held["labels"],
            "etag": str(held["version"]),
        }

    def _patch(self, name: str, body: Any, match: str | None) -> dict[str, Any]:
        if match not in (None, self._dataset(name)["etag"]):
            raise Refusal(412, "conditionNotMet", "Precondition check failed.")
        held = self.datasets[name]
        labels = held["labels"] | body["labels"]
        held["labels"] = {key: value for key, value in labels.items() if value is not None}
        held["version"] += 1
        return self._dataset(name)

    def _names(self, dataset: str) -> list[str]:
        sql = "SELECT table_name FROM information_schema.tables WHERE table_schema = ? ORDER BY 1"
        names = [row[0] for row in self.db.execute(sql, [dataset]).fetchall()]
        return [name for name in names if name != "__TABLES__"]

    def _table(self, dataset: str, name: str) -> dict[str, Any]:
        self._dataset(dataset)
        if name not in self._names(dataset):
            found = f"{self.project}:{dataset}.{name}"
            raise Refusal(404, "notFound", f"Not found: Table {found}")
        path = f'"{dataset}"."{name}"'
        kind = self.db.execute(
            "SELECT table_type FROM information_schema.tables "
            "WHERE table_schema = ? AND table_name = ?",
            [dataset, name],
        ).fetchall()[0][0]
        columns = self.db.execute(f"SELECT * FROM {path} LIMIT 0").description or ()
        created, modified = self._stamps.get((dataset, name), (0, 0))
        return {
            "kind": "bigquery#table",
            "tableReference": {
                "projectId": self.project,
                "datasetId": dataset,
                "tableId": name,
            },
            "type": "VIEW" if kind == "VIEW" else "TABLE",
            "schema": {"fields": [_field(column[0], column[1]) for column in columns]},
            "numRows": str(self._rows(path)),
            "creationTime": str(created),
            "lastModifiedTime": str(modified),
            "location": self.location,
            **self._storages.get((dataset, name), {}),
        }

    def _rows(self, path: str) -> int:
        return int(self.db.execute(f"SELECT count(*) FROM {path}").fetchall()[0][0])

    def _missing_dataset(self, name: str, location: str | None = None) -> Refusal:
        where = location or self.location
        text = f"Not found: Dataset {self.project}:{name} was not found in location {where}"
        return Refusal(404, "notFound", text)

    def _listed(self, asked: Mapping[str, str]) -> list[dict[str, Any]]:
        parent, state = asked.get("parentJobId"), asked.get("stateFilter", "")
        found = [job for job in self.jobs.values() if parent in (None, _parent(job))]
        return [job for job in found if state.upper() in job["status"]["state"]]

    # --- jobs -------------------------------------------------------------------------------------

    def _insert(self, body: Any) -> dict[str, Any]:
        reference = body.get("jobReference", {})
        id = reference.get("jobId") or f"job_{next(self._numbers)}"
        if id in self.jobs:
            raise Refusal(409, "duplicate", f"Already Exists: Job {self.project}:{id}")
        job = self._new(id, body["configuration"])
        location = reference.get("location", self.location)
        self._run(job, location)
        return job

    def _new(self, id: str, configuration: Any, parent: str | None = None) -> dict[str, Any]:
        job = {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{id}",
            "jobReference": {
                "projectId": self.project,
                "jobId": id,
                "location": self.location,
            },
            "configuration": configuration,
            "status": {"state": "DONE"},
            "statistics": {"query": {}, **({"parentJobId": parent} if parent else {})},
        }
        if not configuration.get("dryRun"):
            self.jobs[id] = job
        return job

    def _run(self, job: dict[str, Any], location: str) -> None:
        try:
            self._check_place(job, location)
            self._fail(job)
            if "load" in job["configuration"]:
                self._load(job)
            else:
                self._script(job)
        except Refusal as refusal:
            job["status"] |= {"errorResult": refusal.told, "errors": [refusal.told]}
            if refusal.code != 400:  # what BigQuery sees before there is a job
                self.jobs.pop(job["jobReference"]["jobId"], None)
                raise

    def _check_place(self, job: dict[str, Any], location: str) -> None:
        given = job["configuration"].get("query", {}).get("defaultDataset")
        name = given["datasetId"] if given else None
        if name in self.forbidden:
            text = f"Access Denied: Dataset {self.project}:{name}: Permission denied"
            raise Refusal(403, "accessDenied", text)
        if location != self.location or (name and name not in self.datasets):
            raise self._missing_dataset(name or "", location)

    def _fail(self, job: dict[str, Any]) -> None:
        """Fail a job for the next of the reasons that a test gave for its statement."""
        loads = "load" in job["configuration"]
        statement = "load" if loads else job["configuration"].get("labels", {}).get("statement", "")
        if reasons := self.failing.get(statement):
            job["configuration"].pop("_content", None)
            raise Refusal(400, reasons.pop(0), f"{statement} failed; retrying may help")

    def _query(self, body: dict[str, Any]) -> dict[str, Any]:
        settings = ("labels", "dryRun", "jobTimeoutMs")
        configuration = {key: body[key] for key in settings if key in body}
        configuration["query"] = {k: v for k, v in body.items() if k not in settings}
        reference = {"location": body.get("location", self.location)}
        job = self._insert({"configuration": configuration, "jobReference": reference})
        return self._results(job["jobReference"]["jobId"])

    def _found(self, id: str) -> dict[str, Any]:
        if id not in self.jobs:
            raise Refusal(404, "notFound", f"Not found: Job {self.project}:{id}")
        return self.jobs[id]

    def _results(self, id: str) -> dict[str, Any]:
        job = self._found(id)
        error = job["status"].get("errorResult")
        if error:
            raise Refusal(400, error["reason"], error["message"])
        fields, rows = self.results.get(id, ([], []))
        told = {
            "jobReference": job["jobReference"],
            "jobComplete": True,
            "totalRows": str(len(rows)),
            "schema": {"fields": fields},
            "rows": [
                {"f": [_cell(v, f) for v, f in zip(row, fields, strict=True)]} for row in rows
            ],
        }
        affected = job["statistics"]["query"].get("numDmlAffectedRows")
        return told | ({"numDmlAffectedRows": affected} if affected else {})

    def _load(self, job: dict[str, Any]) -> None:
        load = job["configuration"]["load"]
        target = load["destinationTable"]
        path = f'"{target["datasetId"]}"."{target["tableId"]}"'
        with TemporaryDirectory() as folder:
            file = Path(folder, "load.parquet")
            file.write_bytes(job["configuration"].pop("_content"))
            try:
                (done,) = self.db.execute(
                    f"INSERT INTO {path} BY NAME SELECT * FROM read_parquet('{file}')"
                ).fetchall()
            except duckdb.Error as error:
                raise Refusal(400, "invalid", str(error)) from None
        self._touch(target["datasetId"], target["tableId"])
        job["statistics"]["load"] = {"outputRows": str(done[0])}

    # --- statements -------------------------------------------------------------------------------

    def _script(self, job: dict[str, Any]) -> None:
        query = job["configuration"]["query"]
        parameters = parameter_values(query.get("queryParameters", []))
        default = query.get("defaultDataset", {}).get("datasetId", "main")
        with PARSING:
            try:
                parsed = sqlglot.parse(query["query"], dialect="bigquery")
            except sqlglot.errors.SqlglotError as error:
                raise Refusal(400, "invalidQuery", f"Syntax error: {error}") from None
        trees = [tree for tree in parsed if tree is not None]
        _check_transaction(trees)
        self._bill(job, trees, default)
        if job["configuration"].get("dryRun"):
            return
        began = False
        job["statistics"]["query"]["statementType"] = _kind(trees)
        try:
            for tree in trees:
                child = job
                if len(trees) > 1:
                    id = f"script_job_{next(self._numbers)}"
                    child = self._new(id, job["configuration"], job["jobReference"]["jobId"])
                self.db.execute(f'USE "{default}"')
                self._statement(child, tree, default, parameters)
                began = began or isinstance(tree, exp.Transaction)
        except (duckdb.Error, CdpError) as error:
            if began:
                with contextlib.suppress(duckdb.Error):
                    self.db.execute("ROLLBACK")
            raise Refusal(400, "invalidQuery", str(error)) from None

    def _bill(self, job: dict[str, Any], trees: Sequence[exp.Expr], default: str) -> None:
        tables = {
            (table.db or default, table.name)
            for tree in trees
            for table in tree.find_all(exp.Table)
            if table.name in (self._names(table.db or default))
        }
        size = TABLE_BYTES * len(tables)
        job["statistics"] |= {"totalBytesProcessed": str(size)}
        job["statistics"]["query"] |= {"totalBytesProcessed": str(size)}
        most = job["configuration"]["query"].get("maximumBytesBilled")
        if most is not None and size > int(most):
            text = f"Query exceeded limit for bytes billed: {most}. {size} or higher required."
            raise Refusal(400, "bytesBilledLimitExceeded", text)

    def _statement(
        self, job: dict[str, Any], tree: exp.Expr, default: str, parameters: Mapping[str, Any]
    ) -> None:
        if isinstance(tree, exp.Export):
            self._export(job, tree, parameters)
            return
        for table in tree.find_all(exp.Table):
            if table.name == "__TABLES__":
                self._list_tables(table.db)
        target = next(tree.find_all(exp.Table), exp.Table())
        place = (target.db or default, target.name)
        storage = self._storage_to_be(tree, place, default)
        kind, rows, columns = self._execute(tree, parameters)
        if kind in _DML:
            job["statistics"]["query"]["numDmlAffectedRows"] = str(rows[0][0])
        elif kind in {"select", "union"}:
            fields = [_field(column[0], column[1]) for column in columns]
            self.results[job["jobReference"]["jobId"]] = (fields, rows)
        if kind == "drop":
            self._forgotten(*place)
        leaves = bool(tree.args.get("exists")) and place in self._stamps
        if kind in {*_DML, "create", "alter"} and not leaves:
            self._touch(*place, anew=kind == "create")
        if kind == "create" and not leaves:
            self._storages[place] = storage

    def _storage_to_be(
        self, tree: exp.Expr, place: tuple[str, str], default: str
    ) -> dict[str, Any]:
        """Return how a CREATE stores its table; refuse to replace one that is stored otherwise."""
        clone = tree.args.get("clone")
        if clone is None:
            storage = _storage(tree)
        else:
            storage = self._storages.get((clone.this.db or default, clone.this.name), {})
        stands = self._storages.get(place, {}) if place in self._stamps else storage
        if tree.args.get("replace") and stands != storage:
            text = (
                "Cannot replace a table with a different partitioning spec. Instead, DROP the "
                f"table, and then recreate it. New partitioning spec is {_spec(storage)} and "
                f"existing spec is {_spec(stands)}"
            )
            raise Refusal(400, "invalid", text)
        return storage

    def _execute(
        self, tree: exp.Expr, parameters: Mapping[str, Any]
    ) -> tuple[str, list[tuple[Any, ...]], Sequence[Any]]:
        tree = tree.copy()
        for table in tree.find_all(exp.Table):
            table.set("catalog", None)
        with PARSING:
            if isinstance(tree, exp.Drop):
                self.db.execute(tree.sql("duckdb"))
                return "drop", [], ()
            clone = tree.args.get("clone")
            if clone is not None:
                tree.set("clone", None)
                tree.set("expression", exp.select("*").from_(clone.this))
            sql = tree.sql("bigquery")
        (statement,) = translate(sql, parameter_types(parameters))
        done = self.db.execute(statement.sql, bind(statement, parameters))
        return statement.kind, done.fetchall(), done.description or ()

    def _export(self, job: dict[str, Any], tree: exp.Expr, parameters: Mapping[str, Any]) -> None:
        """Write one file, its name's wildcard replaced by twelve digits."""
        uri, select = exported(tree.sql("bigquery"))
        with PARSING:
            (only,) = sqlglot.parse(select, dialect="bigquery")
        _, rows, columns = self._execute(only, parameters)
        fields = [_field(column[0], column[1]) for column in columns]
        lines = [json.dumps(_exported_row(row, fields)) for row in rows]
        text = "".join(f"{line}\n" for line in lines)
        for letter in "<>&":
            text = text.replace(letter, f"\\u{ord(letter):04x}")
        self._exporting(uri.replace("*", "0" * 12), text.encode())
        counted = {"fileCount": "1", "rowCount": str(len(rows))}
        job["statistics"]["query"]["exportDataStatistics"] = counted

    def _list_tables(self, dataset: str) -> None:
        self._dataset(dataset)
        rows = [
            (name, self._rows(f'"{dataset}"."{name}"'), *self._stamps.get((dataset, name), (0, 0)))
            for name in self._names(dataset)
        ]
        self.db.execute(
            f'CREATE OR REPLACE TABLE "{dataset}"."__TABLES__" (table_id VARCHAR, '
            "row_count BIGINT, creation_time BIGINT, last_modified_time BIGINT)"
        )
        if rows:
            self.db.executemany(f'INSERT INTO "{dataset}"."__TABLES__" VALUES (?, ?, ?, ?)', rows)

    def _touch(self, dataset: str, table: str, *, anew: bool = False) -> None:
        self._last = max(int(time.time() * 1000), self._last + 1)
        created, _ = self._stamps.get((dataset, table), (self._last, 0))
        self._stamps[(dataset, table)] = (self._last if anew else created, self._last)

    # --- uploads ----------------------------------------------------------------------------------

    def begin_upload(self, body: dict[str, Any]) -> str:
        id = str(next(self._numbers))
        self.uploads[id] = (body, io.BytesIO())
        return f"{self.url}/upload/{id}"

    def upload(self, id: str, data: bytes, of: str) -> dict[str, Any] | int:
        """Take a chunk; return the job after the last one, else how many bytes there are."""
        body, held = self.uploads[id]
        held.write(data)
        if of.endswith("/*"):
            return held.tell()
        body["configuration"]["_content"] = held.getvalue()
        with self._lock:
            return self._insert(body)


def _parent(job: Mapping[str, Any]) -> str | None:
    return job["statistics"].get("parentJobId")


def _kind(trees: Sequence[exp.Expr]) -> str:
    return "SCRIPT" if len(trees) > 1 else type(trees[0]).__name__.upper()


def _check_transaction(trees: Sequence[exp.Expr]) -> None:
    """Refuse a transaction that makes, changes or drops tables: BigQuery's only changes rows."""
    within = False
    for tree in trees:
        within = (within or isinstance(tree, exp.Transaction)) and not isinstance(tree, exp.Commit)
        if within and isinstance(tree, exp.Create | exp.Alter | exp.Drop):
            text = (
                "DDL statements other than on temporary entities are not supported in a transaction"
            )
            raise Refusal(400, "invalidQuery", text)


def _storage(tree: exp.Expr) -> dict[str, Any]:
    """Return partition and cluster of a CREATE as the REST API tells them."""
    told: dict[str, Any] = {}
    properties = tree.args.get("properties")
    for part in properties.expressions if properties else ():
        if isinstance(part, exp.Cluster | exp.ClusterProperty):
            told["clustering"] = {"fields": [column.name for column in part.expressions]}
        elif isinstance(part, exp.PartitionedByProperty):
            told |= _partition(part.this)
    return told


def _partition(by: exp.Expr) -> dict[str, Any]:
    if isinstance(by, exp.RangeBucket):
        ends = (by.expression.args[end].name for end in ("start", "end", "step"))
        bounds = dict(zip(("start", "end", "interval"), ends, strict=True))
        return {"rangePartitioning": {"field": by.this.name, "range": bounds}}
    assert isinstance(by, exp.Column | exp.Identifier), by
    return {"timePartitioning": {"type": "DAY", "field": by.name}}


def _spec(storage: Mapping[str, Any]) -> str:
    return json.dumps(storage) if storage else "none"


def _field(name: str, kind: Any) -> dict[str, Any]:
    """Return a column of DuckDB's type *kind* as the REST API tells it."""
    if kind.id == "list":
        return _field(name, kind.children[0][1]) | {"mode": "REPEATED"}
    field = {"name": name, "mode": "NULLABLE", "type": _TYPES.get(kind.id, "INTEGER")}
    if kind.id == "struct":
        parts = [_field(part, of) for part, of in kind.children]
        field |= {"type": "RECORD", "fields": parts}
    return field


def _cell(value: Any, field: Mapping[str, Any], *, element: bool = False) -> dict[str, Any]:
    if field["mode"] == "REPEATED" and not element:
        return {"v": [_cell(item, field, element=True) for item in value or ()]}
    if value is None:
        return {"v": None}
    if field["type"] == "RECORD":
        parts = zip(value.values(), field["fields"], strict=True)
        return {"v": {"f": [_cell(part, of) for part, of in parts]}}
    return {"v": _text(value)}


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return str(int(value.replace(tzinfo=UTC).timestamp()) * 10**6 + value.microsecond)
        case date():
            return value.isoformat()
        case float():
            return {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}.get(
                str(value), repr(value)
            )
        case Decimal():
            return f"{value.normalize():f}"
    return str(value)


def _exported_row(row: Sequence[Any], fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a row as EXPORT DATA writes it: integers and times are texts, nulls are left out."""
    found = {f["name"]: _exported(value, f) for f, value in zip(fields, row, strict=True)}
    return {name: value for name, value in found.items() if value is not None}


def _exported(value: Any, field: Mapping[str, Any], *, element: bool = False) -> Any:
    if field["mode"] == "REPEATED" and not element:
        return [_exported(item, field, element=True) for item in value or ()]
    if isinstance(value, dict):
        return _exported_row(list(value.values()), field["fields"])
    match value:
        case datetime():
            return f"{value.isoformat(' ', 'microseconds').rstrip('0').rstrip('.')} UTC"
        case None | bool() | float() | str():
            return value
    return str(value)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Http"

    def _answer(self) -> None:
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        asked |= {"If-Match": self.headers["If-Match"]} if "If-Match" in self.headers else {}
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        served = self.server.served
        try:
            if url.path.startswith("/upload/bigquery/"):
                self._send(200, {}, {"Location": served.begin_upload(json.loads(data))})
            elif url.path.startswith("/upload/"):
                done = served.upload(url.path.split("/")[2], data, self.headers["Content-Range"])
                if isinstance(done, int):
                    self._send(308, None, {"Range": f"bytes=0-{done - 1}"})
                else:
                    self._send(200, done)
            else:
                path = re.sub("^/bigquery/v2/projects/[^/]+/", "", url.path)
                body = json.loads(data) if data else None
                self._send(200, served.answer(self.command, path, asked, body))
        except Refusal as refusal:
            self._refuse(refusal)
        except Exception:  # noqa: BLE001 - not 500: the client would ask for ten minutes
            self._refuse(Refusal(400, "invalid", traceback.format_exc()))

    do_GET = do_POST = do_PUT = do_PATCH = _answer  # noqa: N815

    def _refuse(self, refusal: Refusal) -> None:
        error = {"code": refusal.code, "message": str(refusal), "errors": [refusal.told]}
        self._send(refusal.code, {"error": error})

    def _send(self, code: int, body: Any, headers: Mapping[str, str] = {}) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    served: Server


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve *server* at its `url` until the block ends."""
    http = _Http(("127.0.0.1", 0), _Handler)
    http.served = server
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
        server.db.close()

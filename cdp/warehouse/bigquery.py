"""BigQuery as the warehouse: a work dataset, two more that readers see in turn, and GA4's export.

Every job has labels, a location and a cap of bytes. The client repeats calls under one job id, and
jobs that failed for no reason of their own.
"""

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

import polars as pl
import pyarrow as pa
import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery
from google.cloud.bigquery.retry import DEFAULT_RETRY

from cdp.domain.days import ExportTable, parse_suffix
from cdp.domain.errors import CdpError, Unavailable
from cdp.warehouse.bigquery_values import declared, naive, named, parameter, storage
from cdp.warehouse.export_view import export_view
from cdp.warehouse.port import Erasure, Job, Shape, StatementError, Value
from cdp.warehouse.statements import erasing, made, migrations, statements

RAW: Final = ("raw_link", "raw_decision")
_CALL_SECONDS: Final = 60
_SOON: Final = DEFAULT_RETRY.with_timeout(
    30
)  # pages wait for it, and the library would ten minutes
# Why a job fails that would not fail again. Source: BigQuery, "Error messages".
_PASSING: Final = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "rateLimitExceeded",
        "tableUnavailable",
    }
)
_LOADS: Final = 4  # of one file, at most
_READ_AT_ONCE: Final = 8  # tables whose columns are asked for


class BigQueryWarehouse:
    """The warehouse in *dataset*; see the port for what its methods promise.

    Args:
        project, location: of jobs and of *dataset*; `<dataset>_a` and `<dataset>_b` beside it.
        export: `project.dataset` of GA4's export, in the same location.
        maximum_bytes_billed: of each job; 0 for no bound.
        labels: of each job, such as the run's.
        published: read the state that the last settled run published, until two more runs have;
            nothing can be written.
        timeout: seconds that a statement may take.

    Raises:
        CdpError: *published*, and nothing was.
    """

    def __init__(
        self,
        client: bigquery.Client,
        *,
        project: str,
        dataset: str,
        location: str,
        export: str,
        maximum_bytes_billed: int,
        labels: Mapping[str, str] = {},
        published: bool = False,
        timeout: float = 7200,
    ) -> None:
        self._client = client
        self._project = project
        self._work = bigquery.DatasetReference(project, dataset)
        self._location = location
        self._export = export
        self._cap = maximum_bytes_billed
        self._labels = dict(labels)
        self._published = published
        self._timeout = timeout
        self._read = self._work
        if published:
            side = self._pointer().get("published")
            if side is None:
                raise CdpError("nothing was refreshed yet; start a refresh")
            self._read = self._side(side)

    def run(self, sql: str, parameters: Mapping[str, Value]) -> Job:
        if self._published:
            raise StatementError(f"what was published is only read — in: {sql[:400]}")
        return self._run(sql, parameters, self._work)

    def _run(
        self, sql: str, parameters: Mapping[str, Value], dataset: bigquery.DatasetReference
    ) -> Job:
        asking = self._job(parameters)
        asking["job_config"].default_dataset = dataset
        with self._explained(sql):
            job = self._client.query(sql, **asking, timeout=_CALL_SECONDS)
            job.result(timeout=self._timeout)
            jobs = [job]
            if job.statement_type == "SCRIPT":  # its statements are jobs of their own
                jobs = list(self._client.list_jobs(parent_job=job))
            return Job(sum(job.num_dml_affected_rows or 0 for job in jobs))

    def query(self, sql: str, parameters: Mapping[str, Value]) -> pl.DataFrame:
        with self._explained(sql):
            rows = self._client.query_and_wait(
                sql,
                **self._job(parameters),
                api_timeout=_CALL_SECONDS,
                wait_timeout=self._timeout,
            )
            # Small results: another service, and its grants, would bring nothing.
            table = rows.to_arrow(create_bqstorage_client=False)
        kinds = pa.schema([(field.name, naive(field.type)) for field in table.schema])
        frame = pl.from_arrow(table.cast(kinds))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def dry_run(self, sql: str, parameters: Mapping[str, Value]) -> int:
        """Return how many bytes a statement would read, without running it."""
        asking = self._job(parameters)
        asking["job_config"].dry_run = True
        asking["job_config"].use_query_cache = False
        with self._explained(sql):
            return int(
                self._client.query(sql, **asking, timeout=_CALL_SECONDS).total_bytes_processed or 0
            )

    def shapes(self) -> dict[str, Shape]:
        storages = self._tables(self._work)
        with futures.ThreadPoolExecutor(_READ_AT_ONCE) as pool:  # a list tells no columns
            paths = [_path(self._work, name) for name in storages]
            columns = dict(zip(storages, pool.map(self._columns, paths), strict=True))
        return {
            name: Shape(tuple(map(declared, columns[name])), storage)
            for name, storage in storages.items()
        }

    def drop(self, tables: Sequence[str]) -> None:
        if tables:
            self.run(";\n".join(f"drop table if exists `{name}`" for name in tables), {})

    def export_tables(self) -> list[ExportTable]:
        sql = (
            "select table_id, row_count, last_modified_time "
            f"from `{self._export}.__TABLES__` where starts_with(table_id, 'events_')"
        )
        tables = []
        for row in self.query(sql, {}).iter_rows(named=True):
            suffix = row["table_id"].removeprefix("events_")
            try:
                parse_suffix(suffix)
            except ValueError:  # somebody's own table
                continue
            version = f"{row['last_modified_time']}-{row['row_count']}"
            tables.append(ExportTable(suffix, version, row["row_count"]))
        return sorted(tables, key=lambda table: table.suffix)

    def show_export(self, suffixes: Sequence[str]) -> None:
        tables = {suffix: f"{self._export}.events_{suffix}" for suffix in suffixes}
        if not tables:
            raise StatementError("no table of the export was named; refresh again")
        with futures.ThreadPoolExecutor(_READ_AT_ONCE) as pool:
            columns = dict(zip(tables, pool.map(self._columns, tables.values()), strict=True))
        view = f"{self._project}.{self._work.dataset_id}.export_event"
        self.run(export_view(view, tables, columns), {})

    def _columns(self, table: str) -> list[dict[str, Any]]:
        with self._explained(table):
            return [field.to_api_repr() for field in self._client.get_table(table).schema]

    def loaded_versions(self) -> list[str]:
        versions = []
        for name in RAW:
            table = self._table(name)
            if table is not None and table.num_rows:
                assert table.modified is not None
                versions.append(f"{name}@{table.modified.isoformat()}-{table.num_rows}")
        return sorted(versions)

    def load(self, name: str, file: Path) -> int:
        """Append a file's rows to the raw table *name*; return how many, 0 where it was before.

        Args:
            file: Parquet as `row_files` writes it; its name without `.parquet` tells its content.
        """
        table = self._table(name)
        if table is None:
            for migration in migrations().values():  # nothing was there: no run is at work
                self.run(migration, {})
            table = self._table(name)
        assert table is not None
        assert table.created is not None
        sql = f"select count(*) as loaded from {name} where file = @file"
        if self.query(sql, {"file": file.stem}).item():
            return 0
        # Two who load one file at once have one job. One that failed is tried again by another: at
        # once, or by whoever loads the file next.
        job_id = f"cdp-load-{name}-{file.stem}-{table.created:%Y%m%dT%H%M%S%f}"
        with self._explained(f"load {name}"), closing(named(file)) as stream:
            failed = 0
            for attempt in count():
                try:
                    return self._append(table, stream, f"{job_id}-{attempt}")
                except exceptions.Conflict:
                    job = self._client.get_job(f"{job_id}-{attempt}", location=self._location)
                    if _succeeds(job, self._timeout):
                        return 0
                except exceptions.GoogleAPICallError as error:
                    failed += 1
                    if _reason(error) not in _PASSING or failed == _LOADS:
                        raise
                    time.sleep(failed)
        raise AssertionError

    def _append(self, table: bigquery.Table, stream: IO[bytes], job_id: str) -> int:
        job = self._client.load_table_from_file(
            stream,
            table.reference,
            rewind=True,
            job_id=job_id,
            project=self._project,
            location=self._location,
            job_config=bigquery.LoadJobConfig(
                source_format=bigquery.SourceFormat.PARQUET,
                schema=table.schema,
                create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
                write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
                labels=self._labels,
            ),
        )
        job.result(timeout=self._timeout)
        return int(job.output_rows or 0)

    def stop(self, run_id: str) -> None:
        with self._explained(f"stop {run_id}"):
            for state in ("running", "pending"):
                # Everybody's: the workflow starts them under another account.
                for job in self._client.list_jobs(all_users=True, state_filter=state):
                    if job.labels.get("run") == run_id:
                        job.cancel(timeout=_CALL_SECONDS)
                        _succeeds(job, self._timeout)

    def publish(self, run_id: str) -> None:
        """Clone every table beside what readers see, then let them see the clones.

        One script, and one change of the work dataset's labels. A reader keeps what it opened
        until the publish after this one.
        """
        side = "b" if self._pointer().get("published") == "a" else "a"
        target = self._side(side)
        work, there = self._tables(self._work), self._tables(target)
        # Another partition or cluster cannot be replaced.
        outgrown = {name for name in there if there[name] != work.get(name)}
        script = [f"drop table `{_path(target, name)}`" for name in sorted(outgrown)]
        script += [
            f"create or replace table `{_path(target, name)}` clone `{_path(self._work, name)}`"
            for name in sorted(work)
        ]
        if script:
            self.run(";\n".join(script), {})
        with self._explained("publish"):
            dataset = self._client.get_dataset(self._work)
            dataset.labels |= {
                "published": side,
                "published_version": secrets.token_hex(8),
                "published_run": run_id,
            }
            self._client.update_dataset(dataset, ["labels"])

    def published_run(self) -> str | None:
        return self._pointer().get("published_run")

    def published_version(self) -> str | None:
        """Return what names the state that readers see; None where no run has settled."""
        return self._pointer().get("published_version")

    def erase(self, erasure: Erasure) -> dict[str, int]:
        """See the port; docs/erasure.md tells what Google keeps of deleted rows, and how long."""
        asked = {**erasure.parameters, "told": list(erasure.told) or [""]}
        counts: dict[str, int] = {}
        for dataset in (self._work, self._side("a"), self._side("b")):
            there = self._tables(dataset).keys()
            scripts = [*erasing(), (statements()["89_forget"], frozenset(RAW))]
            for script, tables in scripts:
                if tables <= there:
                    job = self._run(script, asked, dataset)
                    counts[dataset.dataset_id] = counts.get(dataset.dataset_id, 0) + job.affected
                elif dataset == self._work:  # a run that died: the next one makes them all anew
                    self.drop(sorted(tables & there & made().keys()))
        return counts

    def close(self) -> None:
        """The client belongs to whoever made it."""

    def _pointer(self) -> dict[str, str]:
        with self._explained("published"):
            dataset = self._client.get_dataset(self._work, retry=_SOON, timeout=_CALL_SECONDS)
            labels: dict[str, str] = dataset.labels
            return labels

    def _side(self, side: str) -> bigquery.DatasetReference:
        return bigquery.DatasetReference(self._project, f"{self._work.dataset_id}_{side}")

    def _tables(self, dataset: bigquery.DatasetReference) -> dict[str, str]:
        """Return each table's partition and cluster, by name."""
        with self._explained(f"tables of {dataset.dataset_id}"):
            listed = self._client.list_tables(dataset)
            return {
                table.table_id: storage(table.to_api_repr())
                for table in listed
                if table.table_type == "TABLE"
            }

    def _table(self, name: str) -> bigquery.Table | None:
        with self._explained(name):
            try:
                return self._client.get_table(self._read.table(name))
            except exceptions.NotFound as error:
                if "Dataset" in _message(error):
                    raise
                return None

    def _job(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        """Return what every job is given."""
        config = bigquery.QueryJobConfig(
            default_dataset=self._read,
            query_parameters=[parameter(name, value) for name, value in parameters.items()],
            labels=self._labels,
            job_timeout_ms=int(self._timeout * 1000),
        )
        if self._cap:
            config.maximum_bytes_billed = self._cap
        return {"job_config": config, "project": self._project, "location": self._location}

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn the client's errors into the port's, with *what*'s beginning and a way out."""
        try:
            yield
        except exceptions.GoogleAPICallError as error:
            raise StatementError(
                f"{_message(error)}{self._way_out(error)} — in: {what[:400]}"
            ) from error
        except futures.TimeoutError as error:
            raise StatementError(
                f"took more than {self._timeout:g} seconds — in: {what[:400]}"
            ) from error
        except (GoogleAuthError, exceptions.RetryError, requests.RequestException) as error:
            raise Unavailable(
                f"BigQuery cannot be reached: {error}; see `gcloud auth application-default login`"
            ) from error

    def _way_out(self, error: exceptions.GoogleAPICallError) -> str:
        reason = _reason(error)
        if reason == "bytesBilledLimitExceeded":
            setting = "QUESTION" if self._published else "MAXIMUM"
            return f"; raise CDP_{setting}_BYTES_BILLED, now {self._cap}"
        if reason == "accessDenied":
            return (
                f"; grant this account roles/bigquery.jobUser on {self._project}, "
                f"roles/bigquery.dataOwner on its datasets {self._work.dataset_id}, _a and _b "
                f"(dataViewer where it only reads) and roles/bigquery.dataViewer on {self._export}"
            )
        if reason == "notFound" and "Dataset" in _message(error):
            return (
                f"; the datasets {self._work.dataset_id}, _a, _b and {self._export} belong in "
                f"{self._location}: create what is missing, or set CDP_DATASET, "
                "CDP_EXPORT_DATASET and CDP_LOCATION"
            )
        return ""


def _reason(error: exceptions.GoogleAPICallError) -> str | None:
    return error.errors[0].get("reason") if error.errors else None


def _message(error: exceptions.GoogleAPICallError) -> str:
    return str(error.errors[0].get("message") if error.errors else error.message)


def _succeeds(job: Any, timeout: float) -> bool:
    """Wait for a job and return whether it did what it was to do."""
    try:
        job.result(timeout=timeout)
    except exceptions.GoogleAPICallError:
        return False
    return True


def _path(dataset: bigquery.DatasetReference, table: str) -> str:
    return f"{dataset.project}.{dataset.dataset_id}.{table}"

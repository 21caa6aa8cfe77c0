"""The embedded deployment: DuckDB, SQLite, a folder, and `workflow.yaml` in a local process."""

import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypedDict

from cdp.deployments.base import FILES, Platform
from cdp.domain.errors import CdpError
from cdp.executions.local import Heartbeat, LocalExecutions, hold
from cdp.executions.port import Execution, State
from cdp.objects.folder import FolderObjects
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.local import Delivery, LocalQueue
from cdp.warehouse.duckdb import DuckWarehouse, published_path
from cdp.warehouse.ga4_files import Loaded, load_ga4
from cdp.warehouse.row_files import LoadedRows, load_rows

if TYPE_CHECKING:
    from cdp.queue.port import Refused
    from cdp.refresh.steps import Steps

WORKFLOW: Final = FILES / "workflow.yaml"
TARGET: Final = "functions.main:ingest"
_POLL_SECONDS: Final = "0.1"


class Resources(TypedDict):
    """Memory such as `1GB`, beyond which DuckDB spills; 0 threads is all cores."""

    memory_limit: str
    threads: int


class Embedded(Platform):
    """Everything below one folder, `CDP_HOME`."""

    lease_seconds = 60
    poll_seconds = 0.05
    first_load = "Load an export with `cdp load ga4 PATH`"

    @cached_property
    def documents(self) -> SqliteDocuments:
        states = [f"consent.{name}.state" for name in self.policy.purposes]
        return SqliteDocuments(self.settings.home / "documents.sqlite", filtered=states)

    @cached_property
    def objects(self) -> FolderObjects:
        return FolderObjects(self.settings.home / "objects")

    @cached_property
    def queue(self) -> LocalQueue:
        return LocalQueue(self._queue_file)

    @property
    def dead_letters(self) -> LocalQueue:
        return self.queue

    def refuse(self, id: str, data: Mapping[str, Any], attempt: int, error: "Refused") -> NoReturn:
        del id, data, attempt
        raise error  # its own delivery buries what was refused

    @cached_property
    def steps(self) -> "Steps":
        return self.steps_over(self._warehouse(published=False), self.queue)

    @cached_property
    def executions(self) -> LocalExecutions:
        return LocalExecutions(self.settings.home, env=self.settings.environment())

    @property
    def raw(self) -> Path:
        """The folder that loaded files are kept in."""
        return self.settings.home / "raw"

    @property
    def resources(self) -> Resources:
        """What one process may take of the machine."""
        return {"memory_limit": self.settings.memory_limit, "threads": self.settings.threads}

    def published_version(self) -> str | None:
        try:
            found = published_path(self.settings.home).stat()
        except FileNotFoundError:
            return None
        return f"{found.st_ino}-{found.st_mtime_ns}"

    def published(self) -> DuckWarehouse:
        if not published_path(self.settings.home).exists():
            raise CdpError("nothing was refreshed yet; run `cdp refresh`")
        return self._warehouse(published=True)

    def load_ga4(self, paths: Sequence[Path], **options: Any) -> list[Loaded]:
        return load_ga4(self.raw, paths, **options, **self.resources)

    def load_rows(self, table: str, paths: Sequence[Path], **options: Any) -> list[LoadedRows]:
        purposes = tuple(self.policy.purposes)
        return load_rows(self.raw, table, paths, purposes=purposes, **options, **self.resources)

    def problems(self) -> list[str]:
        problems = []
        home = self.settings.home
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = home / ".probe"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            problems.append(
                f"{home} cannot be written ({error.strerror}); set CDP_HOME to a folder"
            )
        if not any(self.raw.glob("events_*.parquet")):
            problems.append("no GA4 export is loaded; run `cdp load ga4 PATH...`")
        if not WORKFLOW.is_file():
            problems.append(f"{WORKFLOW} is missing; it belongs beside the package")
        return problems

    def execute(self, id: str, lock: int) -> Execution:
        """Run the execution *id* in this process, to its end."""
        hold(lock)
        execution = self.executions.begin(id)
        try:
            state, result, error = self._interpret(execution)
        except CdpError as problem:
            state, result, error = State.FAILED, None, str(problem)
        except BaseException as problem:
            text = f"{type(problem).__name__}: {problem}"
            self.runs.end(id, "failed", {"error": text})
            self.executions.end(id, State.FAILED, error=text)
            raise
        if state is not State.SUCCEEDED:
            self.runs.end(id, state.value.lower(), {"error": error})
        self.executions.end(id, state, result=result, error=error)
        return self.executions.get(id)

    def _interpret(self, execution: Execution) -> tuple[State, Any, str | None]:
        # Only the process that runs an execution pays for these.
        from cdp.refresh.connectors import STEPS_URL, connectors, steps_over  # noqa: PLC0415
        from cdp.workflow_engine import (  # noqa: PLC0415
            Interpreter,
            WorkflowCancelled,
            WorkflowFailure,
            load,
        )

        settings = self.settings
        delivery = Delivery(
            self._queue_file,
            TARGET,
            workers=settings.workers,
            attempts=settings.delivery_attempts,
            backoff=settings.delivery_backoff,
        )
        # The workers start while the warehouse works, and wait for their first message.
        with delivery, self.executions.recorder(execution.id) as recorder:
            warehouse = self._warehouse(published=False)
            steps = self.steps_over(warehouse, self.queue)
            handlers = connectors(warehouse, self.objects)
            interpreter = Interpreter(
                load(WORKFLOW.read_text("utf-8"), connectors=handlers.keys()),
                connectors=handlers,
                env={
                    "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": execution.id,
                    "GOOGLE_CLOUD_PROJECT_ID": "embedded",
                    "CDP_LOCATION": "embedded",
                    "CDP_DATASET": "cdp",
                    "CDP_BUCKET": "embedded",
                    "CDP_RELEASE": self.release(),
                    "CDP_STEPS_URL": STEPS_URL,
                    "CDP_POLL_SECONDS": _POLL_SECONDS,
                    "CDP_MAXIMUM_BYTES_BILLED": "0",
                },
                observer=recorder,
                cancelled=recorder.cancelled,
                http=steps_over(steps.call),
            )

            def beat() -> None:
                if self.runs.holder() == execution.id:
                    self.runs.renew(execution.id)

            def lost(problem: Exception) -> None:
                print(f"the lease cannot be renewed: {problem}", file=sys.stderr)  # noqa: T201
                recorder.stop()

            try:
                with Heartbeat(beat, self.lease_seconds / 4, lost):
                    return State.SUCCEEDED, interpreter.run(dict(execution.argument)), None
            except WorkflowCancelled:
                by = self.executions.get(execution.id).cancel_requested_by
                return State.CANCELLED, None, f"cancelled by {by}" if by else "the lease was lost"
            except WorkflowFailure as failure:
                return State.FAILED, None, str(failure)
            finally:
                warehouse.close()

    @property
    def _queue_file(self) -> Path:
        return self.settings.home / "queue.sqlite"

    def _warehouse(self, *, published: bool) -> DuckWarehouse:
        return DuckWarehouse(self.settings.home, published=published, **self.resources)

    @cached_property
    def cookie_key(self) -> str:
        return self._secret("cookie_key")

    @cached_property
    def salt(self) -> str:
        return self._secret("salt")

    def _secret(self, name: str) -> str:
        """Return a secret of 64 hexadecimal digits; made once, readable by its owner."""
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.settings.home / name
        new = file.with_suffix(f".{secrets.token_hex(8)}")
        new.touch(mode=0o600)
        new.write_text(secrets.token_hex(32), "ascii")
        with suppress(FileExistsError):  # made before, or by another process just now
            os.link(new, file)
        new.unlink()
        return file.read_text("ascii")

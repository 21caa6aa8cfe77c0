"""The embedded deployment: DuckDB, SQLite, a folder, and `workflow.yaml` in a local process."""

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from cdp import sqlite_file
from cdp.deployments.base import FILES, Platform
from cdp.domain.errors import CdpError, Unusable, unusable
from cdp.executions.local import Heartbeat, LocalExecutions, hold
from cdp.executions.port import Execution, State
from cdp.objects.folder import FolderObjects
from cdp.profiles.sqlite import SqliteDocuments
from cdp.queue.local import Delivery, LocalQueue
from cdp.refresh.shards import discard
from cdp.settings import Settings
from cdp.warehouse import duckdb, ga4_files, row_files
from cdp.warehouse.duckdb import WORK, DuckWarehouse, Resources, published_path
from cdp.warehouse.forgetting import held
from cdp.warehouse.ga4_files import Loaded, load_ga4
from cdp.warehouse.row_files import LoadedRows, load_rows

if TYPE_CHECKING:
    from cdp.queue.port import Refused
    from cdp.refresh.steps import Steps
    from cdp.warehouse.port import Erasure

WORKFLOW: Final = FILES / "workflow.yaml"
TARGET: Final = "functions.main:ingest"
_POLL_SECONDS: Final = "0.1"
_SQLITE: Final = ("documents.sqlite", "queue.sqlite", "executions.sqlite")
_SPARE: Final = 200 << 20  # bytes: a load, a log, a run's shards
_SECRETS: Final[Mapping[str, str]] = {
    "salt": (
        "put a copy of it back: with another one everybody gets a new profile id; where there is "
        "no copy, move the whole folder away and load everything again"
    ),
    "cookie_key": "delete it: a new one is made, and everybody signs in again",
}
"""The secrets, and what to do where one is damaged."""


class Embedded(Platform):
    """Everything below one folder, `CDP_HOME`."""

    lease_seconds = 60
    poll_seconds = 0.05
    first_load = "Load an export with `cdp load ga4 PATH`"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # What the engines write beside their files, as logs and what they spill, is people's too.
        os.umask(0o077)

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
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise unusable(self.settings.home, error) from error
        return f"{found.st_ino}-{found.st_mtime_ns}"

    def published(self) -> DuckWarehouse:
        if self.published_version() is None:
            if self.settings.home.exists() and not self.settings.home.is_dir():
                raise Unusable(f"{self.settings.home} is a file; set CDP_HOME to a folder")
            raise CdpError("nothing was refreshed yet; run `cdp refresh`")
        return self._warehouse(published=True)

    def load_ga4(self, paths: Sequence[Path], **options: Any) -> list[Loaded]:
        return load_ga4(self.raw, paths, erased=self.erased(), **options, **self.resources)

    def load_rows(self, table: str, paths: Sequence[Path], **options: Any) -> list[LoadedRows]:
        purposes = tuple(self.policy.purposes)
        return load_rows(
            self.raw,
            table,
            paths,
            purposes=purposes,
            erased=self.erased(),
            speller=self.policy.speller(),
            **options,
            **self.resources,
        )

    def loaded_of(self, erasure: "Erasure") -> dict[str, int]:
        return held(self.raw, erasure, self.policy.speller(), **self.resources)

    def files(self) -> Iterable[Path]:
        secrets = {self.settings.home / name for name in _SECRETS}
        for path in sorted(self.settings.home.rglob("*")):
            if path.is_file() and path not in secrets:
                yield path

    def problems(self) -> list[str]:
        home = self.settings.home
        try:
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            probe = home / ".probe"
            try:
                probe.write_bytes(bytes(1 << 16))
            finally:
                probe.unlink(missing_ok=True)
            problems = [*self._open_to_others(), *self._short_of_space()]
        except OSError as error:
            return [str(unusable(home, error))]
        files = [sqlite_file.problem(home / name) for name in _SQLITE]
        problems += [found for found in files if found]
        problems += duckdb.problems(home, **self.resources)
        problems += ga4_files.problems(self.raw)
        problems += row_files.problems(self.raw)
        problems += self._wrong_secrets()
        if not any(self.raw.glob("events_*.parquet")):
            problems.append("no GA4 export is loaded; run `cdp load ga4 PATH...`")
        if not WORKFLOW.is_file():
            problems.append(f"{WORKFLOW} is missing; it belongs beside the package")
        return problems

    def _open_to_others(self) -> list[str]:
        home = self.settings.home
        entries = [home, *home.rglob("*")]
        open_ = [path for path in entries if not path.is_symlink() and path.stat().st_mode & 0o077]
        if not open_:
            return []
        more = f" and {len(open_) - 1:,} more below it" if len(open_) > 1 else ""
        return [f"{open_[0]}{more} can be opened by others; run `chmod -R go= {home}`"]

    def _short_of_space(self) -> list[str]:
        """A refresh writes as much again, and publishes a copy."""
        work = self.settings.home / WORK
        needed = _SPARE + (2 * work.stat().st_size if work.is_file() else 0)
        free = shutil.disk_usage(self.settings.home).free
        if free >= needed:
            return []
        return [
            f"{free >> 20:,} MB are free on the disk of {self.settings.home}, and a refresh may "
            f"need {needed >> 20:,} MB; free some space"
        ]

    def _wrong_secrets(self) -> list[str]:
        found = []
        for name in _SECRETS:
            try:
                if (self.settings.home / name).exists():
                    self._read_secret(name)
                elif name == "salt" and self.published_version():
                    found.append(f"{self.settings.home / name} is missing; {_SECRETS[name]}")
            except CdpError as error:
                found.append(str(error))
        return found

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
            discard(self.objects, id)
            self.executions.end(id, State.FAILED, error=text)
            raise
        if state is not State.SUCCEEDED:
            self.runs.end(id, state.value.lower(), {"error": error})
            discard(self.objects, id)
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
        try:
            self._make_secret(name)
        except OSError as error:
            raise unusable(self.settings.home / name, error) from error
        return self._read_secret(name)

    def _make_secret(self, name: str) -> None:
        self.settings.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.settings.home / name
        if file.exists():
            return
        new = file.with_suffix(f".{secrets.token_hex(8)}")
        try:
            new.touch(mode=0o600)
            new.write_text(secrets.token_hex(32), "ascii")
            with suppress(FileExistsError):  # made by another process just now
                os.link(new, file)
        finally:
            new.unlink(missing_ok=True)

    def _read_secret(self, name: str) -> str:
        file = self.settings.home / name
        try:
            text = file.read_bytes().decode("ascii", "replace").strip()
        except OSError as error:
            raise unusable(file, error) from error
        if not re.fullmatch("[0-9a-f]{64}", text):
            raise Unusable(
                f"{file} is damaged (its {len(text)} characters are not the 64 hexadecimal digits "
                f"that it was made of); {_SECRETS[name]}"
            )
        return text

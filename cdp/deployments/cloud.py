"""The deployment on Google Cloud: BigQuery, Firestore, Cloud Storage, Pub/Sub, Cloud Workflows.

Google's libraries find the credentials, and the emulators, by their own environment variables.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cdp.deployments.base import Platform
from cdp.domain.errors import CdpError

if TYPE_CHECKING:
    from cdp.executions.cloud import CloudExecutions
    from cdp.objects.cloud_storage import CloudStorageObjects
    from cdp.profiles.firestore import FirestoreDocuments
    from cdp.profiles.firestore_indexes import Indexes
    from cdp.queue.port import Refused
    from cdp.queue.pubsub import PubSubQueue
    from cdp.refresh.dead_letters import DocumentDeadLetters
    from cdp.refresh.steps import Steps
    from cdp.warehouse.bigquery import BigQueryWarehouse
    from cdp.warehouse.ga4_files import Loaded
    from cdp.warehouse.row_files import LoadedRows


_VERSION_SECONDS: Final = 10
_NEEDED: Final = ("project", "bucket", "export_dataset")


class Cloud(Platform):
    """Each adapter, and Google's client below it, is imported where it is first used."""

    # Longer than any statement, or wait for receipts; a run that died is told by its execution.
    lease_seconds = 6 * 3600
    poll_seconds = 5.0
    first_load = "Google fills the export the day after GA4 is linked to BigQuery"

    _version: tuple[str | None, float] = (None, 0.0)

    @cached_property
    def documents(self) -> "FirestoreDocuments":
        from google.cloud import firestore  # noqa: PLC0415

        from cdp.profiles.firestore import FirestoreDocuments  # noqa: PLC0415

        settings = self.settings
        with _signed_in():
            client = firestore.Client(settings.needed("project"), database=settings.database)
        documents = FirestoreDocuments(client, ramp=settings.ramp, indexes=self._indexes)
        documents.claim()  # before anything is read or written: accounts, for one
        return documents

    def _indexes(self) -> "Indexes":
        from cdp.profiles.firestore_indexes import Indexes  # noqa: PLC0415

        return Indexes(self.policy)

    @cached_property
    def objects(self) -> "CloudStorageObjects":
        from google.cloud.storage import Client  # noqa: PLC0415

        from cdp.objects.cloud_storage import CloudStorageObjects  # noqa: PLC0415

        with _signed_in():
            client = Client(self.settings.needed("project"))
        return CloudStorageObjects(client.bucket(self.settings.needed("bucket")))

    @cached_property
    def queue(self) -> "PubSubQueue":
        from google.cloud.pubsub_v1 import PublisherClient  # noqa: PLC0415

        from cdp.queue.pubsub import PubSubQueue  # noqa: PLC0415

        with _signed_in():
            return PubSubQueue(PublisherClient(), self.settings.needed("project"))

    @cached_property
    def dead_letters(self) -> "DocumentDeadLetters":
        from cdp.refresh.dead_letters import DocumentDeadLetters  # noqa: PLC0415

        return DocumentDeadLetters(self.documents)

    def refuse(self, id: str, data: Mapping[str, Any], attempt: int, error: "Refused") -> None:
        # Pub/Sub knows no final refusal: it would deliver the message until it gives up.
        self.dead_letters.bury(id, self.settings.topic, data, attempts=attempt, reason=str(error))

    @cached_property
    def executions(self) -> "CloudExecutions":
        from cdp.executions.cloud import connect  # noqa: PLC0415

        settings = self.settings
        place = f"projects/{settings.needed('project')}/locations/{settings.region}"
        with _signed_in():
            return connect(
                f"{place}/workflows/{settings.workflow}",
                # Google has no emulator of Workflows, and so no names for where one is.
                emulator=os.environ.get("WORKFLOWS_EMULATOR_HOST"),
                emulator_url=os.environ.get("WORKFLOWS_EMULATOR_URL", ""),
            )

    @cached_property
    def steps(self) -> "Steps":
        return self.steps_over(self._warehouse(self.settings.maximum_bytes_billed), self.queue)

    @property
    def salt(self) -> str:
        return self.settings.needed("salt")

    @property
    def cookie_key(self) -> str:
        return self.settings.needed("cookie_key")

    def published_version(self) -> str | None:
        # Every page asks, and a run publishes now and then.
        version, until = self._version
        if time.monotonic() > until:
            version = self._questions.published_version()
            self._version = (version, time.monotonic() + _VERSION_SECONDS)
        return version

    def published(self) -> "BigQueryWarehouse":
        return self._warehouse(self.settings.question_bytes_billed, published=True)

    def load_ga4(self, paths: Sequence[Path], **options: Any) -> "list[Loaded]":
        del paths, options
        raise CdpError(
            "GA4 exports into BigQuery by itself, and the refresh reads it there: link the "
            "property in GA4's admin page, and set CDP_EXPORT_DATASET"
        )

    def load_rows(self, table: str, paths: Sequence[Path], **options: Any) -> "list[LoadedRows]":
        from cdp.warehouse.row_files import load_rows  # noqa: PLC0415

        settings = self.settings
        warehouse = self._warehouse(settings.maximum_bytes_billed)
        with tempfile.TemporaryDirectory() as folder:
            loaded = load_rows(
                Path(folder),
                table,
                paths,
                purposes=tuple(self.policy.purposes),
                erased=self.erased(),
                speller=self.policy.speller(),
                memory_limit=settings.memory_limit,
                threads=settings.threads,
                **options,
            )
            files = sorted(Path(folder, table).glob("*.parquet"))
            new = {file.name for file in files if warehouse.load(table, file)}
        return [replace(one, unchanged=one.unchanged or one.stored not in new) for one in loaded]

    def problems(self) -> list[str]:
        # Not the secrets: they are the services', and whoever follows a refresh has neither.
        checks: list[Callable[[], object]] = [
            *(partial(self.settings.needed, name) for name in _NEEDED),
            lambda: self.documents.get("meta", "store"),
            lambda: self.objects.list("release/"),
            self._exported,
            lambda: self.executions.list(limit=1),
        ]
        found: list[str] = []
        for check in checks:
            try:
                check()
            except CdpError as error:
                found += [line for line in str(error).splitlines() if line not in found]
        return found

    def _exported(self) -> None:
        if not self._questions.export_tables():
            raise CdpError(
                f"{self.settings.export_dataset} holds no events tables yet; GA4 fills it the day "
                "after the property is linked, or set CDP_EXPORT_DATASET to the dataset it fills"
            )

    @cached_property
    def _questions(self) -> "BigQueryWarehouse":
        return self._warehouse(self.settings.question_bytes_billed)

    def _warehouse(self, most: int, *, published: bool = False) -> "BigQueryWarehouse":
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415
        from google.cloud import bigquery  # noqa: PLC0415

        from cdp.warehouse.bigquery import BigQueryWarehouse  # noqa: PLC0415

        settings = self.settings
        project = settings.needed("project")
        # Unlike its siblings, this library asks for credentials also where there is an emulator.
        emulated = "BIGQUERY_EMULATOR_HOST" in os.environ
        credentials = AnonymousCredentials() if emulated else None  # type: ignore[no-untyped-call]
        export = settings.needed("export_dataset")
        with _signed_in():
            client = bigquery.Client(project, credentials=credentials, location=settings.location)
        return BigQueryWarehouse(
            client,
            project=project,
            dataset=settings.dataset,
            location=settings.location,
            export=export if "." in export else f"{project}.{export}",
            maximum_bytes_billed=most,
            published=published,
        )


@contextmanager
def _signed_in() -> Iterator[None]:
    """Tell in words where Google's libraries find no credentials."""
    from google.auth.exceptions import DefaultCredentialsError  # noqa: PLC0415

    try:
        yield
    except DefaultCredentialsError as error:
        raise CdpError(
            "no credentials for Google Cloud; run `gcloud auth application-default login`, or run "
            "this as a service account on Google Cloud"
        ) from error

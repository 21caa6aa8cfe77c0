"""What every deployment has: its ports, filled in by `embedded` or `cloud`.

Parts are made on first use, so that a function pays only for those that it needs.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from cdp.domain.policy import Policy
from cdp.executions.port import ExecutionNotFound
from cdp.refresh.runs import Runs
from cdp.settings import Settings

if TYPE_CHECKING:
    from cdp.executions.port import Executions
    from cdp.governance.accounts import Accounts
    from cdp.governance.actions import Governance
    from cdp.governance.audit import Audit
    from cdp.governance.desk import Identifier
    from cdp.governance.erasures import Erasures
    from cdp.objects.port import ObjectStore
    from cdp.profiles.port import DocumentStore
    from cdp.queue.port import DeadLetters, Queue, Refused
    from cdp.refresh.steps import Steps
    from cdp.warehouse.ga4_files import Loaded
    from cdp.warehouse.port import Erasure, Warehouse
    from cdp.warehouse.row_files import LoadedRows


_ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = _ROOT if (_ROOT / "workflow.yaml").is_file() else _ROOT / "cdp" / "files"
"""Where Home.py, the pages and workflow.yaml are: the checkout, or the installed package."""


class Platform(ABC):
    """The parts of a deployment."""

    lease_seconds: ClassVar[int]
    poll_seconds: ClassVar[float]
    """How often whoever follows a run may ask for news."""
    first_load: ClassVar[str]
    """What comes before the first refresh, as the beginning of a sentence."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # --- what adapters fill in --------------------------------------------------------------------

    @property
    @abstractmethod
    def documents(self) -> "DocumentStore": ...

    @property
    @abstractmethod
    def objects(self) -> "ObjectStore": ...

    @property
    @abstractmethod
    def executions(self) -> "Executions": ...

    @property
    @abstractmethod
    def dead_letters(self) -> "DeadLetters": ...

    @property
    @abstractmethod
    def steps(self) -> "Steps":
        """What the workflow asks of Python."""

    @abstractmethod
    def refuse(self, id: str, data: Mapping[str, Any], attempt: int, error: "Refused") -> None:
        """Have the message *id*, which the ingest function refused, delivered no more.

        Raises:
            Refused: *error*, where the delivery takes that for an answer.
        """

    @property
    @abstractmethod
    def salt(self) -> str:
        """The secret that profile ids are made with; another one gives everybody a new id."""

    @property
    @abstractmethod
    def cookie_key(self) -> str:
        """The secret that signs the console's cookies; another one signs everybody out."""

    @abstractmethod
    def published_version(self) -> str | None:
        """Return what names the state that `published` opens; None where no run has settled."""

    @abstractmethod
    def published(self) -> "Warehouse":
        """Open the state that the last settled run published; the caller closes it.

        Raises:
            CdpError: no run has settled yet.
        """

    @abstractmethod
    def load_ga4(self, paths: Sequence[Path], **options: Any) -> "list[Loaded]":
        """Load files of the GA4 export; see `cdp.warehouse.ga4_files`."""

    @abstractmethod
    def load_rows(self, table: str, paths: Sequence[Path], **options: Any) -> "list[LoadedRows]":
        """Load files into a raw table, under the policy; see `cdp.warehouse.row_files`."""

    @abstractmethod
    def problems(self) -> list[str]:
        """Return what keeps the deployment from working, each with its fix."""

    def loaded_of(self, erasure: "Erasure") -> dict[str, int]:
        """Return how many identifiers of the erased loaded files hold, by table."""
        del erasure
        return {}

    def files(self) -> Iterable[Path]:
        """Yield the files that hold data on this machine, those of secrets left out."""
        return ()

    # --- what is the same everywhere --------------------------------------------------------------

    @cached_property
    def policy(self) -> Policy:
        return Policy.load(self.settings.policy)

    @cached_property
    def runs(self) -> Runs:
        return Runs(self.documents, lease_seconds=self.lease_seconds)

    @cached_property
    def accounts(self) -> "Accounts":
        from cdp.governance.accounts import Accounts  # noqa: PLC0415

        return Accounts(self.documents)

    @cached_property
    def audit(self) -> "Audit":
        from cdp.governance.audit import Audit  # noqa: PLC0415

        return Audit(self.documents)

    @cached_property
    def governance(self) -> "Governance":
        from cdp.governance.actions import Governance  # noqa: PLC0415

        return Governance(
            self.documents,
            self.accounts,
            self.audit,
            self.executions,
            self.executions.start,
            policy=self.policy,
            profiles_of=self._profiles_of,
            is_erased=self._is_erased,
        )

    def _profiles_of(self, identifier: "Identifier") -> list[str]:
        from cdp.insight.requests import profiles_of  # noqa: PLC0415

        if self.published_version() is None:
            return []
        with closing(self.published()) as warehouse:
            return profiles_of(warehouse, identifier.type, identifier.value)

    def _is_erased(self, identifier: "Identifier") -> bool:
        from cdp.domain.erasure import is_erased  # noqa: PLC0415
        from cdp.domain.identifiers import identifier_key  # noqa: PLC0415
        from cdp.insight.erasure import tombstones  # noqa: PLC0415

        key = identifier_key(self.salt)
        return is_erased(tombstones(self.documents), key, identifier.type, identifier.value)

    @cached_property
    def erasures(self) -> "Erasures":
        from cdp.governance.erasures import Erasures  # noqa: PLC0415

        return Erasures(
            self.documents,
            self.governance,
            lambda: self.salt,
            approval=self.policy.erasure.approval,
        )

    def erased(self) -> "Erasure | None":
        """Return whom a load leaves out; None where nobody was erased."""
        from cdp.domain.identifiers import identifier_key  # noqa: PLC0415
        from cdp.insight.erasure import tombstones  # noqa: PLC0415
        from cdp.warehouse.port import Erasure  # noqa: PLC0415

        stones = tombstones(self.documents)
        if not stones:
            return None
        return Erasure(self.settings.property, stones, identifier_key(self.salt), {})

    def steps_over(self, warehouse: "Warehouse", queue: "Queue") -> "Steps":
        """Return what the workflow asks of Python, over these two and the deployment's own."""
        from cdp.refresh.steps import Limits, Steps  # noqa: PLC0415

        settings = self.settings
        return Steps(
            warehouse=warehouse,
            documents=self.documents,
            runs=self.runs,
            objects=self.objects,
            queue=queue,
            dead_letters=self.dead_letters,
            policy=self.policy,
            property=settings.property,
            zone=ZoneInfo(settings.timezone),
            free_dead_lease=self.free_dead_lease,
            salt=self.salt,
            limits=Limits(
                shard_rows=settings.shard_rows,
                batch_events=settings.batch_events,
                delivery_timeout=settings.delivery_timeout,
                shard_days=settings.shard_days,
            ),
            topic=settings.topic,
        )

    def free_dead_lease(self) -> str | None:
        """End the run that holds the lease though its execution has ended, and return its id."""
        holder = self.runs.holder()
        if holder is None:
            return None
        try:
            execution = self.executions.get(holder)
        except ExecutionNotFound:
            # An execution is known before it takes the lease: this one was forgotten, or never was.
            self.runs.end(holder, "failed", {"error": "nobody knows its execution any more"})
            return holder
        if not execution.state.ended:
            return None
        self.runs.end(holder, execution.state.value.lower(), {"error": execution.error})
        return holder

    def release(self) -> str:
        """Store the statements of this release as objects; return their folder.

        Its name tells their content: a run reads the release that it began with.
        """
        import hashlib  # noqa: PLC0415
        import json  # noqa: PLC0415

        from cdp.objects.port import ObjectExists  # noqa: PLC0415
        from cdp.warehouse.statements import migrations, statements  # noqa: PLC0415

        texts = {**migrations(), **statements()}
        digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]
        for name, text in texts.items():
            with suppress(ObjectExists):
                self.objects.put(f"release/{digest}/{name}.sql", text.encode(), if_absent=True)
        return f"release/{digest}"

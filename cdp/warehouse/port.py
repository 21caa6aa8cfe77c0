"""Port: the warehouse that holds the export, and everything that the refresh derives from it.

Statements are BigQuery SQL with named parameters; they live in `cdp/warehouse/sql/`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Protocol

import polars as pl

from cdp.domain.days import ExportTable
from cdp.domain.errors import CdpError

Scalar = bool | int | float | str | date | datetime
Value = Scalar | Sequence[Scalar]


def type_of(value: Scalar) -> str:
    """Return BigQuery's type of *value*."""
    return _TYPES[type(value)]


_TYPES: Final[Mapping[type, str]] = {
    bool: "BOOL",
    int: "INT64",
    float: "FLOAT64",
    str: "STRING",
    date: "DATE",
    datetime: "TIMESTAMP",
}


class WarehouseBusy(CdpError):  # noqa: N818 - reads as the sentence it is
    """Another process writes the warehouse; says which."""


class StatementError(CdpError):
    """The engine refused a statement; carries its words and the statement's beginning."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a statement did: rows that it inserted, changed or deleted; 0 for a CREATE."""

    affected: int


@dataclass(frozen=True, slots=True)
class Shape:
    """How a table stands, or is declared.

    Args:
        columns: in order, each as it is declared, such as `event_date date`.
        storage: its partition and cluster, such as `partition by event_date cluster by client_key`;
            None where the engine stores all tables alike.
    """

    columns: tuple[str, ...]
    storage: str | None


@dataclass(frozen=True, slots=True)
class Erasure:
    """Whose rows go.

    Args:
        property: as it leads the client keys.
        keyed: what stands for each identifier; see `cdp.domain.identifiers.keyed`.
        key: the secret that it was made with.
        parameters: of the statements that delete; see `88_erase`.
        told: `type|value` of each identifier, as loaded links and decisions spell it.
        mentions: addresses and numbers, which are taken out of others' texts, too.
    """

    property: str
    keyed: frozenset[str]
    key: str
    parameters: Mapping[str, Value]
    told: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()


class Warehouse(Protocol):
    """Errors: `WarehouseBusy` where another writer holds it, `StatementError` where SQL fails."""

    def run(self, sql: str, parameters: Mapping[str, Value]) -> Job:
        """Run one statement that changes tables."""

    def query(self, sql: str, parameters: Mapping[str, Value]) -> pl.DataFrame:
        """Return the rows of one SELECT; for small results only."""

    def shapes(self) -> dict[str, Shape]:
        """Return how each table stands, by name; views and the export are none."""

    def drop(self, tables: Sequence[str]) -> None:
        """Take tables away; one that is not there is none."""

    def export_tables(self) -> list[ExportTable]:
        """Return the GA4 export's events tables."""

    def show_export(self, suffixes: Sequence[str]) -> None:
        """Let `export_event` be the rows of the export's tables that end in *suffixes*.

        With `table_suffix`, and each column in the type that statements read; at most
        `days.BATCH_DAYS` tables. Raises `StatementError` where one of them is not there.
        """

    def loaded_versions(self) -> list[str]:
        """Return what names the content of the loaded links and decisions, sorted."""

    def stop(self, run_id: str) -> None:
        """End the statements of a run that are still at work, and wait until they have ended."""

    def publish(self, run_id: str) -> None:
        """Let readers see the tables as they are now, at once and as a whole, as of that run."""

    def published_run(self) -> str | None:
        """Return the run whose tables readers see; None where they see none."""

    def erase(self, erasure: Erasure) -> dict[str, int]:
        """Delete somebody's rows: of the tables, of what readers see, and of what was loaded.

        Where files hold the tables, they hold nothing of what was deleted afterwards. Run again, it
        does what is left. A published state stays that of its run.

        Returns:
            Rows that went, or lost a text, by table.
        """

    def close(self) -> None:
        """Let go of what is open."""

"""The warehouse and the document store in the shape that this release reads and writes.

The workflow asks before it plans, under the lease, and again after the migrations that it is told.
"""

from collections.abc import Mapping
from typing import Final

from cdp.domain.errors import CdpError
from cdp.profiles.port import AlreadyExists, Create, DocumentStore
from cdp.warehouse.port import Shape, Warehouse
from cdp.warehouse.statements import cleaned, made, migrations, statements

DOCUMENTS: Final = 1
"""The version of the documents' shape; the release that changes it brings the change along."""
_FIX: Final = "use the release that wrote it, or a newer one"


class NewerSchema(CdpError):  # noqa: N818 - reads as the sentence it is
    """A newer release than this one wrote what is there."""


class HistoryAtStake(CdpError):  # noqa: N818 - reads as the sentence it is
    """Days must be cleaned again that the export has no more."""


def pending(warehouse: Warehouse, documents: DocumentStore, *, every_day: bool) -> list[str]:
    """Return the migrations that are still to be applied, in order.

    Where there are none, drop the tables that this release makes in another shape: `create or
    replace` takes no other partition or cluster, and `if not exists` leaves what stands.

    Args:
        every_day: the run may clean any day that it finds.

    Raises:
        NewerSchema: nothing was changed.
        HistoryAtStake: nothing was dropped.
    """
    _check(documents)
    stands = warehouse.shapes()
    applied: set[str] = set()
    if "migration" in stands:
        applied |= set(warehouse.query(statements()["95_migrations"], {})["name"])
    known = migrations()
    if newer := sorted(applied - known.keys()):
        raise NewerSchema(
            f"the warehouse was written by a newer release: {newer[-1]} was applied to it, and "
            f"this release knows no later migration than {max(known)}; {_FIX}"
        )
    left = [name for name in known if name not in applied]
    if not left:
        warehouse.drop(_outgrown(warehouse, stands, every_day=every_day))
    return left


def _check(documents: DocumentStore) -> None:
    """Record the documents' version where none is; refuse a newer one."""
    found = documents.get("meta", "schema")
    if found is None:
        try:
            documents.commit([Create("meta", "schema", {"version": DOCUMENTS})])
        except AlreadyExists:
            _check(documents)
    elif found.body["version"] > DOCUMENTS:
        raise NewerSchema(
            f"the document store was written by a newer release: its documents have version "
            f"{found.body['version']}, and this release knows them up to {DOCUMENTS}; {_FIX}"
        )


def _outgrown(warehouse: Warehouse, stands: Mapping[str, Shape], *, every_day: bool) -> list[str]:
    """Return the tables to drop: those of a run one by one, those of the days all or none."""
    dropped = [
        name
        for name, shape in made().items()
        if name in stands and not _stored_alike(stands[name], shape)
    ]
    if any(name in stands for name in cleaned()) and not all(
        name in stands
        and set(stands[name].columns) == set(shape.columns)
        and _stored_alike(stands[name], shape)
        for name, shape in cleaned().items()
    ):
        _check_days(warehouse, stands, every_day=every_day)
        dropped += [name for name in cleaned() if name in stands]
    return dropped


def _stored_alike(stands: Shape, shape: Shape) -> bool:
    return stands.storage is None or stands.storage == shape.storage


def _check_days(warehouse: Warehouse, stands: Mapping[str, Shape], *, every_day: bool) -> None:
    """Refuse to drop days that this run would not clean again."""
    if not every_day:
        raise HistoryAtStake(
            "this release cleans every day again, into other tables; refresh once without --since "
            "and --until"
        )
    if "cleaned_day" not in stands:
        return
    exported = {table.day for table in warehouse.export_tables()}
    held = warehouse.query(statements()["91_cleaned_days"], {})["event_date"]
    if gone := [day for day in held if day not in exported]:
        raise HistoryAtStake(
            "this release cleans every day again, into other tables, and of the days from "
            f"{gone[0]} to {gone[-1]} the export no longer has {len(gone)}; bring them back into "
            "the export, or drop the warehouse's table cleaned_day to go on without them"
        )

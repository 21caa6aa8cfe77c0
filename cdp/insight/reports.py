"""Reports: figures over everything, computed once a run and read by pages as one document."""

from datetime import date
from typing import Any, Final

from cdp.domain.policy import Policy
from cdp.insight import consent, overview, stitching
from cdp.profiles.port import DocumentStore, Put
from cdp.warehouse.port import Warehouse

REPORTS: Final = "reports"


def write(
    warehouse: Warehouse,
    documents: DocumentStore,
    policy: Policy,
    *,
    today: date,
    stamp: dict[str, Any],
) -> None:
    """Compute every report and store them together, as `reports/<subject>`.

    Args:
        today: the property's own day.
        stamp: what each says of the run it was made by.
    """
    made = {
        "overview": overview.report(warehouse, documents, policy, today=today),
        "stitching": stitching.report(warehouse, policy),
        "consent": consent.report(warehouse, documents, policy, today=today),
    }
    documents.commit([Put(REPORTS, name, {**body, **stamp}) for name, body in made.items()])

"""Loaded decisions and links that match nobody: counted, and told in words."""

from collections.abc import Mapping

from cdp.domain.policy import Policy
from cdp.warehouse.port import Warehouse
from cdp.warehouse.spelling import unspelled
from cdp.warehouse.statements import statements


def unmatched(warehouse: Warehouse, policy: Policy) -> dict[str, int]:
    """Return how many match nobody in what was published, as `unmatched_…` of each kind."""
    speller = policy.speller()
    # What was loaded since the last run is spelled nowhere yet.
    asked = {"rules": speller.digest, "spelled": unspelled(warehouse, speller)}
    return warehouse.query(statements()["96_unmatched"], asked).to_dicts()[0]


def told(counts: Mapping[str, int]) -> list[str]:
    """Return a sentence of each kind that there is any of."""
    decisions, links = counts["unmatched_decisions"], counts["unmatched_links"]
    sentences = []
    if decisions:
        what = "decision is of an identifier" if decisions == 1 else "decisions are of identifiers"
        act = "it takes" if decisions == 1 else "they take"
        sentences.append(
            f"{decisions:,} {what} that no profile has; {act} effect when one appears."
        )
    if links:
        what = "link leads" if links == 1 else "links lead"
        act = "it joins" if links == 1 else "they join"
        sentences.append(
            f"{links:,} {what} to nobody whom the export has seen; {act} when somebody appears."
        )
    return sentences

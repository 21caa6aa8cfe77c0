"""The audit log as a table."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from cdp.profiles.port import Document
from cdp.ui import words

ACTIONS: Final[Mapping[str, str]] = {
    "refresh:start": "Start a refresh",
    "refresh:cancel": "Cancel a refresh",
    "profile:reveal": "Reveal identifiers",
    "profile:download": "Download a profile",
    "profiles:export": "Export a list",
    "load:ga4": "Load the GA4 export",
    "load:links": "Load links",
    "load:consent": "Load consent decisions",
    "consent:decide": "Write a decision down",
    "consent:resolve": "Resolve a disagreement",
    "account:add": "Add an account",
    "account:password": "Change a password",
    "account:role": "Change a role",
    "account:disable": "Disable an account",
    "account:enable": "Enable an account",
    "session:begin": "Sign in",
    "session:end": "Sign out",
    "session:locked": "Lock out",
    "session:over": "Act in a session that is over",
}

_SHOWN: Final = 2
"""Parts of a detail that a row tells; loading may have taken 400 files."""


def table(rows: Sequence[Document]) -> list[dict[str, Any]]:
    """Return rows for a table of the audit log."""
    return [
        {
            "When": words.moment(row.body["at"], seconds=True),
            "Who": row.body["actor"],
            "Action": ACTIONS.get(row.body["action"], row.body["action"]),
            "On": row.body["target"],
            "Outcome": row.body["outcome"],
            "Why": row.body["reason"],
            "Details": _details(row.body["details"]),
        }
        for row in rows
    ]


def _details(details: Mapping[str, Any]) -> str:
    return " · ".join(
        f"{name.replace('_', ' ')}: {_told(value)}" for name, value in details.items()
    )


def _told(value: Any) -> str:
    """Return a detail in words; of a long list the first ones, and how many more there are."""
    if isinstance(value, dict):
        first = ", ".join(f"{name} {_told(one)}" for name, one in islice(value.items(), _SHOWN))
        more = len(value) - _SHOWN
        return f"{first} and {words.number(more)} more" if more > 0 else first
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return words.number(value)
    return str(value)

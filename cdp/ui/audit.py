"""The audit log as a table."""

from collections.abc import Mapping, Sequence
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
    parts = []
    for name, value in details.items():
        shown = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        parts.append(f"{name.replace('_', ' ')}: {shown}")
    return " · ".join(parts)

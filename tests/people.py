"""Accounts for tests, written straight to the store, with hashes that are quick to check."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cdp.domain.access import Role
from cdp.governance.accounts import Accounts
from cdp.profiles.port import DocumentStore, Put

PASSWORD = "correct horse battery"
ROUNDS = 4


class Clock:
    """A clock that goes on only when told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 10, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)


def add(
    documents: DocumentStore,
    username: str,
    role: Role = Role.MARKETER,
    *,
    email: str | None = None,
    password: str | None = PASSWORD,
) -> None:
    """Store an account."""
    accounts = Accounts(documents, rounds=ROUNDS)
    name = username.capitalize()
    documents.commit(accounts.added(username, name=name, role=role, email=email, password=password))


def change(documents: DocumentStore, username: str, **more: Any) -> None:
    """Change an account as `user` does: its sessions end."""
    documents.commit(Accounts(documents, rounds=ROUNDS).changed(username, **more))


def tamper(documents: DocumentStore, username: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit an account's document behind everybody's back."""
    found = documents.get("users", username)
    assert found is not None
    edit(found.body)
    documents.commit([Put("users", username, found.body)])


def audited(documents: DocumentStore, *fields: str, **where: str) -> list[tuple[Any, ...]]:
    """Return these fields of the audit log's rows, the oldest first."""
    rows = documents.page("audit", limit=1000).documents
    return [
        tuple(row.body[field] for field in fields)
        for row in rows
        if all(row.body[path] == value for path, value in where.items())
    ]

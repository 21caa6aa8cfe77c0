"""Accounts of the console: who may sign in, with which role, and what locks them out.

Roles live here and nowhere else, also for people whom an identity provider signs in.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

import bcrypt

from cdp.domain.access import Role
from cdp.domain.errors import CdpError
from cdp.domain.payload import timestamp
from cdp.profiles.port import (
    AlreadyExists,
    Conflict,
    Create,
    Delete,
    Document,
    DocumentStore,
    Put,
    Where,
    Write,
)

USERS: Final = "users"
ATTEMPTS: Final = 5
LOCKED: Final = timedelta(minutes=15)
MIN_PASSWORD: Final = 10
MAX_PASSWORD_BYTES: Final = 72
"""bcrypt reads no further. Source: OWASP Password Storage Cheat Sheet."""

_ATTEMPTS: Final = "sign_in_attempts"
# Of each document that is written; another app's user has others.
_SHAPE: Final[Mapping[str, Any]] = {
    "name": str,
    "role": str | None,
    "email": str | None,
    "password": str | None,
    "disabled": bool,
    "signed_out_at": str,
}
_USERNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class AccountError(CdpError):
    """An account cannot be made or changed so; says what is accepted."""


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who may sign in; `password` is a bcrypt hash, None where only a provider vouches.

    A role that this release does not know is none. Sessions that began before `signed_out_at` are
    over.
    """

    username: str
    name: str
    role: Role | None
    email: str | None = None
    password: str | None = None
    disabled: bool = False
    signed_out_at: str = ""

    @classmethod
    def of(cls, document: Document) -> Self | None:
        """Return the account that *document* is; None where it is none that we wrote."""
        body = document.body
        if not all(isinstance(body.get(name, ...), kind) for name, kind in _SHAPE.items()):
            return None
        return cls(
            document.id,
            name=body["name"],
            role=next((role for role in Role if role == body["role"]), None),
            email=body["email"],
            password=body["password"],
            disabled=body["disabled"],
            signed_out_at=body["signed_out_at"],
        )

    @property
    def active(self) -> bool:
        return not self.disabled and self.role is not None


class Accounts:
    """Documents `users/<username>`, and `sign_in_attempts/<username>` while attempts count.

    Args:
        rounds: bcrypt's cost, as a power of two.
        clock: returns the time, aware.
    """

    def __init__(
        self,
        documents: DocumentStore,
        *,
        rounds: int = 12,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._rounds = rounds
        self._clock = clock

    def get(self, username: str) -> Account | None:
        if not _USERNAME.fullmatch(username):
            return None
        found = self._documents.get(USERS, username)
        return Account.of(found) if found else None

    def of_email(self, email: str) -> Account | None:
        """Return the account with this e-mail address; None where none has it, or several."""
        found = self._claiming(_address(email))
        return found[0] if len(found) == 1 else None

    def _claiming(self, address: str) -> list[Account]:
        if not address:
            return []
        same = [Where("email", "==", address)]
        return _accounts(self._documents.page(USERS, where=same, limit=20).documents)

    def exist(self) -> bool:
        """Whether there is any account."""
        return any(self._pages())

    def all(self) -> list[Account]:
        """Return every account, by username."""
        return [account for page in self._pages() for account in page]

    def _pages(self) -> Iterator[list[Account]]:
        after = None
        while True:
            page = self._documents.page(USERS, after=after, limit=200)
            yield _accounts(page.documents)
            after = page.cursor
            if after is None:
                return

    # --- changes: writes to be committed together with their audit row ----------------------------

    def added(
        self, username: str, *, name: str, role: Role, email: str | None, password: str | None
    ) -> list[Write]:
        """Return the writes that make a new account.

        Raises:
            AccountError: a username, e-mail address or password that is not accepted.
        """
        if not _USERNAME.fullmatch(username):
            raise AccountError(
                f"username {username!r}: take 1 to 64 of a-z, 0-9, '.', '_' and '-', a letter or "
                "digit first"
            )
        if self.get(username) is not None:
            raise AccountError(f"there is an account {username!r} already; `user list` shows it")
        address = _address(email or "")
        if not password and not address:
            raise AccountError("an account needs a password, or an e-mail address to sign in by")
        if address and not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise AccountError(f"{email!r} is not an e-mail address")
        if self._claiming(address):
            raise AccountError("another account has this e-mail address")
        account = Account(
            username, name.strip() or username, role, address or None, self.hash(password or "")
        )
        return [Create(USERS, username, _body(account))]

    def changed(self, username: str, **more: Any) -> list[Write]:
        """Return the writes that change an account, and end all its sessions.

        Raises:
            AccountError: there is no such account.
        """
        found = self._documents.get(USERS, username) if _USERNAME.fullmatch(username) else None
        account = Account.of(found) if found else None
        if found is None or account is None:
            raise AccountError(f"there is no account {username!r}; `user list` shows all")
        after = replace(account, **more, signed_out_at=timestamp(self._clock()))
        return [
            Put(USERS, username, _body(after), expect=found.version),
            Delete(_ATTEMPTS, username),
        ]

    def hash(self, password: str) -> str | None:
        """Return the bcrypt hash of a password, None of none.

        Raises:
            AccountError: too short, too long, or with space around it, which the form drops.
        """
        if not password:
            return None
        if password != password.strip():
            raise AccountError("a password does not begin or end with a space")
        if len(password) < MIN_PASSWORD or len(password.encode()) > MAX_PASSWORD_BYTES:
            raise AccountError(
                f"a password has at least {MIN_PASSWORD} characters, and at most "
                f"{MAX_PASSWORD_BYTES} bytes"
            )
        return bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._rounds)).decode()

    # --- signing in -------------------------------------------------------------------------------

    def attempt(self, username: str) -> bool:
        """Count an attempt to sign in; False where the account is locked.

        It counts before the password is looked at, so that many attempts at once count, too. The
        lock ends by itself; attempts meanwhile do not prolong it.
        """
        now = self._clock()
        found = self._documents.get(_ATTEMPTS, username)
        count = found.body["count"] if found and found.body["until"] > timestamp(now) else 0
        if count >= ATTEMPTS:
            return False
        after = {"count": count + 1, "until": timestamp(now + LOCKED)}
        try:
            self._documents.commit(
                [
                    Put(_ATTEMPTS, username, after, expect=found.version)
                    if found
                    else Create(_ATTEMPTS, username, after)
                ]
            )
        except (AlreadyExists, Conflict):  # another attempt at the same moment
            return self.attempt(username)
        return True

    def locked(self, username: str) -> bool:
        """Whether the attempts are used up."""
        found = self._documents.get(_ATTEMPTS, username)
        return (
            found is not None
            and found.body["count"] >= ATTEMPTS
            and found.body["until"] > timestamp(self._clock())
        )

    def succeeded(self, username: str) -> None:
        """Forget the attempts of somebody who signed in."""
        self._documents.commit([Delete(_ATTEMPTS, username)])


def _accounts(documents: Iterable[Document]) -> list[Account]:
    return [account for document in documents if (account := Account.of(document))]


def _address(email: str) -> str:
    return email.strip().lower()


def _body(account: Account) -> dict[str, Any]:
    body = asdict(account)
    del body["username"]
    return body

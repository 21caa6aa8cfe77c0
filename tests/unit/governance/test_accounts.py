"""Who may sign in: names, passwords, e-mail addresses, roles, and the lock."""

import threading
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from cdp.domain.access import Role
from cdp.governance.accounts import ATTEMPTS, USERS, AccountError, Accounts
from cdp.profiles.port import AlreadyExists, Conflict, Put, Write
from cdp.profiles.sqlite import SqliteDocuments
from tests.people import PASSWORD, ROUNDS, Clock, add, tamper


@pytest.fixture
def documents(tmp_path: Path) -> SqliteDocuments:
    return SqliteDocuments(tmp_path / "documents.sqlite")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(documents: SqliteDocuments, clock: Clock) -> Accounts:
    return Accounts(documents, rounds=ROUNDS, clock=clock)


def added(accounts: Accounts, username: str = "ada", **more: str | None) -> list[Write]:
    given = {"name": "", "email": None, "password": PASSWORD, **more}
    return accounts.added(username, role=Role.ADMIN, **given)  # type: ignore[arg-type]


WHOLE: dict[str, Any] = {
    "name": "Eve",
    "role": "admin",
    "email": "eve@example.com",
    "password": None,
    "disabled": False,
    "signed_out_at": "",
}


# --- what is accepted -----------------------------------------------------------------------------


@pytest.mark.parametrize("username", ["a", "ada", "ada.b_c-1", "0", "a" * 64])
def test_plain_usernames_are_accepted(
    accounts: Accounts, documents: SqliteDocuments, username: str
) -> None:
    documents.commit(added(accounts, username))
    found = accounts.get(username)
    assert found is not None
    assert (found.username, found.name, found.role) == (username, username, Role.ADMIN)


@pytest.mark.parametrize(
    "username",
    [
        "",
        "Ada",
        "ada ",
        " ada",
        "ada\n",
        ".ada",
        "-ada",
        "a" * 65,
        "a/b",
        "shell:ada",
        "ädä",
        "a@b.c",
    ],
)
def test_other_usernames_are_refused_and_nobody_is_found_by_them(
    accounts: Accounts, username: str
) -> None:
    with pytest.raises(AccountError, match="take 1 to 64 of"):
        added(accounts, username)
    assert accounts.get(username) is None
    with pytest.raises(AccountError, match="there is no account"):
        accounts.changed(username, disabled=True)


FOREIGN: list[dict[str, Any]] = [
    {"role": "admin"},
    {"name": "Eve", "role": "admin", "email": "eve@example.com"},
    {"name": "Eve", "role": "admin", "email": "eve@example.com", "password": None},
    {**WHOLE, "disabled": "no"},
    {**WHOLE, "role": 1},
    {**WHOLE, "email": ["eve@example.com"]},
    {name: WHOLE[name] for name in WHOLE if name != "signed_out_at"},
]


@pytest.mark.parametrize("body", FOREIGN)
def test_a_document_of_another_shape_is_nobodys_account(
    accounts: Accounts, documents: SqliteDocuments, body: dict[str, Any]
) -> None:
    documents.commit([Put(USERS, "eve", body)])
    assert accounts.get("eve") is None
    assert accounts.of_email("eve@example.com") is None
    assert accounts.all() == []
    assert not accounts.exist()
    with pytest.raises(AccountError, match="there is no account"):
        accounts.changed("eve", disabled=False)
    documents.commit(added(accounts))
    assert [account.username for account in accounts.all()] == ["ada"]
    assert accounts.exist()


def test_a_document_of_the_whole_shape_is_an_account(
    accounts: Accounts, documents: SqliteDocuments
) -> None:
    documents.commit([Put(USERS, "eve", WHOLE)])
    found = accounts.of_email("eve@example.com")
    assert found is not None
    assert found.active


def test_a_username_is_given_once(accounts: Accounts, documents: SqliteDocuments) -> None:
    first, second = added(accounts), added(accounts, name="The other")
    documents.commit(first)
    with pytest.raises(AlreadyExists):  # both looked before either wrote
        documents.commit(second)
    with pytest.raises(AccountError, match="already"):
        added(accounts)
    assert [account.name for account in accounts.all()] == ["ada"]


@pytest.mark.parametrize("password", ["nine char", "x" * 73, "ü" * 37, "é" * 9])
def test_a_password_that_is_short_or_beyond_what_bcrypt_reads_is_refused(
    accounts: Accounts, password: str
) -> None:
    with pytest.raises(AccountError, match="at least 10 characters, and at most 72 bytes"):
        added(accounts, password=password)


@pytest.mark.parametrize("password", ["x" * 10, "x" * 72, "ü" * 36, "with a space inside"])
def test_a_password_is_kept_as_a_hash_of_all_of_it(accounts: Accounts, password: str) -> None:
    kept = accounts.hash(password)
    assert kept is not None
    assert kept.startswith("$2b$04$")
    assert bcrypt.checkpw(password.encode(), kept.encode())
    assert not bcrypt.checkpw(password[:-1].encode(), kept.encode())


@pytest.mark.parametrize(
    "password", [" leading space", "trailing space ", "a new line\n", " " * 12]
)
def test_a_password_that_the_form_would_strip_is_refused(accounts: Accounts, password: str) -> None:
    with pytest.raises(AccountError, match="does not begin or end with a space"):
        added(accounts, password=password)


def test_the_cost_of_a_hash_is_twelve_unless_told(documents: SqliteDocuments) -> None:
    assert str(Accounts(documents).hash(PASSWORD)).startswith("$2b$12$")


def test_an_account_needs_some_way_to_sign_in(accounts: Accounts) -> None:
    for email in (None, "", "  "):
        with pytest.raises(AccountError, match="needs a password, or an e-mail address"):
            added(accounts, email=email, password=None)


def test_an_account_of_an_identity_provider_has_no_password(
    accounts: Accounts, documents: SqliteDocuments
) -> None:
    documents.commit(added(accounts, email="Ada@Example.com ", password=None))
    found = accounts.get("ada")
    assert found is not None
    assert (found.email, found.password, found.active) == ("ada@example.com", None, True)


@pytest.mark.parametrize("email", ["ada", "@", "a@", "@b", "a b@c.de", "a@b@c", "a@b\n"])
def test_what_is_no_email_address_is_refused(accounts: Accounts, email: str) -> None:
    if email == "a@b\n":  # space around it is dropped
        assert added(accounts, email=email)
        return
    with pytest.raises(AccountError, match="is not an e-mail address"):
        added(accounts, email=email)


def test_an_email_address_belongs_to_one_account(
    accounts: Accounts, documents: SqliteDocuments
) -> None:
    documents.commit(added(accounts, email="ada@example.com"))
    with pytest.raises(AccountError, match="another account has this e-mail address"):
        added(accounts, "eve", email=" ADA@example.com")
    found = accounts.of_email("Ada@Example.com ")
    assert found is not None
    assert found.username == "ada"


def test_an_email_address_that_two_accounts_claim_signs_in_neither(
    accounts: Accounts, documents: SqliteDocuments
) -> None:
    both = [*added(accounts, "ada", email="a@b.c"), *added(accounts, "eve", email="a@b.c")]
    documents.commit(both)
    assert accounts.of_email("a@b.c") is None
    with pytest.raises(AccountError, match="another account"):
        added(accounts, "bob", email="a@b.c")


@pytest.mark.parametrize("email", ["", " ", "nobody@example.com"])
def test_nobody_is_found_by_an_email_address_that_no_account_has(
    accounts: Accounts, documents: SqliteDocuments, email: str
) -> None:
    documents.commit(added(accounts, email=" "))  # none, and not the empty one
    assert accounts.of_email(email) is None


# --- roles ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [None, "", "owner", "Admin"])
def test_an_account_without_a_role_that_is_known_is_not_active(
    accounts: Accounts, documents: SqliteDocuments, role: str | None
) -> None:
    add(documents, "ada", Role.ADMIN)
    tamper(documents, "ada", lambda body: body.update(role=role))
    found = accounts.get("ada")
    assert found is not None
    assert (found.role, found.active) == (None, False)
    assert [account.active for account in accounts.all()] == [False]


def test_a_disabled_account_is_not_active(accounts: Accounts, documents: SqliteDocuments) -> None:
    add(documents, "ada", Role.ADMIN)
    documents.commit(accounts.changed("ada", disabled=True))
    found = accounts.get("ada")
    assert found is not None
    assert not found.active


def test_every_account_is_listed_by_username(
    accounts: Accounts, documents: SqliteDocuments
) -> None:
    names = [f"user{number:03}" for number in range(205)]
    documents.commit(
        [
            write
            for name in reversed(names)
            for write in accounts.added(
                name, name="", role=Role.MARKETER, email=f"{name}@example.com", password=None
            )
        ]
    )
    assert [account.username for account in accounts.all()] == names


def test_a_change_ends_sessions_and_of_two_at_once_one_is_refused(
    accounts: Accounts, documents: SqliteDocuments, clock: Clock
) -> None:
    add(documents, "ada", Role.ADMIN)
    first, second = accounts.changed("ada", role=Role.MARKETER), accounts.changed("ada", name="A")
    documents.commit(first)
    with pytest.raises(Conflict):
        documents.commit(second)
    found = accounts.get("ada")
    assert found is not None
    assert (found.role, found.name) == (Role.MARKETER, "Ada")
    assert found.signed_out_at == "2026-10-01T12:00:00.000000Z"


# --- the lock -------------------------------------------------------------------------------------


def test_five_attempts_lock_the_account_and_no_other(accounts: Accounts) -> None:
    assert [accounts.attempt("ada") for _ in range(7)] == [True] * ATTEMPTS + [False] * 2
    assert accounts.locked("ada")
    assert accounts.attempt("bob")
    assert not accounts.locked("bob")


def test_attempts_count_wherever_they_are_made(
    documents: SqliteDocuments, tmp_path: Path, clock: Clock
) -> None:
    another = SqliteDocuments(tmp_path / "documents.sqlite")
    servers = [Accounts(store, rounds=ROUNDS, clock=clock) for store in (documents, another)]
    assert [servers[i % 2].attempt("ada") for i in range(6)] == [True] * ATTEMPTS + [False]


def test_of_many_attempts_at_once_five_count(accounts: Accounts) -> None:
    allowed: list[bool] = []
    start = threading.Barrier(12)

    def attempt() -> None:
        start.wait()
        allowed.append(accounts.attempt("ada"))

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed) == [False] * (12 - ATTEMPTS) + [True] * ATTEMPTS


def test_the_lock_ends_by_itself_and_attempts_meanwhile_do_not_prolong_it(
    accounts: Accounts, clock: Clock
) -> None:
    for _ in range(ATTEMPTS):
        accounts.attempt("ada")
    for _ in range(14):
        clock.pass_by(minutes=1)
        assert not accounts.attempt("ada")
    clock.pass_by(seconds=59)
    assert accounts.locked("ada")
    clock.pass_by(seconds=1)
    assert not accounts.locked("ada")
    assert [accounts.attempt("ada") for _ in range(6)] == [True] * ATTEMPTS + [False]


def test_attempts_of_long_ago_do_not_count(accounts: Accounts, clock: Clock) -> None:
    for _ in range(ATTEMPTS - 1):
        accounts.attempt("ada")
    clock.pass_by(minutes=15)
    assert [accounts.attempt("ada") for _ in range(6)] == [True] * ATTEMPTS + [False]


def test_slow_guessing_is_counted_as_long_as_it_goes_on(accounts: Accounts, clock: Clock) -> None:
    allowed = []
    for _ in range(ATTEMPTS + 1):
        allowed.append(accounts.attempt("ada"))
        clock.pass_by(minutes=14)
    assert allowed == [True] * ATTEMPTS + [False]


def test_success_forgets_the_attempts_before_it(accounts: Accounts) -> None:
    for _ in range(ATTEMPTS):
        accounts.attempt("ada")
    accounts.succeeded("ada")
    assert not accounts.locked("ada")
    assert [accounts.attempt("ada") for _ in range(6)] == [True] * ATTEMPTS + [False]


def test_another_password_lifts_the_lock(accounts: Accounts, documents: SqliteDocuments) -> None:
    add(documents, "ada")
    for _ in range(ATTEMPTS):
        accounts.attempt("ada")
    documents.commit(accounts.changed("ada", password=accounts.hash("another password")))
    assert not accounts.locked("ada")

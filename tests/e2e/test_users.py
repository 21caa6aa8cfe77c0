"""Accounts at the command line, and the console's port."""

import re
import socket
import stat
from collections.abc import Iterator

import pytest

from tests.e2e.support import Cdp
from tests.people import audited

PASSWORD = "correct horse battery"


def add(cdp: Cdp, username: str, *more: str, role: str = "admin") -> str:
    return cdp.run(
        "user", "add", username, "--role", role, "--password-stdin", *more, typed=PASSWORD
    )


def accounts(cdp: Cdp) -> list[tuple[str, str, str]]:
    return [(row["username"], row["role"], row["state"]) for row in cdp.json("user", "list")]


def signs_in(cdp: Cdp, username: str, password: str) -> bool:
    import bcrypt

    account = cdp.platform.accounts.get(username)
    assert account is not None
    assert account.password is not None
    return bcrypt.checkpw(password.encode(), account.password.encode())


def test_an_account_from_its_beginning_to_its_end(cdp: Cdp) -> None:
    assert "user add NAME --role admin" in cdp.run("user", "list")
    assert "ada may sign in, as admin" in add(cdp, "ada", "--name", "Ada [b]Lovelace[/b]")
    assert "max may sign in, as marketer" in cdp.run(
        "user", "add", "max", "--role", "marketer", "--email", "max@example.com", "--no-password"
    )
    assert accounts(cdp) == [("ada", "admin", "active"), ("max", "marketer", "active")]
    assert signs_in(cdp, "ada", PASSWORD)
    shown = cdp.run("user", "list")
    assert "Ada [b]Lovelace[/b]" in shown
    assert "identity provider" in shown

    cdp.run("user", "passwd", "ada", "--password-stdin", typed="another password\r\n")
    assert signs_in(cdp, "ada", "another password")
    cdp.run("user", "role", "max", "admin")
    cdp.run("user", "role", "ada", "marketer")
    cdp.run("user", "disable", "ada")
    assert accounts(cdp) == [("ada", "marketer", "disabled"), ("max", "admin", "active")]
    cdp.run("user", "enable", "ada")
    assert accounts(cdp)[0] == ("ada", "marketer", "active")

    rows = audited(cdp.platform.documents, "actor", "action", "target", "outcome")
    assert [row[1:] for row in rows] == [
        ("account:add", "ada", "done"),
        ("account:add", "max", "done"),
        ("account:password", "ada", "done"),
        ("account:role", "max", "done"),
        ("account:role", "ada", "done"),
        ("account:disable", "ada", "done"),
        ("account:enable", "ada", "done"),
    ]
    assert {row[0].partition(":")[0] for row in rows} == {"shell"}


def test_no_password_and_no_hash_is_shown(cdp: Cdp) -> None:
    told = add(cdp, "ada") + cdp.run("user", "list") + cdp.run("user", "list", "--json")
    assert PASSWORD not in told
    assert "$2b$" not in told


def test_what_is_not_accepted_is_told_with_what_is(cdp: Cdp) -> None:
    add(cdp, "ada", "--email", "ada@example.com")
    wrong = {
        "there is an account 'ada' already": ("add", "ada", "--role", "admin"),
        "take 1 to 64 of": ("add", "Ada Lovelace", "--role", "admin"),
        "another account has this e-mail": (
            *("add", "eve", "--role", "admin", "--email", "Ada@Example.com"),
        ),
        "there is no account 'bob'": ("passwd", "bob"),
    }
    for told, command in wrong.items():
        said = cdp.run("user", *command, "--password-stdin", code=1, typed=PASSWORD)
        assert told in said
        assert "Traceback" not in said
    short = cdp.run("user", "passwd", "ada", "--password-stdin", code=1, typed="short")
    assert "at least 10 characters" in short
    assert "'owner' is not one of" in cdp.run("user", "role", "ada", "owner", code=2)
    assert "there is no account 'bob'" in cdp.run("user", "disable", "bob", code=1)
    assert accounts(cdp) == [("ada", "admin", "active")]
    assert signs_in(cdp, "ada", PASSWORD)


def test_without_a_terminal_or_a_line_there_is_no_password(cdp: Cdp) -> None:
    new = ("user", "add", "ada", "--role", "admin", "--email", "ada@example.com")
    assert "use --password-stdin" in cdp.run(*new, code=1)
    assert "holds no password" in cdp.run(*new, "--password-stdin", code=1, typed="\n")
    assert accounts(cdp) == []


def test_the_demo_makes_two_accounts_whose_passwords_it_tells_once(cdp: Cdp) -> None:
    told = cdp.run("demo", "--people", "40", "--days", "2")
    file = cdp.home / "first-passwords.txt"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    given = dict(line.split() for line in file.read_text().splitlines())
    assert set(given) == {"admin", "marketer"}
    for username, password in given.items():
        assert re.search(rf"^\s*{username}\s+{re.escape(password)}\s*$", told, re.MULTILINE)
        assert signs_in(cdp, username, password)
    again = cdp.run("demo", "--people", "40", "--days", "2")
    assert not any(password in again for password in given.values())


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_taken_is_told_before_anything_starts(cdp: Cdp, taken: int) -> None:
    told = cdp.run("serve", "--port", str(taken), code=1)
    assert f"127.0.0.1:{taken} cannot be listened on" in told
    assert "say another --port" in told


def test_an_address_that_is_not_this_machines_is_told(cdp: Cdp) -> None:
    told = cdp.run("serve", "--address", "192.0.2.1", code=1)
    assert "192.0.2.1:8501 cannot be listened on" in told
    assert "no-such-option" in cdp.run("serve", "--no-such-option", code=2)

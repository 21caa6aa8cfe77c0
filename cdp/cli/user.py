"""`cdp user`: who may sign in to the console."""

import sys

import click
from rich.table import Table
from rich.text import Text

from cdp.cli.common import JSON, out, print_json, shell, with_platform
from cdp.deployments.build import Platform
from cdp.domain.access import Role
from cdp.domain.errors import CdpError

ROLE = click.Choice([role.value for role in Role])
PASSWORD_IN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


@click.group()
def user() -> None:
    """Accounts of the console. Marketers read; admins also act."""


@user.command("add")
@click.argument("username")
@click.option("--role", type=ROLE, required=True)
@click.option("--name", default="", help="As the console shows it; the username if not given.")
@click.option("--email", help="By which an identity provider's sign-in finds the account.")
@click.option("--no-password", is_flag=True, help="Only the identity provider signs them in.")
@PASSWORD_IN
@with_platform
def add_user(
    platform: Platform,
    username: str,
    *,
    role: str,
    name: str,
    email: str | None,
    no_password: bool,
    password_stdin: bool,
) -> None:
    """Add an account; asks for its password."""
    password = None if no_password else _password(password_stdin)
    platform.governance.add_account(
        shell(), username, name=name, role=Role(role), email=email, password=password
    )
    out.print(f"{username} may sign in, as {role}.")


@user.command("passwd")
@click.argument("username")
@PASSWORD_IN
@with_platform
def set_password(platform: Platform, username: str, password_stdin: bool) -> None:
    """Give an account another password; ends its sessions and a lock on it."""
    platform.governance.set_password(shell(), username, _password(password_stdin))
    out.print(f"{username} has another password, and is signed out everywhere.")


@user.command("role")
@click.argument("username")
@click.argument("role", type=ROLE)
@with_platform
def set_role(platform: Platform, username: str, role: str) -> None:
    """Give an account another role; ends its sessions."""
    platform.governance.set_role(shell(), username, Role(role))
    out.print(f"{username} is {role} now, and signs in anew.")


@user.command("disable")
@click.argument("username")
@with_platform
def disable_user(platform: Platform, username: str) -> None:
    """Close an account, at once; `enable` opens it again."""
    platform.governance.set_disabled(shell(), username, disabled=True)
    out.print(f"{username} cannot sign in any more, and is signed out everywhere.")


@user.command("enable")
@click.argument("username")
@with_platform
def enable_user(platform: Platform, username: str) -> None:
    """Open a closed account again."""
    platform.governance.set_disabled(shell(), username, disabled=False)
    out.print(f"{username} may sign in again.")


@user.command("list")
@JSON
@with_platform
def list_users(platform: Platform, as_json: bool) -> None:
    """List accounts; never their passwords."""
    rows = [
        {
            "username": account.username,
            "name": account.name,
            "role": account.role.value if account.role else "",
            "email": account.email or "",
            "password": account.password is not None,
            "state": "disabled" if account.disabled else "active",
        }
        for account in platform.accounts.all()
    ]
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("No accounts yet; `cdp user add NAME --role admin` makes one.")
        return
    table = Table(box=None, header_style="dim")
    for heading in ("username", "name", "role", "e-mail", "signs in by", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        by = "password" if row["password"] else "identity provider"
        cells = (row["username"], row["name"], row["role"], row["email"], by, row["state"])
        table.add_row(*(Text(str(cell)) for cell in cells))
    out.print(table)


def _password(from_stdin: bool) -> str:
    """Return a password that was typed twice, or the first line of standard input."""
    if from_stdin:
        given = sys.stdin.readline().rstrip("\r\n")
        if not given:
            raise CdpError("standard input holds no password in its first line")
        return given
    if not sys.stdin.isatty():
        raise CdpError("there is no terminal to ask for the password; use --password-stdin")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))

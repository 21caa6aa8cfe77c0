"""The command line: `python -m cdp …`."""

import getpass
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdp import __version__
from cdp.deployments.build import HOME_PAGE, Platform, build, missing
from cdp.domain.access import Role
from cdp.domain.days import Kind
from cdp.domain.errors import CdpError
from cdp.executions.port import Execution, Step
from cdp.governance.actions import Shell
from cdp.refresh.follow import PHASES, Follower, why_no_profiles
from cdp.settings import Settings

if TYPE_CHECKING:
    from cdp.deployments.embedded import Embedded

R = TypeVar("R")

# Into a file or a pipe, lines stay whole.
out = Console(
    highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160
)
PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
DAY = click.DateTime(["%Y-%m-%d"])


class Group(click.Group):
    """Shows what a person can fix as one message; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CdpError as error:
            raise click.ClickException(str(error)) from error


def with_platform(command: Callable[..., R]) -> Callable[..., R]:
    """Hand the command the deployment that the settings describe."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> R:
        return command(build(Settings.load()), *args, **options)

    return run


@click.group(cls=Group)
@click.version_option(__version__, prog_name="cdp")
def cdp() -> None:
    """Composable CDP: the GA4 export in, one consented profile a person out."""


# --- load -----------------------------------------------------------------------------------------


@cdp.group()
def load() -> None:
    """Load files; they are all checked before any is kept."""


@load.command("ga4")
@PATHS
@click.option("--day", type=DAY, help="Day of files whose names do not tell.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    help="Table of files whose names do not tell; without --day, each row's own date decides.",
)
@with_platform
def load_ga4(
    platform: Platform, paths: tuple[Path, ...], day: datetime | None, kind: str | None
) -> None:
    """Load GA4 export files: Parquet, NDJSON (plain or .gz), or the console's JSON.

    Day and table come from names such as events_20210129.parquet or
    events_intraday_20210131-000000000000.json.gz. A day that is loaded again is replaced.
    """
    with out.status("Reading") if out.is_terminal else nullcontext() as status:

        def show(name: str) -> None:
            if status is not None:
                status.update(f"Loading {name}")

        loaded = platform.load_ga4(
            paths,
            day=day.date() if day else None,
            kind=Kind(kind) if kind else None,
            progress=show,
        )
    platform.governance.loaded(_shell(), "ga4", {table.name: table.rows for table in loaded})
    for table in loaded:
        same = ", as before" if table.unchanged else ""
        out.print(f"{table.name}  {table.rows:>10,} rows{same}")
        if table.unknown:
            out.print(
                f"  left out, for they are not in the export's schema: {_list(table.unknown)}"
            )


@load.command("links")
@PATHS
@with_platform
def load_links(platform: Platform, paths: tuple[Path, ...]) -> None:
    """Load first-party links: a_type, a_value, b_type, b_value, at, source, consent.

    NDJSON or CSV. Types are user_id, email, phone and client_id; consent (granted, denied, unknown)
    is the consent to link the two, and may be left out.
    """
    _load_rows(platform, "raw_link", paths)


@load.command("consent")
@PATHS
@with_platform
def load_consent(platform: Platform, paths: tuple[Path, ...]) -> None:
    """Load consent decisions: type, value, purpose, state (granted, denied), at, source.

    NDJSON or CSV. The policy says which sources stand above all signals.
    """
    _load_rows(platform, "raw_decision", paths)


def _load_rows(platform: Platform, table: str, paths: tuple[Path, ...]) -> None:
    loaded = platform.load_rows(table, paths)
    kind = {"raw_link": "links", "raw_decision": "consent"}[table]
    platform.governance.loaded(_shell(), kind, {file.path.name: file.rows for file in loaded})
    for file in loaded:
        same = ", as before" if file.unchanged else ""
        out.print(f"{file.path}  {file.rows:>10,} rows{same}")


# --- refresh --------------------------------------------------------------------------------------


@cdp.command()
@click.option("--since", type=DAY, help="First day to look at.")
@click.option("--until", type=DAY, help="Last day to look at.")
@click.option("--full", is_flag=True, help="Clean every day and write every profile again.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON line an event; the last is the end."
)
@with_platform
def refresh(
    platform: Platform,
    since: datetime | None,
    until: datetime | None,
    full: bool,
    as_json: bool,
) -> None:
    """Bring new days, links and decisions into the profiles.

    Exits with 0 when all was delivered, 1 when the run failed, 2 when only part was delivered.
    """
    sys.exit(_refresh(platform, since, until, full=full, as_json=as_json))


def _refresh(
    platform: Platform,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    full: bool = False,
    as_json: bool = False,
) -> int:
    arguments = {
        "since": since.date().isoformat() if since else None,
        "until": until.date().isoformat() if until else None,
        "full": full,
    }
    if since and until and since > until:
        raise CdpError("--since is after --until; swap them")
    run_id = platform.governance.start_refresh(_shell(), arguments)
    follower = Follower(platform.executions, run_id, phases_only=not as_json)
    try:
        execution = _follow(platform, run_id, follower, as_json=as_json)
    except KeyboardInterrupt:
        out.print(
            f"\nThe run goes on; follow it with `python -m cdp runs`, end it with "
            f"`python -m cdp cancel {run_id}`."
        )
        return 130
    return _tell(platform, execution, follower, as_json=as_json)


def _follow(platform: Platform, run_id: str, follower: Follower, *, as_json: bool) -> Execution:
    shown = out.is_terminal and not as_json
    with Live(console=out, refresh_per_second=8) if shown else nullcontext() as live:
        while True:
            execution = platform.executions.get(run_id)
            for step in follower.news():
                if as_json:
                    _print_json(_event(step))
            if live is not None:
                live.update(_phases(follower, pending=not execution.state.ended))
            if execution.state.ended:
                return execution
            time.sleep(platform.poll_seconds)


def _event(step: Step) -> dict[str, Any]:
    return {
        "event": "step",
        "id": step.id,
        "parent": step.parent,
        "routine": step.routine,
        "step": step.step,
        "type": step.type,
        "state": step.state,
        "attempt": step.attempt,
        "started_at": step.started_at.isoformat(),
        "ended_at": step.ended_at.isoformat() if step.ended_at else None,
        "exception": step.exception,
    }


def _phases(follower: Follower, *, pending: bool = False) -> Table:
    table = Table.grid(padding=(0, 2))
    began = {phase.name: phase for phase in follower.phases()}
    for name, words in PHASES.items():
        phase = began.get(name)
        if phase is None and not pending:
            continue
        if phase is None:
            table.add_row(Text("·", style="dim"), Text(words, style="dim"), "")
            continue
        mark, style = {
            "STATE_SUCCEEDED": ("✓", "green"),
            "STATE_IN_PROGRESS": ("▸", "cyan"),
            "STATE_CANCELLED": ("-", "yellow"),
        }.get(phase.state, ("✗", "red"))
        seconds = "" if phase.seconds is None else f"{phase.seconds:8.2f} s"
        table.add_row(Text(mark, style=style), words, seconds)
    return table


def _tell(platform: Platform, execution: Execution, follower: Follower, *, as_json: bool) -> int:
    """Say how the run ended and return the exit code."""
    phases = {phase.name: round(phase.seconds or 0, 3) for phase in follower.phases()}
    counts = ("exported", "shards", "written", "unchanged", "stale", "rejected")
    took = (execution.ended_at or execution.created_at) - execution.created_at
    outcome: dict[str, Any] = {
        "run_id": execution.id,
        "state": execution.state.value.lower(),
        **dict.fromkeys(counts, 0),
        "seconds": round(took.total_seconds(), 3),
        **({"error": execution.error} if execution.error else {}),
        **(execution.result or {}),
        "steps": phases,
    }
    code = {"succeeded": 0, "partial": 2}.get(outcome["state"], 1)
    if as_json:
        _print_json(outcome)
        return code
    if not out.is_terminal:
        out.print(_phases(follower))
    out.print()
    match outcome["state"]:
        case "held":
            raise CdpError(
                f"run {outcome['held_by']} is refreshing since {outcome['since']}; wait for it, or "
                f"end it with `python -m cdp cancel {outcome['held_by']}`"
            )
        case "succeeded" if outcome.get("nothing_new"):
            out.print("Nothing new: no day, link, decision or rule changed since the last run.")
        case "succeeded" | "partial":
            out.print(_summary(outcome))
            why = why_no_profiles(outcome["totals"], platform.policy)
            if why:
                out.print(f"\n{why}")
            if outcome["state"] == "partial":
                _tell_partial(outcome)
        case _:
            raise CdpError(f"run {execution.id} {outcome['state']}: {execution.error}")
    return code


def _tell_partial(outcome: Mapping[str, Any]) -> None:
    told = (
        f" {outcome['rejected']:,} rows rejected (see runs/{outcome['run_id']}/rejected/ among the "
        f"objects), {outcome['undelivered']:,} not delivered. The next refresh tries them again."
    )
    out.print()
    out.print(Text("Only partly delivered:", style="red") + Text(told))
    for dead in outcome["dead_lettered"]:
        out.print(f"  shard {dead['shard']}: {dead['reason']}")


def _summary(outcome: Mapping[str, Any]) -> Table:
    totals = outcome["totals"]
    table = Table.grid(padding=(0, 3))
    table.add_column(justify="right")
    rows = [
        (f"{outcome['days_cleaned']:,}", f"days cleaned, {totals['days']:,} in all"),
        (f"{totals['events']:,}", f"events, {totals['denied_events']:,} of them without consent"),
        (f"{totals['identifiers']:,}", "identifiers"),
        (f"{totals['edges']:,}", f"edges; {totals['kept_out']:,} links kept out"),
        (
            f"{totals['clusters']:,}",
            f"clusters, in {outcome['rounds']} rounds and {outcome['jumps']} jumps",
        ),
        (f"{totals['profiles']:,}", "profiles"),
        (f"{outcome['exported']:,}", f"changed, in {outcome['shards']:,} shards"),
        (
            f"{outcome['written']:,}",
            f"written, {outcome['unchanged']:,} unchanged, {outcome['stale']:,} stale, "
            f"{outcome['rejected']:,} rejected",
        ),
        (f"{outcome['seconds']:,.1f}", f"seconds; run {outcome['run_id']}"),
    ]
    for number, words in rows:
        table.add_row(Text(number, style="bold"), words)
    return table


@cdp.command(hidden=True)
@click.argument("id")
@click.option("--lock", type=int, required=True)
@with_platform
def execute(platform: Platform, id: str, lock: int) -> None:
    """Run an execution in this process; `refresh` starts it."""
    _embedded(platform).execute(id, lock)


def _embedded(platform: Platform) -> "Embedded":
    from cdp.deployments.embedded import Embedded  # noqa: PLC0415

    if not isinstance(platform, Embedded):
        raise CdpError("this works in the embedded deployment only; set CDP_DEPLOYMENT=embedded")
    return platform


@cdp.command()
@with_platform
def release(platform: Platform) -> None:
    """Store this release's statements where the workflow reads them; print their folder."""
    out.print(platform.release())


@cdp.command()
@click.argument("run_id")
@with_platform
def cancel(platform: Platform, run_id: str) -> None:
    """End a running refresh; what it delivered stays, the next run does the rest."""
    platform.governance.cancel_run(_shell(), run_id)
    deadline = time.monotonic() + 30
    while not (execution := platform.executions.get(run_id)).state.ended:
        if time.monotonic() > deadline:
            raise CdpError(f"run {run_id} was asked to stop and has not yet; look again later")
        time.sleep(min(platform.poll_seconds, 1.0))
    out.print(f"Run {run_id} is {execution.state.value.lower()}.")


# --- look -----------------------------------------------------------------------------------------


@cdp.command()
@JSON
@with_platform
def stats(platform: Platform, as_json: bool) -> None:
    """Show totals: days, events, sessions, identifiers, profiles, documents."""
    from cdp.profiles.port import PROFILES, Where  # noqa: PLC0415
    from cdp.refresh.steps import policy_parameters  # noqa: PLC0415
    from cdp.warehouse.statements import statements  # noqa: PLC0415

    with closing(platform.published()) as warehouse:
        found = warehouse.query(statements()["92_stats"], policy_parameters(platform.policy))
    (row,) = found.to_dicts()
    row["documents"] = platform.documents.count(PROFILES, [Where("sync.state", "==", "live")])
    if as_json:
        _print_json(row)
        return
    table = Table.grid(padding=(0, 3))
    table.add_column(justify="right")
    for name, value in row.items():
        shown = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(Text(shown, style="bold"), name.replace("_", " "))
    out.print(table)
    why = why_no_profiles(row, platform.policy)
    if why:
        out.print(f"\n{why}")


@cdp.command()
@click.argument("identifier")
@JSON
@with_platform
def profile(platform: Platform, identifier: str, as_json: bool) -> None:
    """Show the profile of a profile id, client id, user id, e-mail address or phone number."""
    found = _find(platform, identifier)
    if as_json:
        _print_json(found)
        return
    for one in found:
        out.print(_profile_table(one, platform.policy.identifiers.priority))


def _find(platform: Platform, identifier: str) -> list[dict[str, Any]]:
    from cdp.insight.person import find  # noqa: PLC0415
    from cdp.profiles.port import PROFILES  # noqa: PLC0415

    ids = find(platform.documents, identifier)
    if not ids:
        raise CdpError(
            f"no profile has the identifier {identifier!r}; it is unknown, or consent does not "
            "permit to keep it"
        )
    found = platform.documents.get_many(PROFILES, ids)
    return [{"profile_id": key, **found[key].body} for key in ids if key in found]


def _profile_table(body: Mapping[str, Any], priority: Sequence[str]) -> Table:
    table = Table(title=body["profile_id"], title_justify="left", show_header=False, box=None)
    shown_body = {key: body[key] for key in body if key != "profile_id"}
    if held := body.get("identifiers"):
        order = [*priority, *(key for key in held if key not in priority)]
        shown_body["identifiers"] = {key: held[key] for key in order if key in held}
    for path, value in _flat(shown_body):
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(Text(path, style="dim"), Text(shown))
    return table


def _flat(body: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in body.items():
        path = f"{above}.{key}" if above else key
        rows += _flat(value, path) if isinstance(value, dict) else [(path, value)]
    return rows


@cdp.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@JSON
@with_platform
def runs(platform: Platform, limit: int, as_json: bool) -> None:
    """List runs, the newest first, with how each ended."""
    rows = []
    for execution in platform.executions.list(limit=limit):
        result = execution.result or {}
        ended = execution.ended_at
        took = (ended - execution.created_at).total_seconds() if ended else None
        rows.append(
            {
                "run_id": execution.id,
                "state": result.get("state", execution.state.value.lower()),
                "started_at": execution.created_at.strftime("%Y-%m-%d %H:%M:%SZ"),
                "seconds": took,
                "by": execution.started_by,
                "arguments": dict(execution.argument),
                **{
                    name: result.get(name)
                    for name in ("exported", "written", "unchanged", "stale", "rejected")
                },
                "error": execution.error,
            }
        )
    if as_json:
        _print_json(rows)
        return
    if not rows:
        out.print("No runs yet; `python -m cdp refresh` starts one.")
        return
    table = Table(box=None, header_style="dim")
    for heading in ("run", "state", "started", "seconds", "by", "exported", "written", "error"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"run", "started"})
    for row in rows:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        counts = ["" if row[n] is None else f"{row[n]:,}" for n in ("exported", "written")]
        cells = [row["run_id"], row["state"], row["started_at"], seconds, row["by"], *counts]
        table.add_row(*cells, Text(row["error"] or ""))
    out.print(table)


@cdp.command()
@with_platform
def doctor(platform: Platform) -> None:
    """Show what is configured, what is missing, and how to fix it; exits with 1 if anything is."""
    table = Table(box=None, header_style="dim")
    for heading in ("setting", "value", "from", "what it is"):
        table.add_column(heading, overflow="fold")
    settings = platform.settings
    for name, field in Settings.model_fields.items():
        given = "set" if name in settings.model_fields_set else "default"
        value = getattr(settings, name)
        table.add_row(
            f"CDP_{name.upper()}", "" if value is None else str(value), given, field.description
        )
    out.print(table)
    problems = missing(platform)
    out.print()
    for problem in problems:
        out.print(Text("✗ ", style="red") + Text(problem))
    if problems:
        sys.exit(1)
    out.print(Text("✓ ", style="green") + Text("all there"))


@cdp.command()
@JSON
@with_platform
def policy(platform: Platform, as_json: bool) -> None:
    """Show the policy in force: purposes, what silence means, limits, which field needs what."""
    rules = platform.policy
    if as_json:
        _print_json({"source": rules.source, "digest": rules.digest, **rules.model_dump()})
        return
    out.print(f"{rules.source}, {rules.digest}\n")
    sections: dict[str, list[tuple[str, ...]]] = {
        "Purposes, told by, silence means": [
            (name, purpose.ga4_signal or "decisions only", purpose.unknown)
            for name, purpose in rules.purposes.items()
        ],
        "Limits": [
            (pair.replace(".", " joins "), f"{most} at most") for pair, most in rules.limits.items()
        ],
        "Fields need": list(rules.fields.items()),
    }
    for title, rows in sections.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        for row in rows:
            table.add_row(*row)
        out.print(table, "")
    out.print(
        f"Identifiers, strongest first: {_list(rules.identifiers.priority)}.\n"
        f"Linking needs {rules.linking.purpose}; a loaded link that states no consent counts as "
        f"{rules.linking.unstated}.\n"
        f"Explicit decisions come from {_list(rules.decisions.explicit)}."
    )


# --- the console ----------------------------------------------------------------------------------


@cdp.command()
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
@with_platform
def serve(platform: Platform, port: int, address: str) -> None:
    """Serve the console; sign in with an account of `user add`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CdpError(
                f"{address}:{port} cannot be listened on ({error.strerror}); say another --port"
            ) from None
    out.print(f"The console is at http://{address}:{port}. Ctrl+C ends it.")
    from streamlit.web import cli  # noqa: PLC0415

    from cdp.ui.app import own_pages  # noqa: PLC0415

    os.environ |= platform.settings.environment()
    os.environ["CDP_HOME"] = str(platform.settings.home.resolve())
    os.chdir(HOME_PAGE.parent)  # Streamlit reads its configuration there
    own_pages()
    cli.main(["run", HOME_PAGE.name, f"--server.address={address}", f"--server.port={port}"])


@cdp.group()
def user() -> None:
    """Accounts of the console. Marketers read; admins also act."""


ROLE = click.Choice([role.value for role in Role])
PASSWORD_IN = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input."
)


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
        _shell(), username, name=name, role=Role(role), email=email, password=password
    )
    out.print(f"{username} may sign in, as {role}.")


@user.command("passwd")
@click.argument("username")
@PASSWORD_IN
@with_platform
def set_password(platform: Platform, username: str, password_stdin: bool) -> None:
    """Give an account another password; ends its sessions and a lock on it."""
    platform.governance.set_password(_shell(), username, _password(password_stdin))
    out.print(f"{username} has another password, and is signed out everywhere.")


@user.command("role")
@click.argument("username")
@click.argument("role", type=ROLE)
@with_platform
def set_role(platform: Platform, username: str, role: str) -> None:
    """Give an account another role; ends its sessions."""
    platform.governance.set_role(_shell(), username, Role(role))
    out.print(f"{username} is {role} now, and signs in anew.")


@user.command("disable")
@click.argument("username")
@with_platform
def disable_user(platform: Platform, username: str) -> None:
    """Close an account, at once; `enable` opens it again."""
    platform.governance.set_disabled(_shell(), username, disabled=True)
    out.print(f"{username} cannot sign in any more, and is signed out everywhere.")


@user.command("enable")
@click.argument("username")
@with_platform
def enable_user(platform: Platform, username: str) -> None:
    """Open a closed account again."""
    platform.governance.set_disabled(_shell(), username, disabled=False)
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
        _print_json(rows)
        return
    if not rows:
        out.print("No accounts yet; `python -m cdp user add NAME --role admin` makes one.")
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


def _shell() -> Shell:
    return Shell(getpass.getuser())


# --- demo -----------------------------------------------------------------------------------------


@cdp.command("generate")
@click.option("--people", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--days", default=14, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--until", type=DAY, help="Last day; 2026-10-31 if not given.")
@click.argument("target", type=click.Path(path_type=Path), metavar="OUT")
def generate_demo(people: int, days: int, seed: int, until: datetime | None, target: Path) -> None:
    """Write a GA4-shaped property to the folder OUT, with links, decisions and the truth."""
    _generate(target, people, days, seed, until.date() if until else None)


def _generate(target: Path, people: int, days: int, seed: int, until: date | None = None) -> None:
    from cdp.demo.generate import UNTIL, generate  # noqa: PLC0415

    started = time.monotonic()
    with out.status("Generating") if out.is_terminal else nullcontext() as status:

        def show(done: int, of: int) -> None:
            if status is not None:
                status.update(f"Generating day {done} of {of}")

        made = generate(
            target, people=people, days=days, seed=seed, until=until or UNTIL, progress=show
        )
    seconds = time.monotonic() - started
    out.print(
        f"{target}: {made.people:,} people on {made.devices:,} devices, {made.events:,} events, "
        f"{made.links:,} links, {made.decisions:,} decisions in {seconds:.1f} s"
    )


@cdp.command("score")
@click.argument("truth", type=click.Path(path_type=Path, exists=True, file_okay=False))
@JSON
@with_platform
def score_truth(platform: Platform, truth: Path, as_json: bool) -> None:
    """Compare the stitching with the truth that `generate` wrote to the folder TRUTH."""
    _score(platform, truth, as_json=as_json)


def _score(platform: Platform, truth: Path, *, as_json: bool) -> None:
    from cdp.demo.score import score  # noqa: PLC0415
    from cdp.warehouse.statements import statements  # noqa: PLC0415

    with closing(platform.published()) as warehouse:
        stitched = warehouse.query(statements()["93_identifier_profile"], {})
    found = score(truth, stitched)
    row = {
        "precision": round(found.precision, 6),
        "recall": round(found.recall, 6),
        "joined_pairs": found.joined_pairs,
        "wrong_pairs": found.wrong_pairs,
        "joinable_pairs": found.joinable_pairs,
        "found_pairs": found.found_pairs,
    }
    if as_json:
        _print_json(row)
        return
    out.print(
        f"precision {found.precision:.4f}: {found.wrong_pairs:,} of {found.joined_pairs:,} joined "
        f"pairs are not one person's\nrecall    {found.recall:.4f}: {found.found_pairs:,} of "
        f"{found.joinable_pairs:,} pairs that consented evidence can join were joined"
    )


@cdp.command()
@click.option("--people", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--days", default=14, show_default=True, type=click.IntRange(1))
@with_platform
def demo(platform: Platform, people: int, days: int) -> None:
    """Generate a demo property, refresh, and show what came out; the data is kept."""
    from cdp.profiles.port import PROFILES, Where  # noqa: PLC0415

    _embedded(platform)
    folder = platform.settings.home / "demo"
    if not (folder / "loaded").exists():
        if folder.exists():  # cut short before: it holds nothing but what is generated again
            import shutil  # noqa: PLC0415

            shutil.rmtree(folder)
        _generate(folder, people, days, seed=1)
        with out.status("Loading") if out.is_terminal else nullcontext():
            platform.load_ga4([folder / "ga4"])
        _load_rows(platform, "raw_link", (folder / "links",))
        _load_rows(platform, "raw_decision", (folder / "consent",))
        (folder / "loaded").touch()
    out.print()
    code = _refresh(platform)
    if code:
        sys.exit(code)
    out.print()
    _score(platform, folder, as_json=False)
    richest = platform.documents.page(
        PROFILES,
        where=[Where("sync.state", "==", "live")],
        order_by="ga4.revenue",
        descending=True,
        limit=1,
    )
    for document in richest.documents:
        out.print("\nThe profile with the highest revenue:")
        out.print(
            _profile_table(
                {"profile_id": document.id, **document.body}, platform.policy.identifiers.priority
            )
        )
    _first_accounts(platform)
    out.print(
        "\nNext: python -m cdp serve · stats · runs · policy · doctor · profile IDENTIFIER; "
        "load your own export with `python -m cdp load ga4 PATH...`"
    )


def _first_accounts(platform: Platform) -> None:
    """Make an admin and a marketer where nobody can sign in yet; print their passwords once."""
    if platform.accounts.exist():
        return
    made = {role: secrets.token_urlsafe(12) for role in (Role.ADMIN, Role.MARKETER)}
    file = platform.settings.home / "first-passwords.txt"
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text("".join(f"{role.value} {word}\n" for role, word in made.items()), "ascii")
    for role, word in made.items():
        platform.governance.add_account(
            _shell(), role.value, name=role.value.capitalize(), role=role, password=word
        )
    out.print("\nSign in to the console with")
    table = Table.grid(padding=(0, 3))
    for role, word in made.items():
        table.add_row("", role.value, Text(word, style="bold"))
    out.print(table)
    out.print(
        f"They are shown this once and kept in {file}; delete it when you have noted them.\n"
        "`python -m cdp user passwd NAME` changes them."
    )


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))


if __name__ == "__main__":
    cdp(prog_name="python -m cdp")

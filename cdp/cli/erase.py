"""`cdp erase` and what proves it: `erasures`, `probe`, `verify`."""

import sys
import time
from contextlib import closing

import click
from rich.table import Table
from rich.text import Text

from cdp.cli.common import JSON, out, print_json, shell, with_platform
from cdp.deployments.build import Platform
from cdp.domain.errors import CdpError
from cdp.executions.port import Execution
from cdp.insight.erasure import ASKED, Preview
from cdp.refresh.follow import why_failed


@click.command()
@click.argument("identifiers", nargs=-1, required=True)
@click.option(
    "--only", is_flag=True, help="These identifiers alone, not what they are joined with."
)
@click.option("--reason", help="Why, for the audit log; no names in it.")
@click.option("--confirm", help="The first identifier once more, for programs; else it is asked.")
@click.option("--preview", is_flag=True, help="Show what would go, and stop.")
@JSON
@with_platform
def erase(
    platform: Platform,
    identifiers: tuple[str, ...],
    reason: str | None,
    confirm: str | None,
    *,
    only: bool,
    preview: bool,
    as_json: bool,
) -> None:
    """Erase a person: whoever has one of these e-mail addresses, phone numbers, user or client ids.

    All that is held of them goes, in every store, and nothing brings it back: neither a load nor a
    shard nor a full refresh. What cannot be reached is told.

    Exits with 0 when it is done, 1 when it failed, 3 when another run is at it: the profiles are
    gone then, and the next run does the rest.
    """
    found = _preview(platform, identifiers, only=only)
    if not as_json:
        out.print(_told(found))
    if preview:
        if as_json:
            print_json(_as_json(found))
        return
    if confirm is None and sys.stdin.isatty() and not as_json:
        confirm = click.prompt(f"Type {identifiers[0]} to erase it")
    if confirm != identifiers[0]:
        raise CdpError(
            "nothing was erased: what was typed is not the identifier; repeat it with --confirm"
        )
    if reason is None and sys.stdin.isatty() and not as_json:
        reason = click.prompt("Why (no names; the audit log keeps it)")
    asked = platform.erasures.ask(shell(), found.subject, reason or "")
    if asked["state"] == ASKED:
        if as_json:
            print_json({"erasure": asked["id"], "state": ASKED})
        else:
            out.print(f"Erasure {asked['id']} awaits another admin: cdp approve {asked['id']}")
        return
    sys.exit(_carry_out(platform, asked["id"], as_json=as_json))


@click.command()
@click.argument("erasure")
@JSON
@with_platform
def approve(platform: Platform, erasure: str, *, as_json: bool) -> None:
    """Approve an erasure that another admin asked for, and carry it out."""
    platform.erasures.approve(shell(), erasure)
    sys.exit(_carry_out(platform, erasure, as_json=as_json))


@click.command()
@JSON
@with_platform
def erasures(platform: Platform, *, as_json: bool) -> None:
    """List the erasures: when, by whom, how many identifiers, and what became of them."""
    from cdp.insight.erasure import erasures as every  # noqa: PLC0415

    bodies = [{"id": found.id, **found.body} for found in every(platform.documents)]
    told = [
        {
            "id": body["id"],
            "state": body["state"],
            "asked_at": body["asked_at"],
            "by": body["by"],
            "identifiers": sum(body["identifiers"].values()),
            "profiles": len(body["profiles"]),
            "done_at": body.get("done_at"),
        }
        for body in bodies
    ]
    if as_json:
        print_json(told)
        return
    if not told:
        out.print("Nobody was erased yet.")
        return
    table = Table(box=None, header_style="bold")
    for name in told[0]:
        table.add_column(name.replace("_", " "))
    for row in told:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    out.print(table)


def _preview(platform: Platform, identifiers: tuple[str, ...], *, only: bool) -> Preview:
    from cdp.insight.erasure import preview  # noqa: PLC0415

    if platform.published_version() is None:
        return preview(None, platform.documents, platform.policy, identifiers, only=only)
    with closing(platform.published()) as warehouse:
        return preview(warehouse, platform.documents, platform.policy, identifiers, only=only)


def _as_json(found: Preview) -> dict[str, object]:
    known = [one for one in found.subject.held if one.value]
    return {
        "found": found.found,
        "identifiers": [{"type": one.type, "value": one.value} for one in known],
        "profiles": found.subject.profiles,
        "documents": found.documents,
        "rows": found.rows,
    }


def _told(found: Preview) -> Table:
    table = Table.grid(padding=(0, 3))
    for one in found.subject.held:
        if one.value:
            table.add_row(Text(one.type, style="dim"), Text(one.value))
    table.add_row("", "")
    if not found.found:
        table.add_row(Text("nothing is held", style="dim"), "a tombstone keeps it out from now on")
    for document in found.documents:
        table.add_row(Text("document", style="dim"), Text(document))
    for name, rows in found.rows.items():
        table.add_row(Text(f"{rows:,}", style="bold"), f"rows of {name}")
    table.add_row("", "and the rows of loaded files, shards and rejected rows that hold any of it")
    return table


def _carry_out(platform: Platform, id: str, *, as_json: bool) -> int:
    from cdp.governance.erasures import unreachable  # noqa: PLC0415

    started = time.monotonic()
    run = _wait(platform, platform.erasures.start(shell()))
    state = (run.result or {}).get("state", run.state.value.lower())
    outcome = {
        "erasure": id,
        "state": "done" if state == "succeeded" else state,
        "run_id": run.id,
        "seconds": round(time.monotonic() - started, 3),
        "unreachable": list(unreachable(cloud=platform.settings.deployment != "embedded")),
    }
    if as_json:
        print_json(outcome)
    elif state == "succeeded":
        out.print(f"Erasure {id} is done, in {outcome['seconds']} s. What it cannot reach:")
        for sentence in outcome["unreachable"]:
            out.print(f"  {sentence}")
    elif state == "held":
        held_by = (run.result or {}).get("held_by")
        out.print(
            f"The profiles are gone. Run {held_by} is at it: the next run, or `cdp refresh`, does "
            "the rest."
        )
    else:
        out.print(f"The profiles are gone. The rest {why_failed(run.error)}")
    return {"succeeded": 0, "held": 3}.get(state, 1)


def _wait(platform: Platform, run_id: str) -> Execution:
    while True:
        run = platform.executions.get(run_id)
        if run.state.ended:
            return run
        time.sleep(platform.poll_seconds)

"""`cdp erase` and what proves it: `erasures`, `probe`, `verify`."""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final

import click
from rich.table import Table
from rich.text import Text

from cdp.cli.common import JSON, out, print_json, shell, with_platform
from cdp.deployments.build import Platform
from cdp.domain.erasure import Held, Subject
from cdp.domain.errors import CdpError
from cdp.executions.port import Execution
from cdp.insight.erasure import ASKED, Preview
from cdp.refresh.follow import why_failed


@click.command()
@click.argument("identifiers", nargs=-1, required=True)
@click.option("--only", is_flag=True, help="These alone, not what they are joined with.")
@click.option("--reason", help="Why, for the audit log; no names in it.")
@click.option("--confirm", help="The first identifier once more; asked for if left out.")
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


@click.command()
@click.argument("identifiers", nargs=-1)
@click.option("--out", "target", type=click.Path(path_type=Path), help="File for the receipt.")
@JSON
@with_platform
def probe(
    platform: Platform, identifiers: tuple[str, ...], target: Path | None, *, as_json: bool
) -> None:
    """Look for everybody who was erased, in every store, by row and by byte; sign what was found.

    With identifiers, look for these. Exits with 1 where anything is left. Run it on a schedule.
    """
    from cdp.domain.identifiers import identifier_key  # noqa: PLC0415
    from cdp.insight.erasure import guessed, tombstones  # noqa: PLC0415
    from cdp.insight.probe import probe as search  # noqa: PLC0415
    from cdp.warehouse.port import Erasure  # noqa: PLC0415

    stones = tombstones(platform.documents)
    if identifiers:
        speller, key = platform.policy.speller(), identifier_key(platform.salt)
        held = [Held(*pair) for text in identifiers for pair in guessed(speller, text)]
        stones = frozenset(Subject(tuple(held)).tombstones(key))
    erasure = Erasure(platform.settings.property, stones, identifier_key(platform.salt), {})
    warehouse = None if platform.published_version() is None else platform.published()
    with nullcontext() if warehouse is None else closing(warehouse):
        receipt = search(
            stones,
            platform.salt,
            documents=platform.documents,
            warehouse=warehouse,
            loaded=platform.loaded_of(erasure),
            files=platform.files(),
            home=platform.settings.home,
        )
    if target is not None:
        target.write_text(json.dumps(receipt, indent=2) + "\n", "utf-8")
    if as_json:
        print_json(receipt)
    else:
        _tell_receipt(receipt)
        if target is not None:
            out.print(f"Signed receipt: {target}; `cdp verify {target}` checks it.")
    sys.exit(1 if receipt["found"] else 0)


@click.command()
@click.argument("receipt", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@with_platform
def verify(platform: Platform, receipt: Path) -> None:
    """Check that a receipt of `cdp probe` is as it was signed, and whether this deployment did."""
    from cdp.insight.probe import public_key  # noqa: PLC0415
    from cdp.insight.probe import verify as check  # noqa: PLC0415

    try:
        told = json.loads(receipt.read_text("utf-8"))
    except ValueError:
        raise CdpError(f"{receipt}: not JSON; `cdp probe --out FILE` makes a receipt") from None
    if not isinstance(told, dict):
        raise CdpError(f"{receipt}: no receipt; `cdp probe --out FILE` makes one")
    key = check(told)
    whose = "this deployment's" if key == public_key(platform.salt) else "another deployment's"
    out.print(f"The receipt is as it was signed, with {whose} key {key[:16]}…")
    _tell_receipt(told)


_UNITS: Final = {
    "documents": "documents",
    "warehouse": "tables",
    "loaded rows": "tables with any",
}


def _tell_receipt(receipt: Mapping[str, Any]) -> None:
    out.print(f"{receipt['at']}: looked for {receipt['tombstones']:,} identifiers.")
    for store in receipt["stores"]:
        unit = _UNITS.get(store["store"], "bytes")
        left = f"found in {', '.join(store['found'])}" if store["found"] else "found nowhere"
        out.print(f"  {store['store']}: {left} ({store['looked_at']:,} {unit})")


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
    for name, rows in sorted(found.rows.items()):
        table.add_row(Text(f"{rows:,}", style="bold"), f"rows of {name}")
    table.add_row("", "and the rows of loaded files, shards and rejected rows that hold any of it")
    return table


def _carry_out(platform: Platform, id: str, *, as_json: bool) -> int:
    from cdp.governance.erasures import unreachable  # noqa: PLC0415

    started = time.monotonic()
    run = _wait(platform, platform.erasures.start(shell()))
    state = (run.result or {}).get("state", run.state.value.lower())
    beyond = unreachable(cloud=platform.settings.deployment != "embedded")
    outcome = {
        "erasure": id,
        "state": "done" if state == "succeeded" else state,
        "run_id": run.id,
        "seconds": round(time.monotonic() - started, 3),
        "unreachable": list(beyond),
    }
    if as_json:
        print_json(outcome)
    elif state == "succeeded":
        out.print(f"Erasure {id} is done, in {outcome['seconds']} s. What it cannot reach:")
        for sentence in beyond:
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

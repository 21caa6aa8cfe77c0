"""`cdp refresh` and what belongs to a run: `cancel`, `runs`, `release`."""

import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import datetime
from typing import Any

import click
from rich.live import Live
from rich.table import Table
from rich.text import Text

from cdp.cli.common import DAY, JSON, embedded, out, print_json, shell, with_platform
from cdp.deployments.build import Platform
from cdp.domain.errors import CdpError
from cdp.executions.port import Execution, ExecutionNotFound, Step
from cdp.refresh.follow import PHASES, Follower, why_failed, why_no_profiles, why_stale


@click.command()
@click.option("--since", type=DAY, help="First day to look at.")
@click.option("--until", type=DAY, help="Last day to look at.")
@click.option(
    "--full", is_flag=True, help="Clean every day again; compare every profile with its document."
)
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

    Exits with 0 when all was delivered, 1 when the run failed, 2 when only part was delivered,
    3 when another refresh is at it.
    """
    sys.exit(run_refresh(platform, since, until, full=full, as_json=as_json))


def run_refresh(
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
    run_id = platform.governance.start_refresh(shell(), arguments)
    follower = Follower(platform.executions, run_id, phases_only=not as_json)
    try:
        execution = _follow(platform, run_id, follower, as_json=as_json)
    except KeyboardInterrupt:
        out.print(
            f"\nThe run goes on; follow it with `cdp runs`, end it with `cdp cancel {run_id}`."
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
                    print_json(_event(step))
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
        **({"error": execution.error} if execution.error else {}),
        **(execution.result or {}),
        "seconds": round(took.total_seconds(), 3),
        "steps": phases,
    }
    code = {"succeeded": 0, "partial": 2, "held": 3}.get(outcome["state"], 1)
    if code == 3:
        with suppress(ExecutionNotFound):
            outcome["by"] = platform.executions.get(outcome["held_by"]).started_by
    if as_json:
        print_json(outcome)
        return code
    if not out.is_terminal:
        out.print(_phases(follower))
    out.print()
    match outcome["state"]:
        case "held":
            by = f" by {outcome['by']}" if "by" in outcome else ""
            out.print(
                f"Held: run {outcome['held_by']}{by} is refreshing since {outcome['since']}. Wait "
                f"for it, or end it with `cdp cancel {outcome['held_by']}`."
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
        case "failed":
            raise CdpError(f"run {execution.id} {why_failed(execution.error, follower.phases())}")
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
    if why := why_stale(outcome):
        out.print(f"  {why}.")


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


@click.command(hidden=True)
@click.argument("id")
@click.option("--lock", type=int, required=True)
@with_platform
def execute(platform: Platform, id: str, lock: int) -> None:
    """Run an execution in this process; `refresh` starts it."""
    embedded(platform).execute(id, lock)


@click.command()
@with_platform
def release(platform: Platform) -> None:
    """Store this release's statements where the workflow reads them; print their folder."""
    out.print(platform.release())


@click.command()
@click.argument("run_id")
@with_platform
def cancel(platform: Platform, run_id: str) -> None:
    """End a running refresh; what it delivered stays, the next run does the rest."""
    platform.governance.cancel_run(shell(), run_id)
    deadline = time.monotonic() + 30
    while not (execution := platform.executions.get(run_id)).state.ended:
        if time.monotonic() > deadline:
            raise CdpError(f"run {run_id} was asked to stop and has not yet; look again later")
        time.sleep(min(platform.poll_seconds, 1.0))
    out.print(f"Run {run_id} is {execution.state.value.lower()}.")


@click.command()
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
        print_json(rows)
        return
    if not rows:
        out.print("No runs yet; `cdp refresh` starts one.")
        return
    table = Table(box=None, header_style="dim")
    for heading in ("run", "state", "started", "seconds", "by", "exported", "written", "error"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"run", "started"})
    for row in rows:
        seconds = "" if row["seconds"] is None else f"{row['seconds']:.1f}"
        counts = ["" if row[n] is None else f"{row[n]:,}" for n in ("exported", "written")]
        cells = [row["run_id"], row["state"], row["started_at"], seconds, row["by"], *counts]
        failed = row["state"] == "failed"
        table.add_row(*cells, Text(str(why_failed(row["error"])) if failed else row["error"] or ""))
    out.print(table)

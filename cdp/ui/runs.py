"""Runs of the refresh, as pages draw them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import streamlit as st

from cdp.executions.port import Executions, Step
from cdp.insight.runs import COUNTS, REJECTS_AT_MOST, Run, history, receipts, rejects
from cdp.objects.port import ObjectStore
from cdp.profiles.port import DocumentStore
from cdp.refresh.follow import PHASES, Follower, Phase, why_failed, why_stale
from cdp.ui import charts, frame, words
from cdp.ui.frame import Badge, Color

STATES: Final[Mapping[str, tuple[Color, str]]] = {
    "queued": ("gray", "schedule"),
    "running": ("blue", "progress_activity"),
    "stopping": ("orange", "stop_circle"),
    "succeeded": ("green", "check_circle"),
    "partial": ("orange", "error"),
    "failed": ("red", "cancel"),
    "cancelled": ("gray", "block"),
    "held": ("gray", "lock"),
}
_TINTS: Final[Mapping[str, str]] = {
    color: "primary" if color == "blue" else color for color, _ in STATES.values()
}
_MARKS: Final[Mapping[str, str]] = {
    "STATE_SUCCEEDED": ":green[:material/check_circle:]",
    "STATE_IN_PROGRESS": ":blue[:material/progress_activity:]",
    "STATE_CANCELLED": ":gray[:material/block:]",
}


def badge(state: str) -> Badge:
    """Return the badge of a run's state."""
    color, icon = STATES.get(state, ("gray", "help"))
    return state, color, icon


def arguments(run: Run) -> str:
    """Return a run's parameters in words."""
    given = run.arguments
    parts = [f"{name} {words.day(given[name])}" for name in ("since", "until") if given.get(name)]
    return ", ".join([*parts, *(["everything anew"] if given.get("full") else [])]) or "what is new"


def table(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return rows for a table of runs, one a run."""
    return [
        {
            "State": [run.state],
            "Started": words.moment(run.started_at),
            "By": run.by,
            "Parameters": arguments(run),
            "Duration": words.duration(run.seconds),
            "Changed": run.counts["exported"],
            "Written": run.counts["written"],
            "Rejected": run.counts["rejected"],
            "Outcome": outcome(run),
        }
        for run in runs
    ]


def outcome(run: Run) -> str:
    """Say in words how a run ended."""
    if run.state == "failed":
        return why_failed(run.error).why
    if run.error:
        return run.error
    if run.state == "held":
        return f"another refresh was at it: {run.result.get('held_by', '')}"
    if run.nothing_new:
        return "nothing new"
    if run.state == "partial":
        missed = sum(int(run.result.get(name) or 0) for name in ("undelivered", "rejected"))
        tried = f"{words.count(missed, 'row')} not delivered; the next run tries again"
        return why_stale(run.result) or tried
    return ""


def phases(executions: Executions, run_id: str) -> list[Phase]:
    """Return the phases that a run began."""
    follower = Follower(executions, run_id, phases_only=True)
    for _ in follower.news():
        pass
    return follower.phases()


def ask_start(executions: Executions, start: Callable[..., None]) -> None:
    """Ask for a refresh's parameters.

    Args:
        start: starts one for whoever is signed in then, and reads the newest run again.
    """
    latest = next(iter(history(executions, 1)), None)
    if latest is None:
        st.write("This is the first refresh: it reads every day that is loaded.")
    else:
        st.write(f"The newest run began {words.ago(latest.started_at)}: {latest.state}.")
    days = st.columns(2)
    since = days[0].date_input("First day", value=None, key="since", help="Empty: from the start.")
    until = days[1].date_input("Last day", value=None, key="until", help="Empty: to the end.")
    full = st.checkbox("Clean every day and write every profile again", key="full")
    if since and until and since > until:
        st.error("The first day is after the last one; swap them.")
        return
    given = {
        "since": since.isoformat() if since else None,
        "until": until.isoformat() if until else None,
        "full": full,
    }
    seen, done = latest.id if latest else "", "The refresh has started."
    ask = partial(start, given, seen=seen, done=done)
    if st.button("Start it", key="start_it", on_click=ask):
        st.rerun()


def ask_cancel(run_id: str, cancel: Callable[..., None]) -> None:
    """Say what cancelling does, and ask whether to.

    Args:
        cancel: cancels a run for whoever is signed in then.
    """
    st.write(
        "It stops after the step it is at. What it has delivered stays; the next refresh does the "
        "rest. Nothing is lost."
    )
    st.caption(f"Run {run_id}")
    ask = partial(cancel, run_id, done="The run is stopping.")
    if st.button("Cancel it", key="cancel_it", on_click=ask):
        st.rerun()


def progress(run: Run, began: Sequence[Phase]) -> None:
    """Draw how far a running refresh is."""
    now = next((p for p in began if p.seconds is None), None)
    done = sum(p.seconds is not None for p in began)
    elapsed = (datetime.now(UTC) - run.started_at).total_seconds()
    doing = "Stopping" if run.state == "stopping" else PHASES[now.name] if now else "Starting"
    st.progress(min(done / len(PHASES), 1.0), text=f"{doing} · {words.duration(elapsed)}")
    found = {phase.name: phase for phase in began}
    with st.grid(min_column_width=175, gap="xsmall", dense=True):
        for name, title in PHASES.items():
            phase = found.get(name)
            if phase is None:
                st.caption(f":material/radio_button_unchecked: {title}")
            else:
                mark = _MARKS.get(phase.state, ":red[:material/cancel:]")
                took = f" · {words.duration(phase.seconds)}" if phase.seconds is not None else ""
                st.markdown(f"{mark} {title}:gray[{took}]")


def gantt(began: Sequence[Phase], key: str) -> None:
    """Draw when each phase began and how long it took."""
    if not began:
        st.caption("The run ended before its first step.")
        return
    colors = charts.palette()
    start = began[0].started_at
    shade = {"STATE_SUCCEEDED": colors.accent, "STATE_CANCELLED": colors.soft}
    took = [phase.seconds or 0.0 for phase in began]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [PHASES[phase.name] for phase in began],
        "x": took,
        "base": [(phase.started_at - start).total_seconds() for phase in began],
        "marker": {"color": [shade.get(p.state, colors.bad) for p in began], "cornerradius": 3},
        "text": [words.duration(phase.seconds) for phase in began],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "width": 0.55,
    }
    end = max((p.started_at - start).total_seconds() + t for p, t in zip(began, took, strict=True))
    charts.show(
        [bars],
        height=28 * len(began) + 24,
        alt="Duration of each phase of the run",
        key=key,
        xaxis={"visible": False, "range": [0, max(end * 1.14, 0.01)]},
        yaxis={"autorange": "reversed", "nticks": len(PHASES), "linecolor": "rgba(0,0,0,0)"},
    )


def listed(
    runs: Sequence[Run], executions: Executions, documents: DocumentStore, objects: ObjectStore
) -> None:
    """Draw the table of runs, and the one that the address or the table chose."""
    with frame.card(
        "History", "Choose a run for all of its outcome, its steps, receipts and rejected rows."
    ):
        chosen = st.dataframe(
            table(runs),
            key="runs",
            hide_index=True,
            on_select="rerun",
            selection_mode="single-row",
            height="content" if len(runs) <= 8 else 300,
            placeholder=words.NOTHING,
            column_config={
                "State": st.column_config.MultiselectColumn(
                    options=list(STATES), color=[_TINTS[color] for color, _ in STATES.values()]
                ),
                "Outcome": st.column_config.TextColumn(width="large"),
                **{
                    name: st.column_config.NumberColumn(format="localized")
                    for name in ("Changed", "Written", "Rejected")
                },
            },
            alt="Runs, the newest first",
        )
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(runs):
        st.query_params["run"] = runs[rows[0]].id
    asked = st.query_params.get("run")
    run = next((run for run in runs if run.id == asked), None)
    if run is None:
        if asked:
            st.info("There is no such run among the newest 50.")
        run = next((run for run in runs if not run.active), None)
        if run is None:
            return
    details(run, executions, documents, objects)


def details(
    run: Run, executions: Executions, documents: DocumentStore, objects: ObjectStore
) -> None:
    """Draw one run: its steps, receipts and rejected rows."""
    text, color, icon = badge(run.state)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.header(f"Run of {words.moment(run.started_at)}", anchor=False, width="content")
            frame.badge(text, color, icon)
        st.caption(
            f"{run.id} · started by {words.plain(run.by)} · {words.plain(arguments(run))} · "
            f"took {words.duration(run.seconds)}{_counted(run)}"
        )
        began, failed = (_trace if run.active else _ended)(executions, run.id)
        if run.state == "failed":
            told = str(why_failed(run.error, began))
            st.error(words.plain(f"{told[0].upper()}{told[1:]}."), icon=":material/error:")
        elif said := outcome(run):
            st.info(words.plain(said))

        def steps() -> None:
            gantt(began, key="gantt")
            _exceptions(failed)

        frame.tabs(
            {
                "Steps": steps,
                "Receipts": lambda: _receipts(receipts(documents, objects, run.id)),
                "Rejected rows": lambda: _rejects(rejects(objects, run.id), run),
            },
            key="of_run",
        )


def _counted(run: Run) -> str:
    """Return what became of the run's rows, as more of a line; nothing before they are known."""
    names = {"exported": "changed"} | {name: name for name in COUNTS[1:]}
    told = [f"{words.number(run.counts[name])} {said}" for name, said in names.items()]
    known = any(run.counts[name] is not None for name in names)
    return f" · {', '.join(told)}" if known else ""


def _trace(_executions: Executions, run_id: str) -> tuple[list[Phase], list[Step]]:
    """Return the phases that a run began, and the steps that failed or were tried again.

    What a step raised is in every entry around it, and in those that pass it on: the innermost of
    each attempt tells.
    """
    follower = Follower(_executions, run_id)
    steps = [step for step in follower.news() if step.exception]
    around = {(step.exception, step.parent) for step in steps}
    told: dict[tuple[str | None, int], Step] = {}
    for step in steps:
        if (step.exception, step.id) not in around:
            told.setdefault((step.exception, step.attempt), step)
    return follower.phases(), list(told.values())


# A long trace comes in many pages, and changes no more.
_ended = st.cache_data(ttl="10m", max_entries=50, show_spinner=False)(_trace)


def _exceptions(failed: Sequence[Step]) -> None:
    """Show what was tried again, and what failed."""
    tried = [
        {"Step": f"{s.routine}.{s.step}", "Attempt": s.attempt, "What happened": s.exception}
        for s in failed
    ]
    if tried:
        with st.expander("Steps that failed or were tried again, in the engine's words"):
            st.dataframe(
                tried[:100],
                hide_index=True,
                key="exceptions",
                column_config={"What happened": st.column_config.TextColumn(width="large")},
                alt="Steps that failed or were tried again",
            )


def _receipts(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        st.caption("This run exported no shard.")
        return
    columns = ("shard", "state", "rows", "written", "unchanged", "stale", "rejected", "seconds")
    st.dataframe(
        [{name.capitalize(): row.get(name) for name in (*columns, "attempt")} for row in rows],
        hide_index=True,
        key="receipts",
        column_config={
            name.capitalize(): st.column_config.NumberColumn(format="localized")
            for name in columns
            if name not in {"shard", "state"}
        },
        alt="Receipt of each shard",
    )


def _rejects(rows: Sequence[Mapping[str, Any]], run: Run) -> None:
    if not rows:
        st.caption("No row was rejected.")
        return
    if len(rows) == REJECTS_AT_MOST:
        st.caption(f"The first {REJECTS_AT_MOST} of {words.number(run.counts['rejected'])}.")
    st.dataframe(
        [
            {
                "Shard": row["shard"],
                "Line": row["line"],
                "Profile": row["profile_id"] or "not told",
                "Reason": row["reason"],
            }
            for row in rows
        ],
        hide_index=True,
        key="rejects",
        alt="Rejected rows",
    )

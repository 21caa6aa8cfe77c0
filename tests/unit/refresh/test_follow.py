"""An execution in words."""

from datetime import UTC, datetime

import pytest

from cdp.deployments.embedded import WORKFLOW
from cdp.domain.policy import Policy
from cdp.refresh.follow import PHASES, Phase, why_failed, why_no_profiles

AT = datetime(2026, 10, 30, tzinfo=UTC)


def totals(**more: int) -> dict[str, int]:
    return {"profiles": 0, "events": 10, "unknown_events": 0, "denied_events": 0, **more}


def test_silence_that_counts_as_denied_is_told_with_the_way_out() -> None:
    told = why_no_profiles(totals(unknown_events=7), Policy.load(None))
    assert told is not None
    assert "7 of 10 events say nothing of analytics consent" in told
    assert "no-consent-mode.toml" in told


def test_denied_events_are_told() -> None:
    told = why_no_profiles(totals(denied_events=10), Policy.load(None))
    assert told == "No profiles: 10 of 10 events were sent without analytics consent."


def test_where_there_are_profiles_or_no_events_there_is_nothing_to_say() -> None:
    policy = Policy.load(None)
    assert why_no_profiles(totals(profiles=1), policy) is None
    assert why_no_profiles(totals(events=0), policy) is None


def test_every_phase_is_one_step_of_the_workflow() -> None:
    text = WORKFLOW.read_text("utf-8")
    refresh = text[text.index("\nrefresh:") : text.index("\n# Connected components")]
    for phase in PHASES:
        assert f"\n    - {phase}:\n" in refresh
        assert refresh.count(f"- {phase}:\n") == 1, "a step inside has the name of a phase"


# --- what failed, why, and what to do -------------------------------------------------------------


def test_a_failure_is_told_with_its_phase_its_reason_and_the_fix() -> None:
    began = [
        Phase("plan", "STATE_SUCCEEDED", 1.0, AT),
        Phase("clean", "STATE_FAILED", 2.0, AT, "whatever the trace says"),
    ]
    error = (
        "/srv/cdp home/raw: a table cannot be read (No magic bytes at the end of "
        "'/srv/cdp/raw/events_20261024.parquet'); load its day again (code 409) (in step 'tell' of "
        "workflow 'main')"
    )
    assert str(why_failed(error, began)) == (
        "failed in step “Clean events”: a table cannot be read (No magic bytes at the end of "
        "'events_20261024.parquet'); load its day again"
    )


@pytest.mark.parametrize(
    ("error", "why", "fix"),
    [
        (
            "process 30556 is writing the warehouse; wait until it ends, or see `cdp runs`",
            "process 30556 is writing the warehouse",
            "wait until it ends, or see `cdp runs`",
        ),
        (
            'IO Error: Could not write file "/srv/x.tmp": No space left on device — in: create '
            "table t as select 1; select 2 (code 400) (in step 'insert' of workflow 'job')",
            "the disk is full",
            "free some space, then refresh again",
        ),
        (
            "its process ended unexpectedly: OSError: [Errno 28] No space left on device: '/x/y'",
            "the disk is full",
            "free some space, then refresh again",
        ),
        (
            "Out of Memory Error: failed to allocate data of size 2.0 MiB (1 GiB/1 GiB used) — in: "
            "select 1 (code 400)",
            "the memory does not suffice",
            "give it more, then refresh again",
        ),
        (
            "sqlite3.OperationalError: attempt to write a readonly database",
            "a file of the data cannot be read or written",
            "`cdp doctor` names it",
        ),
        (
            "TimeoutError: post https://steps.example/plan: Read timed out; giving up",
            "a service did not answer in time",
            "refresh again",
        ),
        (
            "ConnectionFailedError: post https://steps.example/plan: refused",
            "a service could not be reached",
            "refresh again in some minutes",
        ),
        (
            "Query exceeded limit for bytes billed: 1000; raise CDP_MAXIMUM_BYTES_BILLED, now 1000 "
            "— in: select 1 (code 400)",
            "Query exceeded limit for bytes billed: 1000",
            "raise CDP_MAXIMUM_BYTES_BILLED, now 1000",
        ),
        (
            "Access Denied: Project p: User does not have bigquery.jobs.create (code 403)",
            "Google refuses access: Access Denied: Project p: User does not have "
            "bigquery.jobs.create",
            "deploy again, which grants each account its roles",
        ),
        (
            "Exceeded rate limits: too many table update operations (code 429)",
            "a quota of Google Cloud is used up",
            "wait some minutes, then refresh again",
        ),
        (
            "HTTP server responded with error code 503 (code 503)",
            "a service failed",
            "refresh again in some minutes",
        ),
        (
            "UnhandledBranchError: One or more branches or iterations encountered an unhandled "
            "runtime error: the shard /a/b/part-1.json is empty; refresh again (code 409) (in step "
            "'write' of workflow 'export')",
            "the shard part-1.json is empty",
            "refresh again",
        ),
        (
            "Conversion Error: Could not convert string 'x' to INT64\n\nLINE 1: select x — in: "
            "select x (code 400)",
            "Could not convert string 'x' to INT64",
            "refresh again; if it fails again, the steps of the run tell more",
        ),
        (
            "stitching does not end: more than 2000 jumps (in step 'roots' of workflow 'stitch')",
            "stitching does not end: more than 2000 jumps",
            "refresh again; if it fails again, the steps of the run tell more",
        ),
        (None, "nothing was told of why", "refresh again"),
    ],
)
def test_a_reason_is_told_without_paths_statements_and_codes(
    error: str | None, why: str, fix: str
) -> None:
    found = why_failed(error)
    assert (found.why, found.fix) == (why, fix)
    assert str(found) == f"failed: {why}; {fix}"

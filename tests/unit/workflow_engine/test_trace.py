from datetime import UTC, datetime

import pytest

from cdp.workflow_engine import StepType, WorkflowFailure

WORK = "googleapis.test.v1.work"
EVERYTHING = f"""
main:
  steps:
    - set: {{assign: [{{x: 1}}]}}
    - log: {{call: sys.log, args: {{text: t}}}}
    - work: {{call: {WORK}, args: {{}}}}
    - sub: {{call: other}}
    - choose:
        switch:
          - {{condition: false, next: end}}
          - {{condition: true, steps: [{{in: {{assign: [{{x: 2}}]}}}}]}}
    - each: {{for: {{value: v, in: [a, b], steps: [{{s: {{assign: [{{x: "${{v}}"}}]}}}}]}}}}
    - pfor:
        parallel:
          concurrency_limit: 1
          for: {{value: v, range: [1, 2], steps: [{{s: {{assign: [{{y: 1}}]}}}}]}}
    - pall:
        parallel:
          concurrency_limit: 1
          branches: [{{left: {{steps: [{{s: {{assign: [{{y: 1}}]}}}}]}}}}]
    - group: {{steps: [{{jump: {{next: safe}}}}]}}
    - safe:
        try: {{raise: boom}}
        retry: {{predicate: "${{retry.always}}", max_retries: 1}}
        except: {{as: e, steps: [{{done: {{return: 1}}}}]}}
other:
  steps: [{{inner: {{return: 2}}}}]
"""


def lines(recorder):
    """Return the trace as an indented tree of `routine.step TYPE`."""
    depth = {None: -1}
    found = []
    for entry in recorder.started:
        depth[entry.id] = depth[entry.parent] + 1
        kind = entry.step_type.removeprefix("STEP_")
        extra = "" if entry.index is None else f" {entry.index} {entry.variable or ''}".rstrip()
        found.append(f"{'  ' * depth[entry.id]}{entry.routine}.{entry.step} {kind}{extra}")
    return found


def test_the_trace_is_a_tree_of_every_step_iteration_attempt_and_branch(run):
    run.connectors[WORK] = lambda args: None
    run(EVERYTHING)
    assert lines(run.recorder) == [
        "main.set ASSIGN",
        "main.log STD_LIB_CALL",
        "main.work CONNECTOR_CALL",
        "main.sub SUBWORKFLOW_CALL",
        "  other.inner RETURN",
        "main.choose SWITCH",
        "  main.choose CONDITION 1",
        "    main.in ASSIGN",
        "main.each FOR",
        "  main.each FOR_ITERATION 0 v",
        "    main.s ASSIGN",
        "  main.each FOR_ITERATION 1 v",
        "    main.s ASSIGN",
        "main.pfor PARALLEL_FOR",
        "  main.pfor FOR_ITERATION 0 v",
        "    main.s ASSIGN",
        "  main.pfor FOR_ITERATION 1 v",
        "    main.s ASSIGN",
        "main.pall PARALLEL_BRANCH",
        "  main.pall PARALLEL_BRANCH_ENTRY 0 left",
        "    main.s ASSIGN",
        "main.group TYPE_UNSPECIFIED",
        "  main.jump GOTO",
        "main.safe TRY_RETRY_EXCEPT",
        "  main.safe TRY",
        "    main.safe RAISE",
        "  main.safe RETRY",
        "  main.safe TRY",
        "    main.safe RAISE",
        "  main.safe EXCEPT",
        "    main.done RETURN",
    ]
    kinds = {entry.step_type for entry in run.recorder.started}
    assert kinds == set(StepType) - {StepType.CALL}  # the API has it, no step of ours is one


def test_every_entry_ends_once_with_its_outcome_and_times(run):
    run.connectors[WORK] = lambda args: None
    run(EVERYTHING)
    assert [e.id for e in run.recorder.started] == list(range(1, len(run.recorder.started) + 1))
    assert sorted(e.id for e in run.recorder.ended) == [e.id for e in run.recorder.started]
    for entry in run.recorder.ended:
        assert entry.state in {"STATE_SUCCEEDED", "STATE_FAILED"}
        assert entry.started_at <= entry.ended_at
    failed = [e for e in run.recorder.ended if e.state == "STATE_FAILED"]
    assert {e.exception for e in failed} == {"boom"}
    assert run.recorder.started[0].started_at == datetime.fromtimestamp(1_900_000_000, UTC)


def test_a_failure_fails_the_steps_around_it(run):
    with pytest.raises(WorkflowFailure):
        run("main: {steps: [{a: {call: sub}}]}\nsub: {steps: [{b: {assign: [{x: '${1 / 0}'}]}}]}")
    assert [(e.step, e.state, e.exception) for e in run.recorder.ended] == [
        ("b", "STATE_FAILED", "ZeroDivisionError: 1 / 0"),
        ("a", "STATE_FAILED", "ZeroDivisionError: 1 / 0"),
    ]


def test_a_subworkflow_called_in_an_expression_is_below_its_step(run):
    run("""
    main: {steps: [{a: {return: "${sub(1)}"}}]}
    sub: {params: [n], steps: [{b: {return: "${n}"}}]}
    """)
    assert lines(run.recorder) == ["main.a RETURN", "  sub.b RETURN"]

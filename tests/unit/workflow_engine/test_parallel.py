import threading
import time

import pytest

from cdp.workflow_engine import CallError, WorkflowFailure

WORK = "googleapis.test.v1.work"


def test_no_update_of_a_shared_variable_is_lost(run):
    text = """
    - init: {assign: [{n: 0}, {seen: []}, {m: {}}]}
    - p:
        parallel:
          shared: [n, seen, m]
          for:
            value: v
            range: [1, 300]
            steps:
              - add:
                  assign:
                    - n: ${n + v}
                    - seen: ${list.concat(seen, v)}
                    - m[string(v)]: ${v}
    - done: {return: ["${n}", "${len(seen)}", "${len(m)}"]}
    """
    for _ in range(3):
        assert run(text) == [45_150, 300, 300]


def test_branches_run_at_the_same_time(run):
    barrier = threading.Barrier(3, timeout=60)
    run.connectors[WORK] = lambda args: barrier.wait() >= 0
    branch = f"{{steps: [{{w: {{call: {WORK}, args: {{}}}}}}]}}"
    run(f"[{{p: {{parallel: {{branches: [{{a: {branch}}}, {{b: {branch}}}, {{c: {branch}}}]}}}}}}]")
    assert barrier.n_waiting == 0


@pytest.mark.parametrize(
    ("limit", "most"), [("concurrency_limit: 3", 3), ("concurrency_limit: 99", 20), ("", 20)]
)
def test_no_more_than_the_limit_run_at_once(run, limit, most):
    lock, now, peak = threading.Lock(), [0], [0]

    def work(args):
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        time.sleep(0.005)
        with lock:
            now[0] -= 1

    run.connectors[WORK] = work
    loop = f"{{value: v, range: [1, 40], steps: [{{w: {{call: {WORK}, args: {{}}}}}}]}}"
    run(f"[{{p: {{parallel: {{{limit + ', ' if limit else ''}for: {loop}}}}}}}]")
    assert 1 < peak[0] <= most


def test_a_limit_may_be_an_expression_and_must_be_positive(run):
    loop = "{value: v, in: [1], steps: [{s: {assign: [{x: 1}]}}]}"
    text = f"[{{p: {{parallel: {{concurrency_limit: '${{1 - 1}}', for: {loop}}}}}}}]"
    assert run.error(text)["tags"] == ["ValueError"]


def test_a_branch_reads_outer_variables_and_keeps_its_own(run):
    text = """
    - init: {assign: [{base: 10}, {out: {}}]}
    - p:
        parallel:
          shared: [out]
          branches:
            - a: {steps: [{s: {assign: [{own: 1}, {out.a: "${base + own}"}]}}]}
            - b: {steps: [{s: {assign: [{own: 2}, {out.b: "${base + own}"}]}}]}
    - done: {return: "${out}"}
    """
    assert run(text) == {"a": 11, "b": 12}


def test_the_others_go_on_when_one_branch_fails_and_all_errors_arrive_together(run):
    text = """
    - init: {assign: [{n: 0}]}
    - t:
        try:
          steps:
            - p:
                parallel:
                  shared: [n]
                  exception_policy: continueAll
                  for:
                    value: v
                    range: [0, 5]
                    steps:
                      - odd: {switch: [{condition: "${v % 2 != 0}", raise: {code: "${v}"}}]}
                      - add: {assign: [{n: "${n + 1}"}]}
        except: {as: e, steps: [{r: {return: ["${n}", "${e}"]}}]}
    """
    count, error = run(text)
    assert count == 3
    assert error["tags"] == ["UnhandledBranchError"]
    assert error["truncated"] is False
    assert [(b["id"], b["error"]["payload"]) for b in error["branches"]] == [
        ("1", {"code": 1}),
        ("3", {"code": 3}),
        ("5", {"code": 5}),
    ]


def test_an_error_handled_in_its_branch_is_none_outside(run):
    run.connectors[WORK] = lambda args: (_ for _ in ()).throw(CallError(500, "x", []))
    text = f"""
    - init: {{assign: [{{r: null}}]}}
    - p:
        parallel:
          shared: [r]
          branches:
            - a:
                steps:
                  - t:
                      try: {{call: {WORK}, args: {{}}, result: r}}
                      except: {{as: e, steps: [{{s: {{assign: [{{r: "${{e.code}}"}}]}}}}]}}
    - done: {{return: "${{r}}"}}
    """
    assert run(text) == 500


def nested(depth):
    inner = "{s: {assign: [{n: '${n + 1}'}]}}"
    for _ in range(depth):
        inner = f"{{p: {{parallel: {{shared: [n], branches: [{{a: {{steps: [{inner}]}}}}]}}}}}}"
    return f"[{{i: {{assign: [{{n: 0}}]}}}}, {inner}, {{r: {{return: '${{n}}'}}}}]"


def test_parallel_steps_nest_two_deep(run):
    assert run(nested(2)) == 1
    with pytest.raises(WorkflowFailure, match="encountered an unhandled runtime error") as found:
        run(nested(3))
    deepest = found.value.error["branches"][0]["error"]["payload"]["branches"][0]["error"]
    assert deepest["payload"]["tags"] == ["ParallelNestingError"]


def test_a_subworkflow_with_a_parallel_step_can_be_called_in_a_shared_assignment(run):
    text = """
    main:
      steps:
        - init: {assign: [{n: 0}]}
        - p:
            parallel:
              shared: [n]
              for: {value: v, range: [1, 4], steps: [{s: {assign: [{n: "${sum(v)}"}]}}]}
        - done: {return: "${n > 0}"}
    sum:
      params: [v]
      steps:
        - init: {assign: [{t: 0}]}
        - p:
            parallel:
              shared: [t]
              for: {value: i, range: [1, 5], steps: [{s: {assign: [{t: "${t + i * v}"}]}}]}
        - r: {return: "${t}"}
    """
    assert run(text) is True


def test_continue_ends_one_iteration_of_a_parallel_loop(run):
    text = """
    - init: {assign: [{n: 0}]}
    - p:
        parallel:
          shared: [n]
          for:
            value: v
            index: i
            in: [5, 6, 7]
            steps:
              - skip: {switch: [{condition: "${i == 1}", next: continue}]}
              - add: {assign: [{n: "${n + v}"}]}
    - done: {return: "${n}"}
    """
    assert run(text) == 12


def test_the_observer_is_called_by_one_thread_at_a_time(run):
    inside, overlaps = [0], []

    class Slow:
        def seen(self, entry):
            inside[0] += 1
            time.sleep(0.0005)
            if inside[0] != 1:
                overlaps.append(entry)
            inside[0] -= 1

        step_started = step_ended = step_retried = seen

    run.recorder = Slow()
    run("[{p: {parallel: {for: {value: v, range: [1, 30], steps: [{s: {assign: [{x: 1}]}}]}}}}]")
    assert overlaps == []


def test_a_bug_of_the_observer_ends_the_execution_as_a_bug(run):
    class Broken:
        def step_started(self, entry):
            raise RuntimeError("disk full")

        step_ended = step_retried = step_started

    run.recorder = Broken()
    with pytest.raises(RuntimeError, match="disk full"):
        run("[{p: {parallel: {for: {value: v, range: [1, 3], steps: [{s: {assign: [{x: 1}]}}]}}}}]")

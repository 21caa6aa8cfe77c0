import sys
from collections import Counter
from itertools import count

import pytest

from cdp.workflow_engine import (
    CallError,
    Interpreter,
    WorkflowCancelled,
    WorkflowError,
    WorkflowFailure,
    load,
)

# switch --------------------------------------------------------------------------------------


def test_only_the_first_condition_that_matches_runs(run):
    text = """
    main:
      params: [n]
      steps:
        - init: {assign: [{seen: []}]}
        - choose:
            switch:
              - condition: ${n < 10}
                assign: [{seen: "${list.concat(seen, \\"first\\")}"}]
              - condition: ${n < 100}
                assign: [{seen: "${list.concat(seen, \\"second\\")}"}]
              - condition: true
                assign: [{seen: "${list.concat(seen, \\"default\\")}"}]
        - done: {return: "${seen}"}
    """
    assert run(text, 1) == ["first"]
    assert run(text, 50) == ["second"]
    assert run(text, 500) == ["default"]


def test_the_next_of_a_condition_goes_before_the_next_of_its_switch(run):
    text = """
    main:
      params: [n]
      steps:
        - choose:
            switch:
              - {condition: "${n == 1}", next: one}
              - {condition: "${n == 2}", steps: [{set: {assign: [{x: 1}]}}], next: one}
              - {condition: "${n == 3}", steps: [{set: {assign: [{x: 1}]}}]}
              - {condition: "${n == 4}", return: four}
              - {condition: "${n == 5}", raise: five}
              - {condition: "${n == 6}"}
            next: other
        - follows: {return: follows}
        - one: {return: one}
        - other: {return: other}
    """
    assert [run(text, n) for n in (1, 2, 3, 4, 6, 7)] == [
        "one", "one", "other", "four", "other", "other",
    ]  # fmt: skip
    assert run.error(text, 5) == "five"


def test_a_switch_without_a_match_goes_to_the_step_that_follows(run):
    assert run("[{a: {switch: [{condition: false, return: 1}]}}, {b: {return: 2}}]") == 2


def test_a_condition_must_be_a_boolean(run):
    assert run.error("[{a: {switch: [{condition: 1, return: 1}]}}]")["tags"] == ["TypeError"]


# return, next --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["null", "false", "0", '""', "[]", "{}"])
def test_returning_an_empty_value_ends_the_workflow(run, value):
    expected = {"null": None, "false": False, "0": 0, '""': "", "[]": [], "{}": {}}[value]
    found = run(f"[{{a: {{return: {value}}}}}, {{b: {{return: went on}}}}]")
    assert found == expected
    assert type(found) is type(expected)


def test_a_workflow_that_runs_out_of_steps_or_ends_returns_null(run):
    assert run("[{a: {assign: [{x: 1}]}}]") is None
    assert run("[{a: {assign: [{x: 1}], next: end}}, {b: {return: 1}}]") is None


def test_next_jumps_back_forward_and_out_of_nested_blocks(run):
    text = """
    - init: {assign: [{n: 0}]}
    - again:
        steps:
          - add: {assign: [{n: "${n + 1}"}]}
          - check:
              switch:
                - condition: ${n < 3}
                  next: add
          - out:
              try:
                steps:
                  - leave: {next: far}
              except: {as: e, steps: [{r: {raise: "${e}"}}]}
    - skipped: {return: skipped}
    - far: {return: "${n}"}
    """
    assert run(text) == 3


def test_returning_from_inside_a_loop_ends_the_subworkflow_only(run):
    text = """
    main:
      steps:
        - find: {call: first_above, args: {list: [1, 5, 9], limit: 3}, result: found}
        - done: {return: "${found + 1}"}
    first_above:
      params: [list, limit]
      steps:
        - each:
            for:
              value: v
              in: ${list}
              steps:
                - check: {switch: [{condition: "${v > limit}", return: "${v}"}]}
    """
    assert run(text) == 6


# assign, by value ----------------------------------------------------------------------------


def test_assignments_run_in_order_and_reach_into_maps_and_lists(run):
    text = """
    - set:
        assign:
          - m: {a: {b: 1}, list: [1, [2, 3]]}
          - key: "c"
          - m.a.b: "${m.a.b + 1}"
          - m["a"][key]: new
          - m[key + "2"]: 5
          - m.list[1][0]: "${m.a.b}"
          - i: 0
          - m.list[i + 0]: zero
    - done: {return: "${m}"}
    """
    assert run(text) == {"a": {"b": 2, "c": "new"}, "list": ["zero", [2, 3]], "c2": 5}


def test_a_copy_does_not_change_with_the_original(run):
    text = """
    main:
      steps:
        - set:
            assign:
              - a: {l: [1, {x: 1}]}
              - b: ${a}
              - c: ["${a}", "${a}"]
              - a.l[1].x: 2
              - c[0].l[0]: 9
        - call: {call: change, args: {m: "${a}"}, result: changed}
        - done: {return: ["${a}", "${b}", "${c}", "${changed}"]}
    change:
      params: [m]
      steps:
        - set: {assign: [{m.l: null}]}
        - done: {return: "${m}"}
    """
    first, after = {"l": [1, {"x": 1}]}, {"l": [1, {"x": 2}]}
    assert run(text) == [after, first, [{"l": [9, {"x": 1}]}, first], {"l": None}]


def test_neither_the_argument_nor_a_literal_nor_the_result_is_shared(run):
    argument = {"l": [1]}
    definition = load("""
    main:
      params: [args]
      steps:
        - set: {assign: [{"args.l[0]": 2}, {literal: {k: [1]}}, {"literal.k[0]": 2}]}
        - done: {return: {"a": "${args}", "fixed": {"k": [1]}}}
    """)
    interpreter = Interpreter(definition, {}, {}, run.recorder, lambda: False)
    first = interpreter.run(argument)
    first["fixed"]["k"].append("mine")
    assert argument == {"l": [1]}
    assert interpreter.run(argument) == {"a": {"l": [2]}, "fixed": {"k": [1]}}


def test_a_missing_key_raises_and_map_get_gives_null(run):
    assert run.tags("args.items.missing", {"items": {}}) == ["KeyError"]
    assert run.value('map.get(args, ["items", "missing"])', {"items": {}}) is None


def test_assigning_below_a_missing_key_raises(run):
    assert run.error("[{a: {assign: [{m: {}}, {m.a.b: 1}]}}]")["tags"] == ["KeyError"]


def test_reading_a_variable_before_it_is_set_raises(run):
    text = "[{a: {next: c}}, {b: {assign: [{x: 1}]}}, {c: {return: '${x}'}}]"
    assert run.error(text) == {
        "message": "KeyError: the variable 'x' is not set",
        "tags": ["KeyError"],
    }


# subworkflows --------------------------------------------------------------------------------

GREET = """
greet:
  params: [first, last, country: "England", title: null]
  steps:
    - r: {return: "${first + \\" \\" + last + \\" of \\" + country}"}
"""


@pytest.mark.parametrize(
    "step",
    [
        "{call: greet, args: {last: Holmes, first: Sherlock}, result: r}",
        "{call: greet, args: [Sherlock, Holmes], result: r}",
        "{call: greet, args: '${args}', result: r}",
        '{assign: [{r: \'${greet("Sherlock", "Holmes")}\'}]}',
    ],
)
def test_a_subworkflow_takes_arguments_by_name_by_position_and_by_default(run, step):
    text = f"main: {{params: [args], steps: [{{a: {step}}}, {{b: {{return: '${{r}}'}}}}]}}\n{GREET}"
    argument = {"first": "Sherlock", "last": "Holmes"}
    assert run(text, argument) == "Sherlock Holmes of England"


def test_a_subworkflow_sees_its_own_variables_only(run):
    text = """
    main:
      steps:
        - set: {assign: [{x: mine}]}
        - call: {call: other}
        - done: {return: "${x}"}
    other:
      steps:
        - set: {assign: [{x: theirs}]}
    """
    assert run(text) == "mine"


def test_main_receives_the_argument_or_null_or_its_default(run):
    assert run.value("args.a[0].b", {"a": [{"b": 7}]}) == 7
    assert run.value("args") is None
    text = "main: {params: [args: {n: 3}], steps: [{r: {return: '${args.n}'}}]}"
    assert run(text) == 3
    assert run(text, {"n": 4}) == 4
    assert run("main: {steps: [{r: {return: 1}}]}", {"ignored": True}) == 1


def test_an_argument_that_is_not_json_fails_the_execution(run):
    assert run.error("[{a: {return: 1}}]", {"when": object()})["tags"] == ["TypeError"]


# loops ---------------------------------------------------------------------------------------


def total(loop):
    return f"""
    main:
      params: [args]
      steps:
        - init: {{assign: [{{seen: []}}]}}
        - each: {{for: {loop}}}
        - done: {{return: "${{seen}}"}}
    """


ADD = "steps: [{add: {assign: [{seen: '${list.concat(seen, v)}'}]}}]"


@pytest.mark.parametrize(
    ("over", "expected"),
    [
        ("range: [1, 3]", [1, 2, 3]),
        ("range: [2, 2]", [2]),
        ("range: [3, 1]", []),
        ("range: [-1, 1]", [-1, 0, 1]),
        ("range: [0.5, 2.5]", [0.5, 1.5, 2.5]),
        ("range: [0.5, 2]", [0.5, 1.5]),
        ("range: '${[1, args]}'", [1, 2]),
        ("in: [a, {b: 1}]", ["a", {"b": 1}]),
        ("in: '${keys({\"x\": 1})}'", ["x"]),
        ("in: []", []),
    ],
)
def test_a_loop_goes_over_a_list_or_an_inclusive_range(run, over, expected):
    assert run(total(f"{{value: v, {over}, {ADD}}}"), 2) == expected


@pytest.mark.parametrize("over", ["in: 5", "in: '${args}'", "range: [1]", "range: [a, b]"])
def test_a_loop_over_anything_else_raises(run, over):
    assert run.error(total(f"{{value: v, {over}, {ADD}}}"), {"m": 1})["tags"] == ["TypeError"]


def test_index_counts_from_zero_and_break_and_continue_do_as_they_say(run):
    text = total("""{value: v, index: i, in: [a, b, c, d], steps: [
      {check: {switch: [{condition: "${i == 1}", next: continue},
                        {condition: "${i == 3}", next: break}]}},
      {add: {assign: [{seen: "${list.concat(seen, v + i)}"}]}}]}""")
    assert run(text) == ["a0", "c2"]


def test_a_variable_set_in_a_loop_is_new_in_every_iteration(run):
    text = total("""{value: v, in: [1, 2], steps: [
      {read: {switch: [{condition: "${v == 2}", next: late}]}},
      {set: {assign: [{inner: 1}], next: continue}},
      {late: {assign: [{seen: "${inner}"}]}}]}""")
    assert run.error(text)["tags"] == ["KeyError"]


# raise, try, except --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("text", "text"),
        ("{code: 55, message: m}", {"code": 55, "message": "m"}),
        ("{code: '${n}', tags: [Mine]}", {"code": 7, "tags": ["Mine"]}),
        ("'${err}'", {"code": 1}),
    ],
)
def test_what_is_raised_arrives_in_except_and_can_be_raised_again(run, raised, expected):
    text = f"""
    - init: {{assign: [{{n: 7}}, {{err: {{code: 1}}}}, {{seen: null}}]}}
    - t:
        try: {{raise: {raised}}}
        except:
          as: e
          steps:
            - note: {{assign: [{{seen: "${{e}}"}}]}}
            - more: {{raise: "${{seen}}"}}
    """
    assert run.error(text) == expected


def test_an_error_of_the_engine_has_message_and_tags(run):
    text = """
    - t:
        try: {assign: [{x: "${1 / 0}"}]}
        except: {as: e, steps: [{r: {return: ["${e.tags}", "${e.message}"]}}]}
    """
    assert run(text) == [["ZeroDivisionError"], "ZeroDivisionError: 1 / 0"]


def test_after_except_the_workflow_goes_on_and_without_one_it_fails(run):
    handled = """
    - t: {try: {raise: x}, except: {as: e, steps: [{n: {assign: [{y: 1}]}}]}}
    - r: {return: went on}
    """
    assert run(handled) == "went on"
    with pytest.raises(
        WorkflowFailure, match=r"^boom \(in step 'deep' of workflow 'sub'\)$"
    ) as found:
        run("main: {steps: [{a: {call: sub}}]}\nsub: {steps: [{deep: {raise: boom}}]}")
    assert (found.value.error, found.value.routine, found.value.step) == ("boom", "sub", "deep")


# connectors ----------------------------------------------------------------------------------

INSERT = "googleapis.bigquery.v2.jobs.insert"
CALL = f"""
main:
  params: [args]
  steps:
    - insert:
        try:
          call: {INSERT}
          args: {{projectId: p, query: {{prefix: a/}}, connector_params: {{timeout: 60}}}}
          result: job
        except: {{as: e, steps: [{{r: {{return: "${{e}}"}}}}]}}
    - done: {{return: "${{job.id}}"}}
"""


def test_a_connector_gets_its_arguments_and_connector_params(run):
    seen = []
    run.connectors[INSERT] = lambda args: (seen.append(args), {"id": 7})[1]
    assert run(CALL) == 7
    assert seen == [
        {"projectId": "p", "query": {"prefix": "a/"}, "connector_params": {"timeout": 60}}
    ]


def test_a_call_error_is_the_error_map_of_except(run):
    def fails(args):
        raise CallError(409, "Already Exists", ["HttpError"], body={"error": {"status": "X"}})

    run.connectors[INSERT] = fails
    assert run(CALL) == {
        "code": 409,
        "message": "Already Exists",
        "tags": ["HttpError"],
        "body": {"error": {"status": "X"}},
    }


def test_a_bug_in_a_handler_is_a_system_error_and_its_traceback_is_logged(run, caplog):
    run.connectors[INSERT] = lambda args: args["missing"]
    assert run(CALL)["tags"] == ["SystemError"]
    assert "Traceback" in caplog.text


def test_a_handler_that_returns_no_json_is_a_type_error(run):
    run.connectors[INSERT] = lambda args: {"when": object()}
    assert run(CALL)["tags"] == ["TypeError"]


def test_a_definition_without_all_its_handlers_is_refused(run):
    definition = load(CALL, connectors=[INSERT])
    with pytest.raises(WorkflowError, match=INSERT):
        Interpreter(definition, {}, {}, run.recorder, lambda: False)


# limits --------------------------------------------------------------------------------------


def test_the_call_stack_has_a_depth_of_20(run):
    text = """
    main: {{params: [n], steps: [{{r: {{return: "${{down(n)}}"}}}}]}}
    down:
      params: [n]
      steps:
        - stop: {{switch: [{{condition: "${{n == 0}}", return: 0}}]}}
        - go: {{call: down, args: {{n: "${{n - 1}}"}}, result: r}}
        - back: {{return: "${{r + 1}}"}}
    """.replace("{{", "{").replace("}}", "}")
    assert run(text, 18) == 18  # main, then 19 calls of down
    assert run.error(text, 19)["tags"] == ["RecursionError"]


def test_the_variables_have_512_kb_together(run):
    text = """
    - init: {assign: [{s: aaaaaaaaaaaaaaaa}, {i: 0}]}
    - more: {assign: [{s: "${s + s}"}, {i: "${i + 1}"}], next: more}
    """
    assert run.error(text)["tags"] == ["ResourceLimitError"]


def test_memory_is_free_again_when_a_variable_changes_or_its_scope_ends(run):
    text = """
    main:
      steps:
        - big:
            assign: [{s: '${text.replace_all("aaaaaaaaaaaaaaaaaaaa", "a", "0123456789")}'}]
        - grow:
            for: {value: i, range: [1, 10], steps: [{d: {assign: [{s: "${s + s}"}]}}]}
        - calls:
            for: {value: i, range: [1, 50], steps: [{c: {call: keep, args: {s: "${s}"}}}]}
        - done: {return: "${len(s)}"}
    keep: {params: [s], steps: [{r: {return: null}}]}
    """
    assert run(text) == 204_800


def test_an_execution_has_100000_steps_and_no_except_gets_around_it(run):
    text = """
    - forever:
        try: {steps: [{spin: {next: spin}}]}
        except: {as: e, steps: [{again: {next: forever}}]}
    """
    assert run.error(text)["tags"] == ["ResourceLimitError"]


def test_a_step_costs_the_same_however_many_were_before_it(run):
    text = """
    main:
      params: [n]
      steps:
      - init: {assign: [{i: 0}]}
      - add: {assign: [{i: "${i + 1}"}]}
      - check: {switch: [{condition: "${i < n}", next: add}]}
    """

    def cost(rounds):
        """Return how many functions were called, which no busy machine changes."""
        calls = Counter()
        sys.setprofile(lambda frame, event, argument: calls.update([event]))
        try:
            run(text, rounds)
        finally:
            sys.setprofile(None)
        return calls["call"]

    none, some, more = cost(100), cost(1000), cost(1900)
    assert some - none < 900 * 150
    assert more - some < 1.3 * (some - none)


def test_a_value_nested_beyond_reason_fails_the_execution_only(run):
    text = """
    - init: {assign: [{l: []}]}
    - deeper: {assign: [{l: ["${l}"]}], next: deeper}
    """
    assert run.error(text)["tags"] == ["ResourceLimitError"]


# cancelling ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[{s: {call: sys.sleep, args: {seconds: 3600}}}]",
        "[{l: {next: l}}]",
        "[{t: {try: {raise: x}, retry: {predicate: '${retry.always}', max_retries: 9, backoff: "
        "{initial_delay: 3600, max_delay: 3600, multiplier: 1}}}}]",
        "[{p: {parallel: {for: {value: v, range: [1, 4], steps: "
        "[{s: {call: sys.sleep, args: {seconds: 3600}}}]}}}}]",
        "[{t: {try: {call: sys.sleep, args: {seconds: 3600}}, "
        "except: {as: e, steps: [{r: {return: 1}}]}}}]",
    ],
)
def test_cancelling_is_noticed_after_a_tenth_of_a_second_of_waiting(run, text):
    asked = count(1)
    run.cancelled = lambda: next(asked) > 4
    with pytest.raises(WorkflowCancelled):
        run(text)
    assert max(run.clock.slept, default=0) <= 0.1
    assert len(run.clock.slept) <= 4  # a wait asks after each sleep
    if "next: l" not in text:  # that one is between two steps
        assert "STATE_CANCELLED" in {entry.state for entry in run.recorder.ended}
    assert len(run.recorder.started) == len(run.recorder.ended)


def test_a_cancel_during_the_last_call_is_no_success(run):
    asked = []
    run.connectors = {"googleapis.test.call": lambda args: asked.append(True)}
    run.cancelled = lambda: bool(asked)
    with pytest.raises(WorkflowCancelled):
        run("main: {steps: [{last: {call: googleapis.test.call}}]}")


def test_a_cancelled_execution_runs_no_step(run):
    run.cancelled = lambda: True
    with pytest.raises(WorkflowCancelled):
        run("[{a: {return: 1}}]")
    assert run.recorder.started == []

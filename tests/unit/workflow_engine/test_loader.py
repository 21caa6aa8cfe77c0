import json
import os
import re
from pathlib import Path

import jsonschema
import pytest

from cdp.workflow_engine import WorkflowError, load

REPOSITORY = Path(__file__).resolve().parents[3]
SCHEMA = REPOSITORY.parent / "shared/data/schema/workflows.jsonschema.json"

# Every kind of step, in one definition.
EVERYTHING = """
main:
  params: [args]
  steps:
    - set:
        assign:
          - total: 0
          - m: {k: [1]}
          - m.k[0]: 2
          - m["${not an expression}"]: 3
          - names: {"${args.key}": 1}
    - each:
        for:
          value: v
          index: i
          in: ${args.list}
          steps:
            - skip:
                switch:
                  - condition: ${v == i}
                    next: continue
                  - condition: ${v > 10}
                    next: break
            - add:
                assign:
                  - total: ${total + v}
    - count:
        for:
          value: n
          range: ${[1, total]}
          steps:
            - note:
                call: sys.log
                args: {text: "${n}"}
    - together:
        parallel:
          shared: [total]
          concurrency_limit: 2
          exception_policy: continueAll
          branches:
            - one:
                steps:
                  - a:
                      assign: [{total: "${total + 1}"}]
            - two:
                steps:
                  - b:
                      call: double_it
                      args: {n: 2}
                      result: total
    - safely:
        try:
          steps:
            - read:
                call: http.get
                args:
                  url: https://example.com
                  auth: {type: OIDC}
                result: page
        retry:
          predicate: ${again}
          max_retries: 3
          backoff: {initial_delay: 1, max_delay: 10, multiplier: 2}
        except:
          as: e
          steps:
            - known:
                switch:
                  - condition: ${e.code == 404}
                    return: null
            - other:
                raise: ${e}
    - nested:
        steps:
          - inner:
              call: googleapis.bigquery.v2.jobs.insert
              args: {projectId: p, connector_params: {timeout: 60}}
        next: done
    - done:
        return: {total: "${total}", doubled: "${double_it(total)}"}
double_it:
  params: [n, times: 2]
  steps:
    - r:
        return: ${n * times}
again:
  params: [e]
  steps:
    - r:
        return: ${"HttpError" in e.tags}
"""
INSERT = "googleapis.bigquery.v2.jobs.insert"


def test_a_definition_with_every_kind_of_step_loads():
    definition = load(EVERYTHING, connectors=[INSERT])
    assert list(definition.routines) == ["main", "double_it", "again"]
    assert definition.connectors == {INSERT}


@pytest.mark.skipif(not SCHEMA.exists(), reason="../shared with the published schema is absent")
def test_what_loads_is_valid_by_the_published_schema():
    from cdp.workflow_engine.source import read

    schema = json.loads(SCHEMA.read_text())
    jsonschema.validate(read(EVERYTHING), schema)


def test_a_definition_may_be_json_or_a_list_of_steps():
    assert load('[{"a": {"return": 1}}]').routines.keys() == {"main"}
    assert load('{"main": {"steps": [{"a": {"return": 1}}]}}').routines.keys() == {"main"}


def refused(text, connectors=()):
    with pytest.raises(WorkflowError) as caught:
        load(text, connectors=connectors)
    return str(caught.value)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("{assign: [{a: '${1 +}'}]}", "syntax error in the expression"),
        ("{assign: [{a: '${" + "1 + " * 100 + "1}'}]}", "400 characters at most"),
        ("{assign: [{a: '${nope(1)}'}]}", "unknown function 'nope'"),
        ("{assign: [{a: '${bool(1)}'}]}", "unknown function 'bool'"),
        ("{assign: [{a: '${len(1, 2)}'}]}", "len takes 1 to 1 arguments, not 2"),
        ("{assign: [{a: '${map.get({}, \"k\", 1)}'}]}", "map.get takes 2 to 2 arguments"),
        ("{assign: [{a: '${unset}'}]}", "the variable 'unset' is read"),
        ("{assign: [{'1a': 1}]}", "syntax error in the expression near '1a'"),
        ("{assign: [{'len(x)': 1}]}", "is not a variable"),
        ("{assign: [{'b.c': 1}]}", "the variable 'b' is read"),
        ("{assign: []}", "1 to 50 assignments"),
        ("{assign: {a: 1}}", "1 to 50 assignments"),
        ("{call: nowhere}", "unknown call target 'nowhere'"),
        ("{call: events.create_callback_endpoint}", "callbacks are not supported"),
        ("{call: experimental.executions.map}", "experimental"),
        ("{call: googleapis.x.v1.get}", "googleapis.x.v1.get: no handler for this connector"),
        ("{call: http.get, args: {}}", "http.get needs url"),
        ("{call: http.get, args: {url: u, ca_certificate: c}}", "not ca_certificate"),
        ("{call: http.get, args: {url: u, body: {}}}", "not body"),
        ("{call: sub, args: {}}", "sub needs a"),
        ("{call: sub, args: {a: 1, z: 2}}", "sub takes (a, b), not z"),
        ("{next: nowhere}", "`next: nowhere`: no step of that name"),
        ("{next: [a]}", "'next' must be the name of a step"),
        ("{next: break}", "`next: break` is outside a for loop"),
        ("{next: continue}", "`next: continue` is outside a for loop"),
        ("{return: 1, next: end}", "unknown key 'next' in a step of return"),
        ("{assign: [{a: 1}], return: 1}", "a step does one thing; found assign and return"),
        ("{retrun: 1}", "unknown key 'retrun'"),
        ("{}", "a step must say what to do"),
        ("text", "a step must say what to do"),
        ("{switch: [{next: end}]}", "lists conditions"),
        ("{for: {value: v, steps: [{a: {return: 1}}]}}", "one of in and range"),
        ("{for: {value: v, in: [], each: 1, steps: [{a: {return: 1}}]}}", "'for' takes"),
        ("{for: {value: v, range: [1, 2], index: i, steps: [{a: {return: 1}}]}}", "'index' goes"),
        ("{try: {call: sub, args: {a: 1}}, retry: '${http.never}'}", "unknown retry policy"),
        ("{try: {return: 1}, retry: {max_retries: 1}}", "'retry' needs a predicate"),
        ("{try: {return: 1}, retry: {predicate: '${sub}'}}", "a workflow of one parameter"),
        ("{try: {return: 1}, retry: {predicate: '${sub}', attempts: 1}}", "'retry' takes"),
        ("{parallel: {shared: [q], branches: []}}", "shared variable 'q' must be set before"),
        ("{parallel: {branches: [{b: {return: 1}}]}}", "a branch has 'steps' and nothing else"),
        ("{parallel: {exception_policy: stop, branches: []}}", "only policy there is"),
        ("{parallel: {concurrency_limit: 0, branches: []}}", "positive integer"),
        ("{parallel: {}}", "one of for and branches"),
    ],
)
def test_what_cannot_run_is_refused_with_workflow_step_and_feature(step, message):
    sub = "sub: {params: [a, b: 1], steps: [{s: {return: 1}}]}"
    text = f"main: {{steps: [{{it: {step}}}]}}\n{sub}"
    found = refused(text)
    assert message in found
    assert found.startswith("workflow 'main', step 'it': ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a workflow is a map with the key 'main'"),
        ("sub: {steps: [{a: {return: 1}}]}", "a workflow is a map with the key 'main'"),
        ("main: [1]", "workflow 'main': it must have 'steps'"),
        ("main: {steps: []}", "at least one step"),
        ("main: {steps: [{a: {return: 1}, b: {return: 2}}]}", "a step is a map with one key"),
        ("main: {params: [a, b], steps: [{a: {return: 1}}]}", "one parameter at most"),
        ("[{a: {return: 1}}, {a: {return: 2}}]", "two steps are named 'a'"),
        (f"[{{a: {{return: {'[' * 3000}{']' * 3000}}}}}]", "nested too deeply"),
        ("[{end: {return: 1}}]", "a step cannot be named 'end'"),
    ],
)
def test_a_wrong_structure_is_refused(text, message):
    assert message in refused(text)


def test_a_connector_in_an_expression_is_refused():
    text = f"[{{a: {{return: '${{{INSERT}(1)}}'}}}}]"
    assert f"{INSERT} blocks: call it in a step" in refused(text, [INSERT])


def test_a_variable_of_a_loop_or_an_except_does_not_exist_outside():
    loop = "{for: {value: v, in: [1], steps: [{s: {assign: [{inner: 1}]}}]}}"
    for name in ("v", "inner"):
        assert f"the variable {name!r}" in refused(
            f"[{{l: {loop}}}, {{r: {{return: '${{{name}}}'}}}}]"
        )
    handled = "{try: {raise: x}, except: {as: e, steps: [{s: {assign: [{inner: 1}]}}]}}"
    for name in ("e", "inner"):
        assert f"the variable {name!r}" in refused(
            f"[{{l: {handled}}}, {{r: {{return: '${{{name}}}'}}}}]"
        )


@pytest.mark.parametrize(
    "step",
    [
        "{assign: [{sub: 1}]}",
        "{call: sub, args: {a: 1}, result: sub}",
        "{for: {value: sub, in: [1], steps: [{s: {return: 1}}]}}",
        "{for: {value: v, index: sub, in: [1], steps: [{s: {return: 1}}]}}",
        "{try: {raise: x}, except: {as: sub, steps: [{s: {return: 1}}]}}",
    ],
)
def test_a_variable_with_the_name_of_a_subworkflow_is_refused(step):
    sub = "sub: {params: [a], steps: [{sub: {return: 1}}]}"
    found = refused(f"main: {{steps: [{{it: {step}}}]}}\n{sub}")
    assert "the variable 'sub' has the name of a subworkflow; rename one of them" in found


def test_a_parameter_with_the_name_of_a_subworkflow_is_refused():
    text = "main: {params: [sub], steps: [{s: {return: 1}}]}\nsub: {steps: [{s: {return: 1}}]}"
    found = refused(text)
    assert "workflow 'main': the variable 'sub' has the name of a subworkflow" in found


def parallel(steps, shared="[]"):
    body = f"{{parallel: {{shared: {shared}, branches: [{{b: {{steps: [{steps}]}}}}]}}}}"
    return f"[{{s: {{assign: [{{x: 1}}]}}}}, {{p: {body}}}, {{after: {{return: '${{x}}'}}}}]"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{a: {assign: [{x: 2}]}}", "'x' is set outside the parallel step"),
        ("{a: {assign: [{'x.y': 2}]}}", "'x' is set outside the parallel step"),
        ("{a: {call: sys.log, args: {text: t}, result: x}}", "'x' is set outside"),
        ("{a: {next: after}}", "would leave the parallel branch"),
        ("{a: {next: end}}", "`next: end` is not supported inside a parallel step"),
        ("{a: {return: 1}}", "'return' is not supported inside a parallel step"),
        ("{a: {next: break}}", "outside a for loop"),
    ],
)
def test_a_branch_can_neither_write_what_is_not_shared_nor_leave(steps, message):
    assert message in refused(parallel(steps))


def test_a_branch_may_write_shared_variables_and_its_own():
    load(parallel("{a: {assign: [{x: 2}, {own: '${x}'}, {own: 3}]}}", "[x]"))


def test_the_pages_of_this_test_do_not_move():
    # The schema is read by path from the repository; a move would skip its test silently.
    assert (REPOSITORY / "pyproject.toml").exists()
    assert re.search("workflow_engine", os.fspath(Path(__file__)))

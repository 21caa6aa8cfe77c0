import pytest

from cdp.workflow_engine import CallError

CALL = "googleapis.test.v1.call"


class Flaky:
    """Fails with each of *errors*, then answers; remembers when it was called."""

    def __init__(self, clock, *errors):
        self.clock, self.errors, self.times = clock, list(errors), []

    def __call__(self, args):
        self.times.append(self.clock.now())
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    def waits(self):
        return [round(b - a, 4) for a, b in zip(self.times, self.times[1:], strict=False)]


def http(code):
    return CallError(code, f"status {code}", ["HttpError"])


def workflow(retry, handler="{as: e, steps: [{r: {return: '${e}'}}]}"):
    return f"""
    main:
      steps:
        - t:
            try: {{call: {CALL}, args: {{}}, result: r}}
            retry: {retry}
            except: {handler}
        - done: {{return: "${{r}}"}}
    mine:
      params: [e]
      steps:
        - note: {{call: sys.log, args: {{data: "${{e}}"}}}}
        - r: {{return: "${{e.code == 202 or e.code == 500}}"}}
    broken:
      params: [e]
      steps: [{{r: {{return: 1}}}}]
    """


def policy(predicate="retry.always", retries=3, initial="1", largest="60", multiplier="2"):
    return (
        f"{{predicate: '${{{predicate}}}', max_retries: {retries}, backoff: "
        f"{{initial_delay: {initial}, max_delay: {largest}, multiplier: {multiplier}}}}}"
    )


def test_the_default_policy_retries_five_times_with_the_default_backoff(run):
    flaky = run.connectors[CALL] = Flaky(run.clock, *[http(503)] * 9)
    assert run(workflow("'${http.default_retry}'"))["code"] == 503
    assert flaky.waits() == [1, 1.25, 1.5625, 1.9531, 2.4414]


@pytest.mark.parametrize(
    ("policy_name", "code", "calls"),
    [
        ("http.default_retry", 502, 2),
        ("http.default_retry", 500, 1),
        ("http.default_retry_non_idempotent", 429, 2),
        ("http.default_retry_non_idempotent", 502, 1),
    ],
)
def test_the_two_default_policies_retry_what_their_pages_say(run, policy_name, code, calls):
    flaky = run.connectors[CALL] = Flaky(run.clock, http(code))
    run(workflow(f"'${{{policy_name}}}'"))
    assert len(flaky.times) == calls


def test_delays_may_be_fractions_grow_and_stop_at_max_delay(run):
    flaky = run.connectors[CALL] = Flaky(run.clock, *[http(500)] * 5)
    retry = policy("mine", retries=5, initial="0.5", largest="3", multiplier="2")
    assert run(workflow(retry)) == "answer"
    assert flaky.waits() == [0.5, 1, 2, 3, 3]


def test_max_retries_does_not_count_the_first_attempt(run):
    flaky = run.connectors[CALL] = Flaky(run.clock, *[http(500)] * 9)
    run(workflow(policy(retries=2)))
    assert len(flaky.times) == 3


def test_except_runs_once_and_after_the_retries(run):
    flaky = run.connectors[CALL] = Flaky(run.clock, http(500), http(202), http(404))
    assert run(workflow(policy("mine", retries=5)))["code"] == 404
    assert len(flaky.times) == 3
    assert run.recorder.types().count("EXCEPT") == 1


def test_an_own_predicate_is_a_subworkflow_that_gets_the_error(run, caplog):
    caplog.set_level("INFO")
    run.connectors[CALL] = Flaky(run.clock, http(500))
    assert run(workflow(policy("mine"))) == "answer"
    assert '"code":500' in caplog.text


def test_a_predicate_must_return_a_boolean(run):
    run.connectors[CALL] = Flaky(run.clock, http(500))
    assert run.error(workflow(policy("broken")))["tags"] == ["TypeError"]


def test_backoff_and_retries_may_be_expressions_or_the_default(run):
    flaky = run.connectors[CALL] = Flaky(run.clock, *[http(500)] * 3)
    backoff = "'${retry.default_backoff}'"
    retry = f"{{predicate: '${{retry.always}}', max_retries: '${{1 + 1}}', backoff: {backoff}}}"
    run(workflow(retry))
    assert flaky.waits() == [1, 1.25]


def test_a_negative_delay_is_a_value_error(run):
    run.connectors[CALL] = Flaky(run.clock, http(500))
    assert run.error(workflow(policy(initial="-1")))["tags"] == ["ValueError"]


def test_a_block_of_steps_is_retried_from_its_first_step(run):
    run.connectors[CALL] = Flaky(run.clock, http(500))
    text = f"""
    - init: {{assign: [{{n: 0}}]}}
    - t:
        try:
          steps:
            - count: {{assign: [{{n: "${{n + 1}}"}}]}}
            - call: {{call: {CALL}, args: {{}}}}
        retry: {policy()}
    - done: {{return: "${{n}}"}}
    """
    assert run(text) == 2


def test_every_retry_is_told_to_the_observer(run):
    run.connectors[CALL] = Flaky(run.clock, http(500), http(503))
    run(workflow(policy()))
    assert [(e.attempt, e.exception, e.step, e.step_type) for e in run.recorder.retried] == [
        (1, "status 500 (code 500)", "t", "STEP_RETRY"),
        (2, "status 503 (code 503)", "t", "STEP_RETRY"),
    ]
    attempts = [e for e in run.recorder.started if e.step_type == "STEP_TRY"]
    assert [(e.attempt, e.state) for e in attempts] == [
        (1, "STATE_FAILED"),
        (2, "STATE_FAILED"),
        (3, "STATE_SUCCEEDED"),
    ]

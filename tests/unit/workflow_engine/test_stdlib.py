import base64
import logging
import re

import pytest

from cdp.workflow_engine import WorkflowError
from cdp.workflow_engine.stdlib import FUNCTIONS

# Source: "Standard library overview", "Expression helpers", the page of each function.
EXAMPLES = [
    ("double", 'double("2.7")', 2.7),
    ("double", "double(2)", 2.0),
    ("int", "int(2.7)", 2),
    ("int", "int(-2.7)", -2),
    ("int", 'int("-42")', -42),
    ("string", "string(1.7) + string(true) + string(2)", "1.7true2"),
    ("keys", 'keys({"b": 1, "a": 2})', ["b", "a"]),
    ("len", 'len("héllo") + len([1]) + len({"a": 1})', 7),
    ("get_type", "get_type(1)", "integer"),
    ("get_type", "get_type(1.0)", "double"),
    ("get_type", "get_type(null)", "null"),
    ("get_type", "get_type(true)", "boolean"),
    ("get_type", 'get_type(text.encode("a"))', "bytes"),
    ("get_type", 'get_type([]) + get_type({}) + get_type("")', "listmapstring"),
    ("default", "default(0, 5)", 0),
    ("default", "default(false, 5)", False),
    ("default", 'default("", 5)', ""),
    ("default", "default(null, 5)", 5),
    ("if", 'if(1 < 2, "yes", "no")', "yes"),
    ("if", 'if(false, "yes", null)', None),
    ("text.find_all", 'text.find_all("00000", "00")', [0, 2]),
    ("text.find_all", 'text.find_all("Hello World", "l")', [2, 3, 9]),
    (
        "text.find_all_regex",
        'text.find_all_regex("HelloWorld", "Hello|World")',
        [{"index": 0, "match": "Hello"}, {"index": 5, "match": "World"}],
    ),
    ("text.match_regex", 'text.match_regex("order-17", "[0-9]+")', True),
    ("text.match_regex", 'text.match_regex("a", "[[:alpha:]]")', True),
    ("text.match_regex", r'text.match_regex("a\n", "a$")', False),
    ("text.match_regex", 'text.match_regex("' + "a" * 100 + '!", "^(a+)+$")', False),
    (
        "text.find_all_regex",
        'text.find_all_regex("äab", "a|ab")',
        [{"index": 1, "match": "ab"}],
    ),
    ("text.replace_all", 'text.replace_all("a.b.c", ".", "-")', "a-b-c"),
    (
        "text.replace_all_regex",
        'text.replace_all_regex("one two", "one|two", "three")',
        "three three",
    ),
    ("text.replace_all_regex", r'text.replace_all_regex("ab", "(a)", "\\1")', r"\1b"),
    ("text.split", 'text.split("a,b,,c", ",")', ["a", "b", "", "c"]),
    ("text.substring", 'text.substring("hello", 2, 4)', "ll"),
    ("text.substring", 'text.substring("hello", -10, 10)', "hello"),
    ("text.to_lower", 'text.to_lower("ÀB")', "àb"),
    ("text.to_upper", 'text.to_upper("àb")', "ÀB"),
    ("text.url_encode", 'text.url_encode("a b/é")', "a%20b%2F%C3%A9"),
    ("text.url_encode_plus", 'text.url_encode_plus("a b+c")', "a+b%2Bc"),
    ("text.url_decode", 'text.url_decode("a%20b%2F%C3%A9")', "a b/é"),
    ("text.encode", 'base64.encode(text.encode("hé"))', "aMOp"),
    ("text.decode", 'text.decode(text.encode("hé", "UTF-8"), "UTF-8")', "hé"),
    ("json.encode", 'text.decode(json.encode({"a": [1, "é"]}))', '{"a":[1,"é"]}'),
    ("json.encode_to_string", 'json.encode_to_string({"a": 1}, true)', '{\n    "a": 1\n}'),
    (
        "json.encode_to_string",
        'json.encode_to_string([1], {"prefix": "> ", "indent": " "})',
        "[\n>  1\n> ]",
    ),
    ("json.decode", """json.decode('{"a": [1, 1.5, null]}')""", {"a": [1, 1.5, None]}),
    ("json.decode", 'json.decode(text.encode("[true]"))', [True]),
    ("base64.encode", 'base64.encode(text.encode("Hello World"))', "SGVsbG8gV29ybGQ="),
    ("base64.encode", 'base64.encode(text.encode("a"), false)', "YQ"),
    ("base64.decode", 'text.decode(base64.decode("YQ", false))', "a"),
    (
        "hash.compute_hmac",
        'base64.encode(hash.compute_hmac(text.encode("key"), '
        'text.encode("Hello World"), "SHA256"))',
        "QidPcoCDkuWLV9co1+PA5RY+rwfRZdwDEF9iq74afRE=",
    ),
    (
        "hash.compute_checksum",
        'base64.encode(hash.compute_checksum(text.encode(""), "MD5"))',
        "1B2M2Y8AsgTpgAmY7PhCfg==",
    ),
    ("list.concat", "list.concat([1], [2])", [1, [2]]),
    ("list.prepend", "list.prepend([1], 0)", [0, 1]),
    ("map.get", 'map.get({"a": {"b": 1}}, ["a", "b"])', 1),
    ("map.get", 'map.get({"a": 1}, ["a", "b"])', None),
    ("map.get", 'map.get({"a": 1}, "z")', None),
    ("map.get", 'map.get(null, "z")', None),
    ("map.delete", 'map.delete({"a": 1, "b": 2}, "b")', {"a": 1}),
    ("map.delete", 'map.delete({"a": 1}, "b")', {"a": 1}),
    ("map.merge", 'map.merge({"a": {"x": 1}}, {"a": {"y": 2}})', {"a": {"y": 2}}),
    (
        "map.merge_nested",
        'map.merge_nested({"a": {"x": 1}, "b": 1}, {"a": {"y": 2}, "b": {"z": 3}})',
        {"a": {"x": 1, "y": 2}, "b": {"z": 3}},
    ),
    ("math.abs", "math.abs(-1.5)", 1.5),
    ("math.ceil", "math.ceil(1.2)", 2),
    ("math.floor", "math.floor(-1.2)", -2),
    ("math.max", "math.max(1, 2.5)", 2.5),
    ("math.min", "math.min(1, 2.5)", 1),
    ("time.format", "time.format(0)", "1970-01-01T00:00:00.000000Z"),
    ("time.format", 'time.format(1.5, "Asia/Tokyo")', "1970-01-01T09:00:01.500000+09:00"),
    ("time.parse", 'time.parse("1970-01-01T01:00:00.25+01:00")', 0.25),
    ("sys.get_env", 'sys.get_env("PROJECT")', "demo"),
    ("sys.get_env", 'sys.get_env("NONE", "x")', "x"),
    ("sys.get_env", 'sys.get_env("NONE")', None),
    ("sys.now", "sys.now()", 1_900_000_000.0),
    ("uuid.generate", "len(uuid.generate())", 36),
    ("retry.always", "retry.always({})", True),
    ("retry.never", "retry.never({})", False),
    ("http.default_retry_predicate", 'http.default_retry_predicate({"code": 502})', True),
    ("http.default_retry_predicate", 'http.default_retry_predicate({"code": 500})', False),
    ("http.default_retry_predicate", 'http.default_retry_predicate("text")', False),
    (
        "http.default_retry_predicate",
        'http.default_retry_predicate({"tags": ["TimeoutError"]})',
        True,
    ),
    (
        "http.default_retry_predicate_non_idempotent",
        'http.default_retry_predicate_non_idempotent({"code": 502})',
        False,
    ),
    (
        "http.default_retry_predicate_non_idempotent",
        'http.default_retry_predicate_non_idempotent({"tags": ["ConnectionFailedError"]})',
        True,
    ),
]


@pytest.mark.parametrize(("name", "expression", "expected"), EXAMPLES)
def test_a_function_returns_what_its_page_says(run, name, expression, expected):
    run.env = {"PROJECT": "demo"}
    assert name in expression
    found = run.value(expression)
    assert found == expected
    assert type(found) is type(expected)


def test_every_function_that_does_not_block_has_an_example():
    reachable = {name for name, found in FUNCTIONS.items() if not found.blocking}
    assert reachable == {name for name, _, _ in EXAMPLES}


def test_every_blocking_function_is_refused_in_an_expression_and_known_as_a_call():
    blocking = {name for name, found in FUNCTIONS.items() if found.blocking}
    verbs = ("get", "post", "put", "patch", "delete", "request")
    assert blocking == {f"http.{v}" for v in verbs} | {"sys.log", "sys.sleep", "sys.sleep_until"}


@pytest.mark.parametrize("name", ["http.get", "sys.log", "sys.sleep"])
def test_a_blocking_function_in_an_expression_is_refused_at_load(run, name):
    with pytest.raises(WorkflowError, match=re.escape(f"{name} blocks: call it in a step")):
        run.value(f"{name}(1)")


@pytest.mark.parametrize(
    ("expression", "tag"),
    [
        ('int("2.7")', "ValueError"),
        ('int("1_000")', "ValueError"),
        ("int(true)", "TypeError"),
        ('double("nan")', "ValueError"),
        ("string(null)", "TypeError"),
        ("string([])", "TypeError"),
        ("keys([])", "TypeError"),
        ("len(1)", "TypeError"),
        ('if("true", 1, 2)', "TypeError"),
        ('text.split("a", 1)', "TypeError"),
        ('text.match_regex("a", "(")', "ValueError"),
        (r'text.match_regex("aa", "(a)\\1")', "ValueError"),
        ('text.match_regex("a", "(?=a)")', "ValueError"),
        ('text.match_regex("a", "a++")', "ValueError"),
        (r'text.match_regex(json.decode("\"\\ud800\""), "a")', "ValueError"),
        ('text.url_decode("%zz")', "ValueError"),
        ('text.encode("é", "ascii")', "ValueError"),
        ('text.encode("a", "nope")', "ValueError"),
        ('json.decode("{")', "ValueError"),
        ('json.decode("NaN")', "ValueError"),
        ('json.encode(text.encode("a"))', "ValueError"),
        ('base64.decode("?")', "ValueError"),
        ('hash.compute_checksum(text.encode("a"), "CRC")', "ValueError"),
        ("map.get({}, 1)", "TypeError"),
        ("map.get({}, [1])", "TypeError"),
        ("map.merge({}, [])", "TypeError"),
        ('time.format(0, "Mars/Olympus")', "ValueError"),
        ('time.parse("yesterday")', "ValueError"),
    ],
)
def test_a_function_given_the_wrong_value_raises_the_documented_tag(run, expression, tag):
    assert run.tags(expression) == [tag]


def test_both_values_of_if_and_default_are_evaluated(run):
    assert run.tags('if(true, 1, {}["missing"])') == ["KeyError"]
    assert run.tags('default(1, {}["missing"])') == ["KeyError"]


def test_any_function_can_be_called_by_a_step_by_name_or_by_position(run):
    text = """
    - a: {call: text.split, args: {source: "a b", separator: " "}, result: named}
    - b: {call: list.concat, args: ["${named}", c], result: placed}
    - c: {return: "${placed}"}
    """
    assert run(text) == ["a", "b", "c"]


def test_sys_log_goes_to_python_logging_at_its_severity(run, caplog):
    caplog.set_level(logging.DEBUG)
    run("""
    - a: {call: sys.log, args: {data: {k: [1]}, severity: WARNING}}
    - b: {call: sys.log, args: {text: plain}}
    - c: {call: sys.log, args: [null, ERROR, third]}
    """)
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", '{"k":[1]}'),
        ("INFO", "plain"),
        ("ERROR", "third"),
    ]


@pytest.mark.parametrize("args", ["{}", "{data: a, text: b}", "{json: text}"])
def test_sys_log_takes_exactly_one_payload(run, args):
    assert run.error(f"- a: {{call: sys.log, args: {args}}}")["tags"] == ["TypeError"]


def test_sleeping_takes_the_time_it_says_and_no_real_time(run):
    run("""
    - a: {call: sys.sleep, args: {seconds: 90}}
    - b: {call: sys.sleep_until, args: {time: "2030-03-17T17:50:00Z"}}
    - c: {call: sys.sleep_until, args: {time: "2001-01-01T00:00:00Z"}}
    """)
    assert run.clock.time == pytest.approx(1_900_000_200.0)
    assert max(run.clock.slept) <= 0.2


@pytest.mark.parametrize("call", ["http.post", "googleapis.test.call"])
def test_a_body_that_holds_bytes_is_no_json(run, call):
    run.http = lambda method, args: {}
    run.connectors = {"googleapis.test.call": lambda args: None}
    body = "{query: '${text.encode(\"select 1\")}'}"
    text = f"[{{send: {{call: {call}, args: {{url: u, body: {body}}}}}}}]"
    error = run.error(text)
    assert error["tags"] == ["TypeError"]
    assert f"the body of {call} holds bytes; decode them, e.g. text.decode" in error["message"]


def test_bytes_are_values_but_no_result(run):
    assert run.value('text.decode(base64.decode("aMOp"))') == base64.b64decode("aMOp").decode()
    assert run.tags('text.encode("a")') == ["ValueError"]

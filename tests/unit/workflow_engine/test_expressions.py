import ast
import math
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.workflow_engine.errors import Raised
from cdp.workflow_engine.expressions import parse


class Variables:
    def __init__(self, **values):
        self.values = values

    def read(self, name):
        return self.values[name]

    def call(self, name, args):
        return [name, *args]


def value(source, **variables):
    return parse(source).evaluate(Variables(**variables))


def tags(source, **variables):
    with pytest.raises(Raised) as caught:
        value(source, **variables)
    return caught.value.value["tags"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("1", 1),
        ("2.5e3", 2500.0),
        ("'single'", "single"),
        (r'"a\"b\\c\nd\u00e9"', 'a"b\\c\ndé'),
        ('"braces {in} a ${string}"', "braces {in} a ${string}"),
        ("[1, [2], {}]", [1, [2], {}]),
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ("android", 7),
    ],
)
def test_a_literal_is_its_value(source, expected):
    found = value(source, android=7)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 / 2", 3.5),
        ("6 / 3", 2.0),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("7 % 4", 3),
        ("2 * -3", -6),
        ("a -1", 0),
        ("1 + 0.5", 1.5),
        ("1 < 2 and 2 <= 2 and 3 > 2 and 3 >= 3", True),
        ("true or false and false", True),
        ("true AND NOT false", True),
        ("1 == 1.0", True),
        ("null == null", True),
        ('null != "x"', True),
        ('"a" < "b"', True),
        ("[1, {}] == [1.0, {}]", True),
        ("[true] == [1]", False),
        ('"x" in ["x"]', True),
        ('"x" in {"x": null}', True),
        ("1 in [true]", False),
        ('not("x" in ["x"])', False),
        ("not (1 == 2)", True),
        ('"total: " + 3', "total: 3"),
        ('1.5 + "s" + true', "1.5strue"),
    ],
)
def test_operators_follow_the_documented_precedence_and_conversions(source, expected):
    found = value(source, a=1)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "tag"),
    [
        ("1 + true", "TypeError"),
        ("1 + null", "TypeError"),
        ('"a" + null', "TypeError"),
        ('"a" - "b"', "TypeError"),
        ("not 1", "TypeError"),
        ("1 and true", "TypeError"),
        ("-true", "TypeError"),
        ('1 < "a"', "TypeError"),
        ("true < false", "TypeError"),
        ('1 == "1"', "TypeError"),
        ("1 == true", "TypeError"),
        ('"a" in "abc"', "TypeError"),
        ("1 in {}", "TypeError"),
        ('not "x" in ["x"]', "TypeError"),  # `not` binds tighter than `in`
        ("1 / 0", "ZeroDivisionError"),
        ("1 // 0.0", "ZeroDivisionError"),
        ("1 % 0", "ZeroDivisionError"),
        ("9223372036854775807 + 1", "ValueError"),
        ("1e308 * 10", "ValueError"),
        ("m.missing", "KeyError"),
        ('m["missing"]', "KeyError"),
        ("m[0]", "TypeError"),
        ("l[3]", "IndexError"),
        ("l[-1]", "IndexError"),
        ('l["a"]', "TypeError"),
        ("l.a", "TypeError"),
        ("m.items.x.y", "TypeError"),
    ],
)
def test_an_operation_on_the_wrong_value_raises_the_documented_tag(source, tag):
    assert tags(source, m={"items": {"x": 1}}, l=[1, 2, 3]) == [tag]


def test_a_field_is_a_key_never_a_method():
    variables = {"objs": {"items": [{"name": "n"}], "in": 1, "not": 2, "keys": 3}}
    assert value("objs.items[0].name", **variables) == "n"
    assert value('objs["keys"] + objs.in + objs.not + objs.keys', **variables) == 9


def test_and_or_do_not_evaluate_what_cannot_matter():
    assert value('"k" in m and m.k != ""', m={}) is False
    assert value('not("k" in m) or m.k != ""', m={}) is True


def test_calls_keep_their_dotted_name_and_their_arguments():
    assert value('text.split("a", b[0])', b=["c"]) == ["text.split", "a", "c"]
    assert value("f()") == ["f"]
    assert parse("g(h(1), 2)").calls == (("g", 2), ("h", 1))
    assert parse("g(x, y.z)[w]").reads == {"x", "y", "w"}


@pytest.mark.parametrize(
    "source",
    ["", "1 +", "a b", "1 2", "(1", "[1,]", '"open', "a = 1", "x if y else z", "1()", "!a", r'"\d"',
     "a.1", "9223372036854775808", "lambda: 1", "__import__('os').system('x')()"],
)  # fmt: skip
def test_what_is_not_the_language_is_a_syntax_error(source):
    with pytest.raises(ValueError):  # noqa: PT011 - the loader adds workflow and step
        parse(source)


_OPERATORS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv,
    "%": operator.mod, "/": operator.truediv, "<": operator.lt, ">=": operator.ge,
    "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


def independent(node):  # noqa: PLR0911 - a case per kind of node
    """Evaluate Python's own syntax tree: a second opinion on precedence and arithmetic."""
    match node:
        case ast.Constant():
            return node.value
        case ast.UnaryOp(op=ast.Not()):
            return not independent(node.operand)
        case ast.UnaryOp():
            return -independent(node.operand)
        case ast.BoolOp(op=ast.And()):
            return all(independent(each) for each in node.values)
        case ast.BoolOp():
            return any(independent(each) for each in node.values)
        case ast.Compare():
            names = {ast.Lt: "<", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
            apply = _OPERATORS[names[type(node.ops[0])]]
            return apply(independent(node.left), independent(node.comparators[0]))
        case _:
            names = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.FloorDiv: "//",
                     ast.Mod: "%", ast.Div: "/"}  # fmt: skip
            apply = _OPERATORS[names[type(node.op)]]
            return apply(independent(node.left), independent(node.right))


_numbers = st.recursive(
    st.one_of(
        st.integers(0, 99).map(str),
        st.floats(0, 9, width=16).map(lambda x: f"{x:.3f}"),
        st.integers(0, 9).map(lambda x: f"-{x}"),
    ),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner).map(" ".join),
        inner.map(lambda x: f"({x})"),
    ),
    max_leaves=6,
)
_booleans = st.recursive(
    st.tuples(_numbers, st.sampled_from(["<", ">=", "==", "!="]), _numbers).map(" ".join),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(" ".join),
        inner.map(lambda x: f"not ({x})"),
        inner.map(lambda x: f"({x})"),
    ),
    max_leaves=4,
)


@given(st.one_of(_numbers, _booleans))
def test_arithmetic_and_logic_agree_with_an_independent_evaluation(source):
    try:
        expected = independent(ast.parse(source, mode="eval").body)
    except (ZeroDivisionError, OverflowError):
        return  # raising is another test
    if type(expected) is float and not math.isfinite(expected):
        return
    try:
        found = value(source)
    except Raised as error:
        assert error.value["tags"] == ["ValueError"]  # noqa: PT017 - beyond 64 bits inside
        return
    assert found == expected
    assert type(found) is type(expected)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_every_string_survives_being_written_as_a_literal(text):
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    assert value(f'"{escaped}"') == text

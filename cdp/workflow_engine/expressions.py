"""The expression language between `${` and `}`: grammar, type rules and evaluation.

Source: "Data types, functions, operators" (precedence, implicit conversions) and "Expressions".
An expression becomes a tree of closures once, at load; nothing is evaluated as Python.
"""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedInput, VisitError

from cdp.workflow_engine.errors import Raised
from cdp.workflow_engine.values import (
    LARGEST,
    checked,
    is_number,
    item_of,
    same,
    to_string,
    type_error,
    type_name,
)

MAX_LENGTH = 400

# `not` binds tighter than the comparisons, as documented: `not x in y` is `(not x) in y`.
_GRAMMAR = r"""
?start: disjunction
?disjunction: conjunction | disjunction _OR conjunction -> either
?conjunction: comparison | conjunction _AND comparison -> both
?comparison: sum | comparison (COMPARE | IN) sum -> binary
?sum: product | sum (PLUS | MINUS) product -> binary
?product: negation | product TIMES negation -> binary
?negation: inversion | _MINUS negation -> negative
?inversion: postfix | _NOT inversion -> inverse
?postfix: atom
    | postfix FIELD -> field
    | postfix "[" disjunction "]" -> index
    | postfix "(" [disjunction ("," disjunction)*] ")" -> call
?atom: INTEGER -> integer
    | DOUBLE -> double
    | STRING -> string
    | TRUE -> true
    | FALSE -> false
    | NULL -> null
    | NAME -> name
    | "(" disjunction ")"
    | "[" [disjunction ("," disjunction)*] "]" -> list
    | "{" [pair ("," pair)*] "}" -> map
pair: disjunction ":" disjunction

_OR.2: /(or|OR)\b/
_AND.2: /(and|AND)\b/
_NOT.2: /(not|NOT)\b/
IN.2: /(in|IN)\b/
TRUE.2: /(true|True|TRUE)\b/
FALSE.2: /(false|False|FALSE)\b/
NULL.2: /null\b/
NAME: /[A-Za-z_][A-Za-z0-9_]*/
FIELD: /\.[A-Za-z_][A-Za-z0-9_]*/
DOUBLE.2: /[0-9]+(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)/
INTEGER: /[0-9]+/
STRING: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
COMPARE: "==" | "!=" | "<=" | ">=" | "<" | ">"
TIMES: "//" | "*" | "/" | "%"
PLUS: "+"
MINUS: "-"
_MINUS: "-"
%ignore /\s+/
"""


class Context(Protocol):
    """What an expression needs from the step that evaluates it."""

    def read(self, name: str) -> Any: ...

    def call(self, name: str, args: Sequence[Any]) -> Any: ...


Evaluate = Callable[[Context], Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What an assignment writes to: a variable, or an item inside it."""

    name: str
    path: tuple[Evaluate, ...] = ()


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed value: how to evaluate it, and what it needs to be known at load.

    Attributes:
        reads: variables it reads.
        calls: functions and subworkflows it calls, with the number of arguments.
        dotted: the name it is, e.g. `http.default_retry`, if it is nothing but one.
        target: where it points, if it can be assigned to.
        constant: its evaluation needs no context.
    """

    evaluate: Evaluate
    reads: frozenset[str] = frozenset()
    calls: tuple[tuple[str, int], ...] = ()
    dotted: str | None = None
    target: Target | None = None
    constant: bool = False


def constant(value: Any) -> Expression:
    return Expression(lambda _: value, constant=True)


def combine(evaluate: Evaluate, *parts: Expression) -> Expression:
    """Return an expression over *parts* that needs all that they need."""
    return Expression(
        evaluate,
        frozenset().union(*(part.reads for part in parts)),
        tuple(call for part in parts for call in part.calls),
    )


def parse(source: str) -> Expression:
    """Parse the inside of `${...}`; ValueError says what is wrong and where."""
    try:
        tree = _PARSER.parse(source)
        found: Expression = _BUILDER.transform(tree)
    except UnexpectedInput as error:
        near = error.get_context(source, span=20).rstrip("\n").splitlines()[0].strip()
        raise ValueError(f"syntax error in the expression near {near!r}") from error
    except VisitError as error:
        raise ValueError(str(error.orig_exc)) from error
    return found


def add(left: Any, right: Any) -> Any:
    if is_number(left) and is_number(right):
        return checked(left + right)
    if type(left) is not str and type(right) is not str:
        type_error(f"cannot add a {type_name(left)} and a {type_name(right)}")
    return to_string(left) + to_string(right)


def arithmetic(symbol: str, apply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def run(left: Any, right: Any) -> Any:
        if not (is_number(left) and is_number(right)):
            type_error(f"cannot apply {symbol} to a {type_name(left)} and a {type_name(right)}")
        try:
            return checked(apply(left, right))
        except ZeroDivisionError:
            raise Raised.tagged("ZeroDivisionError", f"{left} {symbol} 0") from None

    return run


def equal(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    if type(left) is not type(right) and not (is_number(left) and is_number(right)):
        type_error(f"cannot compare a {type_name(left)} with a {type_name(right)}")
    return same(left, right)


def ordering(symbol: str, apply: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def run(left: Any, right: Any) -> bool:
        strings = type(left) is str and type(right) is str
        if not (strings or (is_number(left) and is_number(right))):
            type_error(f"cannot apply {symbol} to a {type_name(left)} and a {type_name(right)}")
        return apply(left, right)

    return run


def contains(item: Any, container: Any) -> bool:
    if type(container) is list:
        return any(same(item, found) for found in container)
    if type(container) is not dict:
        type_error(f"`in` needs a list or a map on its right, not a {type_name(container)}")
    if type(item) is not str:
        type_error(f"a map key is a string, not a {type_name(item)}")
    return item in container


def truth(value: Any, where: str) -> bool:
    """Return *value* if it is a boolean; the language has no truthy values."""
    if type(value) is not bool:
        type_error(f"{where} needs a boolean, not a {type_name(value)}")
    return value


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": add,
    "-": arithmetic("-", operator.sub),
    "*": arithmetic("*", operator.mul),
    "/": arithmetic("/", operator.truediv),
    "//": arithmetic("//", operator.floordiv),
    "%": arithmetic("%", operator.mod),
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": ordering("<", operator.lt),
    "<=": ordering("<=", operator.le),
    ">": ordering(">", operator.gt),
    ">=": ordering(">=", operator.ge),
    "in": contains,
}

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 5:
        return chr(int(code[1:], 16))
    if code in _ESCAPES:
        return _ESCAPES[code]
    if code in "\"'\\/":
        return code
    raise ValueError(f"unknown escape \\{code} in a string of the expression")


@v_args(inline=True)
class _Builder(Transformer[Token, Expression]):
    """Bottom up: each method receives the expressions of its operands."""

    def integer(self, token: Token) -> Expression:
        if int(token) > LARGEST:
            raise ValueError(f"{token} is not a 64-bit integer")
        return constant(int(token))

    def double(self, token: Token) -> Expression:
        return constant(float(token))

    def string(self, token: Token) -> Expression:
        return constant(_ESCAPE.sub(_unescape, token[1:-1]))

    def true(self, _: Token) -> Expression:
        return constant(True)

    def false(self, _: Token) -> Expression:
        return constant(False)

    def null(self, _: Token) -> Expression:
        return constant(None)

    def name(self, token: Token) -> Expression:
        name = str(token)
        return Expression(
            lambda context: context.read(name), frozenset([name]), (), name, Target(name)
        )

    def field(self, of: Expression, token: Token) -> Expression:
        key, inner = str(token[1:]), of.evaluate
        return Expression(
            lambda context: item_of(inner(context), key),
            of.reads,
            of.calls,
            of.dotted and f"{of.dotted}.{key}",
            of.target and Target(of.target.name, (*of.target.path, lambda _: key)),
        )

    def index(self, of: Expression, key: Expression) -> Expression:
        inner, at = of.evaluate, key.evaluate
        found = combine(lambda context: item_of(inner(context), at(context)), of, key)
        target = of.target and Target(of.target.name, (*of.target.path, at))
        return Expression(found.evaluate, found.reads, found.calls, None, target)

    def call(self, of: Expression, *args: Expression | None) -> Expression:
        name = of.dotted
        if name is None:
            raise ValueError("only a function or a subworkflow can be called, by its name")
        given = [arg for arg in args if arg is not None]
        runs = [arg.evaluate for arg in given]
        found = combine(lambda context: context.call(name, [run(context) for run in runs]), *given)
        return Expression(found.evaluate, found.reads, ((name, len(given)), *found.calls))

    def list(self, *items: Expression | None) -> Expression:
        given = [item for item in items if item is not None]
        runs = [item.evaluate for item in given]
        return combine(lambda context: [run(context) for run in runs], *given)

    def pair(self, key: Expression, value: Expression) -> tuple[Expression, Expression]:
        return key, value

    def map(self, *pairs: tuple[Expression, Expression] | None) -> Expression:
        return mapping([pair for pair in pairs if pair is not None])

    def negative(self, of: Expression) -> Expression:
        inner = of.evaluate

        def run(context: Context) -> Any:
            value = inner(context)
            if not is_number(value):
                type_error(f"cannot negate a {type_name(value)}")
            return checked(-value)

        return combine(run, of)

    def inverse(self, of: Expression) -> Expression:
        inner = of.evaluate
        return combine(lambda context: not truth(inner(context), "`not`"), of)

    def either(self, left: Expression, right: Expression) -> Expression:
        first, second = left.evaluate, right.evaluate
        return combine(
            lambda context: truth(first(context), "`or`") or truth(second(context), "`or`"),
            left,
            right,
        )

    def both(self, left: Expression, right: Expression) -> Expression:
        first, second = left.evaluate, right.evaluate
        return combine(
            lambda context: truth(first(context), "`and`") and truth(second(context), "`and`"),
            left,
            right,
        )

    def binary(self, left: Expression, token: Token, right: Expression) -> Expression:
        apply, first, second = _BINARY[token.lower()], left.evaluate, right.evaluate
        return combine(lambda context: apply(first(context), second(context)), left, right)


def mapping(pairs: Sequence[tuple[Expression, Expression]]) -> Expression:
    """Return the map of *pairs*; keys are expressions too, and must give strings."""
    runs = [(key.evaluate, value.evaluate) for key, value in pairs]

    def run(context: Context) -> dict[str, Any]:
        found = {}
        for key, value in runs:
            name = key(context)
            if type(name) is not str:
                type_error(f"a map key is a string, not a {type_name(name)}")
            found[name] = value(context)
        return found

    return combine(run, *(part for pair in pairs for part in pair))


_PARSER = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)
_BUILDER = _Builder()

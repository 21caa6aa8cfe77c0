"""The standard library: functions, retry predicates and policies, by their documented names.

Source: "Standard library overview", "Expression helpers", and the page of each function.
"""

import base64
import binascii
import codecs
import hashlib
import hmac
import json
import logging
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, quote_plus, unquote_plus
from zoneinfo import ZoneInfo

import re2

from cdp.workflow_engine.values import checked, to_string, type_error, type_name, value_error

_log = logging.getLogger(__name__)

_TYPES: dict[str, tuple[type, ...]] = {
    "any": (bool, bytes, float, int, list, dict, type(None), str),
    "boolean": (bool,),
    "bytes": (bytes,),
    "integer": (int,),
    "list": (list,),
    "map": (dict,),
    "number": (int, float),
    "string": (str,),
}


class Runtime(Protocol):
    """What the functions that reach outside need from the execution."""

    env: Mapping[str, str]

    def now(self) -> float: ...

    def wait(self, seconds: float) -> None: ...

    def http(self, method: str, args: dict[str, Any]) -> Any: ...


@dataclass(frozen=True, slots=True)
class Function:
    """A library function.

    Attributes:
        parameters: name -> (accepted types, whether it may be left out or null), in order.
        blocking: only a call step may call it. Source: "Expressions", blocking calls.
        outside: its first argument is the Runtime.
    """

    name: str
    run: Callable[..., Any]
    parameters: Mapping[str, tuple[tuple[type, ...], bool]]
    blocking: bool
    outside: bool

    def __call__(self, runtime: Runtime, args: Sequence[Any] | Mapping[str, Any]) -> Any:
        """Call it by position or by name; TypeError names the argument that is wrong."""
        named = (
            args if isinstance(args, Mapping) else dict(zip(self.parameters, args, strict=False))
        )
        if len(args) > len(self.parameters) or not named.keys() <= self.parameters.keys():
            type_error(f"{self.name} takes ({', '.join(self.parameters)}), not {', '.join(named)}")
        for name, (types, optional) in self.parameters.items():
            value = named.get(name)
            if name not in named and not optional:
                type_error(f"{self.name} needs the argument {name!r}")
            if type(value) not in types and not (optional and value is None):
                type_error(f"{self.name}: {name!r} must not be a {type_name(value)}")
        values = [named.get(name) for name in self.parameters]
        return self.run(runtime, *values) if self.outside else self.run(*values)


FUNCTIONS: dict[str, Function] = {}
_F = TypeVar("_F", bound=Callable[..., Any])


def function(
    name: str, signature: str, *, blocking: bool = False, outside: bool = False
) -> Callable[[_F], _F]:
    """Register a function under its documented name.

    Args:
        signature: e.g. "source: string, charset?: string"; `?`: may be left out, is None then.
    """
    parameters = {}
    for part in filter(None, signature.split(", ")):
        parameter, kinds = part.split(": ")
        accepted = tuple(each for kind in kinds.split("|") for each in _TYPES[kind])
        parameters[parameter.rstrip("?")] = (accepted, parameter.endswith("?"))

    def register(run: _F) -> _F:
        FUNCTIONS[name] = Function(name, run, parameters, blocking, outside)
        return run

    return register


# Expression helpers -------------------------------------------------------------------------


@function("int", "x: string|number")
def _int(x: Any) -> int:
    if type(x) is str and not re.fullmatch(r"[+-]?[0-9]+", x):
        value_error(f"{x!r} is not an integer")
    found: int = checked(int(x))
    return found


@function("double", "x: string|number")
def _double(x: Any) -> float:
    if type(x) is str and not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", x):
        value_error(f"{x!r} is not a number")
    found: float = checked(float(x))
    return found


function("string", "x: string|number|boolean")(to_string)
function("keys", "map: map")(list)
function("len", "value: string|list|map")(len)
function("get_type", "value: any")(type_name)
function("default", "val: any, defaultVal: any")(
    lambda value, other: other if value is None else value
)
function("if", "condition: boolean, ifTrue: any, ifFalse: any")(
    lambda condition, yes, no: yes if condition else no
)


# text ---------------------------------------------------------------------------------------

# Of the matches that start together the longest counts, as documented.
_RE2 = re2.Options()
_RE2.longest_match = True
_RE2.log_errors = False


def _regex(use: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a text and a regular expression, which *use* gets compiled."""

    def run(source: str, regexp: str, *more: str) -> Any:
        try:
            return use(source, re2.compile(regexp, _RE2), *more)
        except re2.error as error:
            value_error(f"invalid regular expression {regexp!r}: {error.args[0].decode()}")
        except UnicodeEncodeError as error:
            value_error(str(error))

    return run


function("text.find_all", "source: string, substr: string")(
    lambda source, substr: [m.start() for m in re.finditer(re.escape(substr), source)]
)
function("text.find_all_regex", "source: string, regexp: string")(
    _regex(
        lambda source, pattern: [
            {"index": m.start(), "match": m[0]} for m in pattern.finditer(source)
        ]
    )
)
function("text.match_regex", "source: string, regexp: string")(
    _regex(lambda source, pattern: pattern.search(source) is not None)
)
function("text.replace_all", "source: string, substr: string, repl: string")(
    lambda source, substr, repl: source.replace(substr, repl)
)
# A function replaces, because `\1` in a replacement is documented to mean itself.
function("text.replace_all_regex", "source: string, regexp: string, repl: string")(
    _regex(lambda source, pattern, repl: pattern.sub(lambda _: repl, source))
)
function("text.split", "source: string, separator: string")(
    lambda source, separator: source.split(separator) if separator else list(source)
)
function("text.substring", "source: string, start: integer, end: integer")(
    lambda source, start, end: source[start:end]
)
function("text.to_lower", "source: string")(lambda source: source.lower())
function("text.to_upper", "source: string")(lambda source: source.upper())
function("text.url_encode", "source: string")(lambda source: quote(source, safe=""))
function("text.url_encode_plus", "source: string")(quote_plus)


@function("text.url_decode", "source: string")
def _url_decode(source: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", source):
        value_error(f"{source!r} is not URL encoded")
    return unquote_plus(source)


def _charset(name: str | None) -> str:
    try:
        return codecs.lookup(name or "UTF-8").name
    except LookupError:
        value_error(f"unknown charset {name!r}")


@function("text.encode", "text: string, charset?: string")
def _encode(text: str, charset: str | None) -> bytes:
    try:
        return text.encode(_charset(charset))
    except UnicodeError as error:
        value_error(str(error))


@function("text.decode", "data: bytes, charset?: string")
def _decode(data: bytes, charset: str | None) -> str:
    try:
        return data.decode(_charset(charset))
    except UnicodeError as error:
        value_error(str(error))


# json, base64, hash -------------------------------------------------------------------------


@function("json.encode_to_string", "data: any, indent?: boolean|map")
def _json_text(data: Any, indent: Any) -> str:
    try:
        if not indent and indent != {}:
            return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        options = {} if indent is True else indent
        prefix, unit = options.get("prefix", ""), options.get("indent", "    ")
        text = json.dumps(data, ensure_ascii=False, indent=unit)
    except TypeError as error:
        value_error(f"cannot encode as JSON: {error}")
    return text.replace("\n", "\n" + prefix)


@function("json.encode", "data: any, indent?: boolean|map")
def _json_bytes(data: Any, indent: Any) -> bytes:
    return _json_text(data, indent).encode()


def _not_json(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


@function("json.decode", "data: string|bytes")
def _json_decode(data: str | bytes) -> Any:
    try:
        return json.loads(
            data,
            parse_constant=_not_json,
            parse_int=lambda digits: checked(int(digits)),
            parse_float=lambda digits: checked(float(digits)),
        )
    except (ValueError, RecursionError) as error:
        value_error(f"invalid JSON: {error}")


@function("base64.encode", "data: bytes, padding?: boolean")
def _base64_encode(data: bytes, padding: bool | None) -> str:
    text = base64.b64encode(data).decode()
    return text if padding is not False else text.rstrip("=")


@function("base64.decode", "data: string, padding?: boolean")
def _base64_decode(data: str, padding: bool | None) -> bytes:
    filled = data if padding is not False else data + "=" * (-len(data) % 4)
    try:
        return base64.b64decode(filled, validate=True)
    except (binascii.Error, ValueError) as error:
        value_error(f"invalid Base64: {error}")


def _algorithm(name: str) -> str:
    if name not in {"MD5", "SHA1", "SHA224", "SHA256", "SHA384", "SHA512"}:
        value_error(f"unsupported hash algorithm {name!r}")
    return name.lower()


@function("hash.compute_checksum", "data: bytes, algorithm: string")
def _checksum(data: bytes, algorithm: str) -> bytes:
    return hashlib.new(_algorithm(algorithm), data, usedforsecurity=False).digest()


@function("hash.compute_hmac", "key: bytes, data: bytes, algorithm: string")
def _hmac(key: bytes, data: bytes, algorithm: str) -> bytes:
    return hmac.digest(key, data, _algorithm(algorithm))


# list, map, math ----------------------------------------------------------------------------


function("list.concat", "objs: list, val: any")(lambda objs, val: [*objs, val])
function("list.prepend", "objs: list, val: any")(lambda objs, val: [val, *objs])


@function("map.get", "map: any, keys: string|list")
def _get(of: Any, keys: Any) -> Any:
    found = of
    for key in [keys] if type(keys) is str else keys:
        if type(key) is not str:
            type_error(f"map.get: a key is a string, not a {type_name(key)}")
        found = found.get(key) if type(found) is dict else None
    return found


function("map.delete", "map: map, key: string")(
    lambda of, key: {name: value for name, value in of.items() if name != key}
)
function("map.merge", "first: map, second: map")(lambda first, second: {**first, **second})


@function("map.merge_nested", "first: map, second: map")
def _merge_nested(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        old = merged.get(key)
        both = type(old) is dict and type(value) is dict
        merged[key] = _merge_nested(old, value) if both and old is not None else value
    return merged


function("math.abs", "x: number")(lambda x: checked(abs(x)))
function("math.ceil", "x: number")(lambda x: checked(math.ceil(x)))
function("math.floor", "x: number")(lambda x: checked(math.floor(x)))
function("math.max", "x: number, y: number")(max)
function("math.min", "x: number, y: number")(min)


# time, uuid, sys ----------------------------------------------------------------------------

_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


@function("time.format", "seconds: number, timezone?: string")
def _time_format(seconds: float, timezone: str | None) -> str:
    try:
        zone = ZoneInfo(timezone) if timezone else UTC
        text = datetime.fromtimestamp(seconds, zone).isoformat(timespec="microseconds")
    except (KeyError, ValueError, OverflowError, OSError) as error:
        value_error(f"time.format: {error}")
    return text.replace("+00:00", "Z")


@function("time.parse", "value: string")
def _time_parse(value: str) -> float:
    found = _RFC3339.fullmatch(value)
    if not found:
        value_error(f"{value!r} is not a time such as 2030-01-31T08:00:00Z")
    day, clock, fraction, zone = found.groups()
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{'Z' if zone in 'Zz' else zone}")
    except ValueError as error:
        value_error(f"{value!r}: {error}")
    return whole.timestamp() + float(fraction or 0)


function("uuid.generate", "")(lambda: str(uuid.uuid4()))
function("sys.get_env", "name: string, default?: string", outside=True)(
    lambda runtime, name, default: runtime.env.get(name, default)
)
function("sys.now", "", outside=True)(lambda runtime: float(runtime.now()))


@function("sys.sleep", "seconds: number", blocking=True, outside=True)
def _sleep(runtime: Runtime, seconds: float) -> None:
    if seconds < 0:
        value_error(f"sys.sleep: {seconds} seconds")
    runtime.wait(seconds)


function("sys.sleep_until", "time: string", blocking=True, outside=True)(
    lambda runtime, time: runtime.wait(max(0.0, _time_parse(time) - runtime.now()))
)


_SEVERITIES = {
    "DEFAULT": logging.INFO,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "NOTICE": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
    "ALERT": logging.CRITICAL,
    "EMERGENCY": logging.CRITICAL,
}


_LOGGED = "number|boolean|string|list|map"


@function(
    "sys.log",
    f"data?: {_LOGGED}, severity?: string, text?: {_LOGGED}, json?: map, timeout?: number",
    blocking=True,
)
def _sys_log(data: Any, severity: str | None, text: Any, json: Any, timeout: Any) -> None:
    del timeout  # a local log call does not block
    given = [value for value in (data, text, json) if value is not None]
    if len(given) != 1:
        type_error("sys.log takes one of data, text or json")
    level = _SEVERITIES.get(severity or "DEFAULT")
    if level is None:
        value_error(f"sys.log: unknown severity {severity!r}")
    _log.log(level, "%s", given[0] if type(given[0]) is str else _json_text(given[0], None))


# http ---------------------------------------------------------------------------------------

_REQUEST = "url: string, timeout?: number, headers?: map, query?: map, auth?: map"
_WITH_BODY = f"{_REQUEST}, body?: any"


def _http(name: str, signature: str) -> None:
    """Register http.get and its kin; http.request has its method among the arguments."""

    def run(runtime: Runtime, *values: Any) -> Any:
        args = dict(zip(FUNCTIONS[name].parameters, values, strict=True))
        method = args.pop("method", name.removeprefix("http.")).upper()
        given = {key: value for key, value in args.items() if value is not None}
        return runtime.http(method, given)

    function(name, signature, blocking=True, outside=True)(run)


_http("http.get", _REQUEST)
for _verb in ("post", "put", "patch", "delete"):
    _http(f"http.{_verb}", _WITH_BODY)
_http("http.request", f"method: string, {_WITH_BODY}")


# retry --------------------------------------------------------------------------------------


def _matches(error: Any, codes: set[int], tags: set[str]) -> bool:
    if type(error) is not dict:
        return False
    found = error.get("tags")
    tagged = type(found) is list and any(type(tag) is str and tag in tags for tag in found)
    return tagged or error.get("code") in codes


@function("http.default_retry_predicate", "exception: any")
def _idempotent(exception: Any) -> bool:
    tags = {"ConnectionError", "ConnectionFailedError", "TimeoutError"}
    return _matches(exception, {429, 502, 503, 504}, tags)


@function("http.default_retry_predicate_non_idempotent", "exception: any")
def _non_idempotent(exception: Any) -> bool:
    return _matches(exception, {429, 503}, {"ConnectionFailedError"})


function("retry.always", "exception: any")(lambda exception: True)  # noqa: ARG005
function("retry.never", "exception: any")(lambda exception: False)  # noqa: ARG005


DEFAULT_BACKOFF = "retry.default_backoff"
BACKOFF: Mapping[str, float] = {"initial_delay": 1.0, "max_delay": 60.0, "multiplier": 1.25}
MAX_RETRIES = 5
POLICIES: Mapping[str, str] = {
    "http.default_retry": "http.default_retry_predicate",
    "http.default_retry_non_idempotent": "http.default_retry_predicate_non_idempotent",
}

"""The text of a definition, YAML or JSON, to plain JSON values.

YAML 1.1 reads `on`, `12:30`, `010` and `2030-01-01` as something else than their text; a
workflow has only JSON types, so the nodes are converted here. Source: "Data types".
"""

import re
from typing import Any

import yaml

from cdp.workflow_engine.errors import WorkflowError
from cdp.workflow_engine.values import LARGEST

_INTEGER = re.compile(r"[-+]?[0-9]+")
_DOUBLE = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
_LIST = re.compile(r"^[ -]*\w[\w.]*: *\[.*\] *$", re.MULTILINE)
_BARE = re.compile(r"(?<=[\[,])(\s*)(\$\{[^{}\"'\n]*\})(?=\s*[,\]])")


def _quoted(line: re.Match[str]) -> str:
    return _BARE.sub(r"\1'\2'", line[0])


def read(text: str) -> Any:
    """Return *text* as JSON values; WorkflowError names the line that is not valid."""
    try:
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError:
            # Google's own samples write `[${a}, ${b}]`, which is no YAML: quote and try again.
            node = yaml.compose(_LIST.sub(_quoted, text), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise WorkflowError(f"{where}not valid YAML: {error.problem or error}") from error
    except yaml.YAMLError as error:  # a character YAML does not allow
        raise WorkflowError(f"not valid YAML: {error}") from error
    return None if node is None else _value(node, set())


def _value(node: Any, seen: set[int]) -> Any:
    if not isinstance(node, yaml.ScalarNode):
        if id(node) in seen:
            raise _error(node, "YAML aliases are not supported; write the value out")
        seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, seen) for item in node.value]
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = _key(key)
            if name in found:
                raise _error(key, f"the key {name!r} is there twice")
            found[name] = _value(value, seen)
        return found
    return _scalar(node)


def _key(node: Any) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _error(node, "a key must be a string; quote it if it is an expression")
    return str(node.value)


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.style is not None:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        number = int(text)
        if not -LARGEST - 1 <= number <= LARGEST:
            raise _error(node, f"{text} is not a 64-bit integer")
        return number
    if _DOUBLE.fullmatch(text):
        return float(text)
    return text


def _error(node: Any, message: str) -> WorkflowError:
    return WorkflowError(f"line {node.start_mark.line + 1}: {message}")

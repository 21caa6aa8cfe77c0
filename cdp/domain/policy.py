"""The policy: who may be joined, what silence means, and which purpose permits which field.

A TOML file; every wrong value is refused with its name, its line and what is accepted.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from cdp.domain.consent import Scope
from cdp.domain.errors import CdpError
from cdp.domain.identifiers import Speller
from cdp.domain.payload import FIELDS, IDENTIFIER_TYPES
from cdp.domain.permission import Permission
from cdp.domain.redaction import parameters_pattern

Answer = Literal["granted", "denied"]
IdentifierType = Literal["user_id", "email", "phone", "client_id"]
PurposeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]

_SHIPS: Final = "the policy that ships"

# What Python's expressions have and RE2, which the warehouse uses, has not.
_NOT_RE2: Final[Mapping[str, str]] = {
    r"\(\?<?[=!]": "look-around",
    r"\\[1-9]|\(\?P=": "a backreference",
    r"\(\?>": "an atomic group",
    r"\(\?\(": "a condition",
    r"\(\?#": "a comment",
    r"[*+?}]\+": "a possessive repetition",
    r"\(\?[ims-]*[aLux]": "a flag other than i, m and s",
    r"\\[ZuUN]": "an escape that only Python knows",
    r"\{(?:\d+,)?0*(?:[2-9]\d{3}|1(?!000\b)\d{3}|\d{5,})\b": "more than 1000 repetitions",
}


class PolicyError(CdpError):
    """The policy file cannot be used; one line a wrong value, with name, line and what it takes."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _pair(value: str) -> str:
    left, _, right = value.partition(".")
    if left not in IDENTIFIER_TYPES or right not in IDENTIFIER_TYPES or left == right:
        raise ValueError(
            f"no pair of types; write two different ones of {', '.join(IDENTIFIER_TYPES)}, "
            'such as "client_id.user_id"'
        )
    return value


Pair = Annotated[str, AfterValidator(_pair)]


def _months(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,2} months?", value):
        raise ValueError(f'{value!r} is no time that the policy knows; write "13 months"')
    return value


def _parameter(value: str) -> str:
    if not 1 <= len(value) <= 40:
        raise ValueError('names no event parameter; write its key, such as "gpc"')
    return value


def _query_parameter(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.~\[\]-]{1,64}", value):
        raise ValueError(
            f'{value!r} names no query parameter; write what stands before its "=", '
            'such as "utm_source"'
        )
    return value.lower()


class Identifiers(_Table):
    priority: tuple[IdentifierType, ...]
    blocked: tuple[str, ...]
    blocked_patterns: tuple[str, ...]
    not_a_user_id: tuple[str, ...]
    kept: Annotated[int, Field(strict=True, ge=1, le=1000)]

    @field_validator("priority")
    @classmethod
    def _every_type_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if sorted(value) != sorted(IDENTIFIER_TYPES):
            raise ValueError(f"name each of {', '.join(IDENTIFIER_TYPES)} once")
        return value

    @field_validator("blocked_patterns", "not_a_user_id")
    @classmethod
    def _valid_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in value:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(
                    f"{pattern!r} is not a regular expression ({error}); use RE2 syntax"
                ) from None
            foreign = _foreign(pattern)
            if foreign:
                raise ValueError(f"{pattern!r} has {foreign}, which RE2 has not; write it without")
        return value


class Purpose(_Table):
    ga4_signal: Literal["analytics_storage", "ads_storage"] | None = None
    scope: Scope = "person"
    unknown: Answer
    unknown_in: Mapping[str, Answer] = {}
    expires: Annotated[str, AfterValidator(_months)] | None = None

    @property
    def months(self) -> int | None:
        """Return after how many months a grant lapses; None for never."""
        return int(self.expires.split()[0]) if self.expires else None


class Linking(_Table):
    purpose: PurposeName
    unstated: Answer


class Decisions(_Table):
    explicit: tuple[str, ...]
    denied_row: Literal["user_id", "row"] = "user_id"

    @field_validator("explicit")
    @classmethod
    def _without_case(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(source.strip().lower() for source in value))


class Gpc(_Table):
    parameter: Annotated[str, AfterValidator(_parameter)]
    purposes: tuple[PurposeName, ...]


class Redaction(_Table):
    query_parameters: tuple[Annotated[str, AfterValidator(_query_parameter)], ...]


class Events(_Table):
    leads: tuple[str, ...]
    purchases: tuple[str, ...]


class Access(_Table):
    masked: tuple[IdentifierType, ...]
    reveals_a_day: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 50


class Erasure(_Table):
    approval: bool = False


class Policy(_Table):
    """A policy in force; `digest` names its content."""

    identifiers: Identifiers
    limits: Mapping[Pair, Annotated[int, Field(strict=True, ge=1, le=1_000_000)]]
    purposes: Annotated[Mapping[PurposeName, Purpose], Field(min_length=1, max_length=20)]
    linking: Linking
    decisions: Decisions
    gpc: Gpc | None = None
    regions: Mapping[str, str] = {}
    redaction: Redaction
    events: Events
    fields: Mapping[str, str]
    access: Access
    erasure: Erasure = Erasure()
    _source: str = PrivateAttr(default=_SHIPS)

    @field_validator("regions")
    @classmethod
    def _countries(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for source, region in value.items():
            if region not in phonenumbers.SUPPORTED_REGIONS:
                raise ValueError(
                    f'{source} is from {region!r}; name a country as ISO 3166-1 does, such as "FR"'
                )
        return {source.strip().lower(): region for source, region in value.items()}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = [*self._wrong_fields()]
        denied = self.gpc.purposes if self.gpc else ()
        wrong += [f"gpc.purposes: {self._no_purpose(p)}" for p in denied if p not in self.purposes]
        if self.linking.purpose not in self.purposes:
            wrong.append(f"linking.purpose: {self._no_purpose(self.linking.purpose)}")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _wrong_fields(self) -> list[str]:
        wrong = []
        groups = {path.rpartition(".")[0] for path in FIELDS}
        for field, purpose in self.fields.items():
            if field not in FIELDS and field not in groups:
                known = ", ".join(sorted({*groups, *FIELDS}))
                wrong.append(f"fields.{field}: no such field; known are {known}")
            if purpose not in self.purposes:
                wrong.append(f"fields.{field}: {self._no_purpose(purpose)}")
        for group in sorted(groups - self.fields.keys()):
            bare = [f for f in FIELDS if f.startswith(f"{group}.") and f not in self.fields]
            if bare:
                wrong.append(f'fields: no purpose permits {", ".join(bare)}; add "{group}"')
        return wrong

    def _no_purpose(self, name: str) -> str:
        return f"{name!r} is no purpose; declared are {', '.join(self.purposes)}"

    @property
    def source(self) -> str:
        """Where the policy was read from, in words."""
        return self._source

    def purpose_of(self, path: str) -> str:
        """Return the purpose that permits the field *path*: its own line, else its group's.

        Every field has one: a policy that leaves one without a purpose is refused.
        """
        return self.fields.get(path) or self.fields[path.rpartition(".")[0]]

    @property
    def silent(self) -> tuple[str, ...]:
        """Return the purposes that silence permits; `unknown_in` says who is measured, not this."""
        return tuple(name for name, told in self.purposes.items() if told.unknown == "granted")

    def permission(self) -> Permission:
        """Return what each field needs, as runs tell it to those who write profiles."""
        return Permission({path: self.purpose_of(path) for path in FIELDS}, self.silent)

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with what the policy means, not how it reads."""
        content = self.model_dump(mode="json")
        for table, names in _SETS.items():
            for name in names if content[table] else ():
                content[table][name] = sorted(set(content[table][name]))
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def speller(self) -> Speller:
        """Return how identifiers are spelled, and which of them stand for nobody."""
        return Speller(self.blocked_pattern(), self.not_a_user_id_pattern(), self.regions)

    def measuring(self) -> str | None:
        """Return the purpose that rows of the export are measured under, by `analytics_storage`."""
        return self.signalled("analytics_storage")

    def signalled(self, signal: str) -> str | None:
        """Return the first purpose that the export's *signal* speaks for."""
        return next((n for n, told in self.purposes.items() if told.ga4_signal == signal), None)

    def blocked_pattern(self) -> str:
        """Return one RE2 expression that matches every blocked value in lower case, as a whole."""
        blocked = [re.escape(value.strip().lower()) for value in self.identifiers.blocked]
        return _any_of(blocked, self.identifiers.blocked_patterns)

    def not_a_user_id_pattern(self) -> str:
        """Return one RE2 expression that matches what no user id is, as a whole, in lower case."""
        return _any_of([], self.identifiers.not_a_user_id)

    def parameters_pattern(self) -> str:
        """Return one RE2 expression that finds the parameters of a query that are kept."""
        return parameters_pattern(sorted(set(self.redaction.query_parameters)))

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Read the policy at *path*, or the one that ships.

        Raises:
            PolicyError: cannot be read, not TOML, or a wrong value.
        """
        if path is None:
            return cls.parse(_shipped(), _SHIPS)
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(f"{path} cannot be read: {error}; CDP_POLICY names it") from None
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Return the policy that *text* spells; *name* is said in errors."""
        try:
            policy = cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise PolicyError(f"{name} is not TOML: {error}") from None
        except ValidationError as error:
            lines = [line for e in error.errors() for line in _lines(name, text, e)]
            raise PolicyError("\n".join(lines)) from None
        policy._source = name
        return policy


_TABLES: Final[Mapping[str, type[_Table]]] = {
    "identifiers": Identifiers,
    "purposes": Purpose,
    "linking": Linking,
    "decisions": Decisions,
    "gpc": Gpc,
    "redaction": Redaction,
    "events": Events,
    "access": Access,
    "erasure": Erasure,
}
_SETS: Final[Mapping[str, Sequence[str]]] = {
    "identifiers": ("blocked", "blocked_patterns", "not_a_user_id"),
    "decisions": ("explicit",),
    "gpc": ("purposes",),
    "redaction": ("query_parameters",),
    "events": ("leads", "purchases"),
    "access": ("masked",),
}
"""Lists whose order means nothing."""


def _shipped() -> str:
    return resources.files("cdp.domain").joinpath("policy.toml").read_text("utf-8")


def _foreign(pattern: str) -> str | None:
    """Return what in *pattern* RE2 does not know, or None."""
    text = pattern.replace("\\\\", "_")  # an escaped backslash escapes nothing itself
    text = re.sub(r"(?<!\\)\[\^?\]?(?:\\.|[^\]\\])*\]", "_", text)
    text = re.sub(r"\\[^1-9ZuUN]", "_", text)
    return next((words for found, words in _NOT_RE2.items() if re.search(found, text)), None)


def _any_of(escaped: Sequence[str], patterns: Sequence[str]) -> str:
    # A pattern that matches nothing, where the policy lists none: \b cannot precede \B.
    parts = [*escaped, *patterns] or [r"\b\B"]
    return "^(?:" + "|".join(f"(?:{part})" for part in parts) + ")$"


def _lines(name: str, text: str, error: Mapping[str, Any]) -> list[str]:
    """Return what a wrong value is told: file, line, name and what is accepted."""
    path = [str(part) for part in error["loc"] if part != "[key]"]
    if path:
        return [f"{name}, line {_find(text, path)}: {'.'.join(path)}: {_told(error, path)}"]
    lines = []
    for rule in str(error["msg"]).removeprefix("Value error, ").split("\n"):
        # A rule over several tables names its field itself.
        where, _, message = rule.partition(": ")
        table, _, key = where.partition(".")
        lines.append(
            f"{name}, line {_find(text, [table, key] if key else [table])}: {where}: {message}"
        )
    return lines


def _told(error: Mapping[str, Any], path: Sequence[str]) -> str:
    given = error["input"]
    about = error.get("ctx", {})
    match error["type"]:
        case "value_error":
            told = str(error["msg"]).removeprefix("Value error, ")
        case "missing":
            told = f"missing; add it, e.g. {_example(path)}"
        case "extra_forbidden":
            model = Policy if len(path) == 1 else _TABLES[path[0]]
            told = f"unknown key; known are {', '.join(model.model_fields)}"
        case "too_short":
            told = "declare at least one"
        case "too_long":
            told = f"declare at most {about['max_length']}"
        case "string_pattern_mismatch":
            told = f"{given!r} names no purpose; take 1 to 32 of a-z, 0-9 and _, a letter first"
        case "literal_error":
            told = f"takes {about['expected']} (given: {given!r})"
        case type_:
            told = f"takes {_takes(type_, path)} (given: {given!r:.80})"
            if isinstance(given, dict):  # `client_id.user_id = 1`: a table in a table
                told += "; put quotes around a name with a dot in it"
    return told


def _takes(type_: str, path: Sequence[str]) -> str:
    takes = _TAKES.get(type_, "another type of value")
    if takes == _NUMBER:
        takes += f" from 1 to {1000 if path[0] == 'identifiers' else 1_000_000}"
    return takes


_NUMBER: Final = "a whole number"
_TAKES: Final[Mapping[str, str]] = {
    "int_type": _NUMBER,
    "greater_than_equal": _NUMBER,
    "less_than_equal": _NUMBER,
    "string_type": "text in quotes",
    "tuple_type": "a list",
    "model_type": "a table",
    "mapping_type": "a table",
}


def _example(path: Sequence[str]) -> str:
    """Return how the policy that ships spells *path*."""
    value: Any = tomllib.loads(_shipped())
    for part in path:
        # Any purpose stands for one that the file names.
        value = value.get(part) or next(iter(value.values()))
    if isinstance(value, dict):
        return f"[{'.'.join(path)}] as in the policy that ships"
    shown = value[:3] if isinstance(value, list) and path[-1] != "priority" else value
    return f"{path[-1]} = {json.dumps(shown)}"


def _find(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) of the deepest part of *path* that the file spells."""
    table: list[str] = []
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content.startswith("["):
            table = _keys(content.partition("]")[0])
            here = table
        elif "=" in content and not content.startswith("#"):
            here = [*table, *_keys(content.partition("=")[0])]
        else:
            continue
        shared = _shared(here, path)
        if shared == len(here) and shared > depth:
            best, depth = number, shared
    return best


def _keys(text: str) -> list[str]:
    return [a or b for a, b in re.findall(r'"([^"]*)"|([A-Za-z0-9_-]+)', text)]


def _shared(here: Sequence[str], path: Sequence[str]) -> int:
    count = 0
    for left, right in zip(here, path, strict=False):
        if left != right:
            break
        count += 1
    return count

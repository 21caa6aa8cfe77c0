"""The policy: who may be joined, what silence means, and which purpose permits which field.

A TOML file; every wrong value is refused with its name, its line and what is accepted.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cdp.domain.errors import CdpError
from cdp.domain.payload import FIELDS, IDENTIFIER_TYPES

Answer = Literal["granted", "denied"]
IdentifierType = Literal["user_id", "email", "phone", "client_id"]
PurposeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class PolicyError(CdpError):
    """The policy file cannot be used; one line a wrong value, with name, line and what it takes."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Identifiers(_Table):
    priority: tuple[IdentifierType, ...]
    blocked: tuple[str, ...]
    blocked_patterns: tuple[str, ...]
    not_a_user_id: tuple[str, ...]
    kept: Annotated[int, Field(ge=1, le=1000)]

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
        return value


class Purpose(_Table):
    ga4_signal: Literal["analytics_storage", "ads_storage"] | None = None
    unknown: Answer


class Linking(_Table):
    purpose: PurposeName
    unstated: Answer


class Decisions(_Table):
    explicit: tuple[str, ...]


class Events(_Table):
    leads: tuple[str, ...]
    purchases: tuple[str, ...]


class Policy(_Table):
    """A policy in force; `digest` names its content."""

    identifiers: Identifiers
    limits: Mapping[str, Annotated[int, Field(ge=1, le=1_000_000)]]
    purposes: Annotated[Mapping[PurposeName, Purpose], Field(min_length=1, max_length=20)]
    linking: Linking
    decisions: Decisions
    events: Events
    fields: Mapping[str, str]
    source: Annotated[str, Field(exclude=True)] = "the policy that ships"

    @field_validator("limits")
    @classmethod
    def _known_pairs(cls, value: Mapping[str, int]) -> Mapping[str, int]:
        for pair in value:
            left, _, right = pair.partition(".")
            if left not in IDENTIFIER_TYPES or right not in IDENTIFIER_TYPES or left == right:
                raise ValueError(
                    f"{pair!r} is not a pair of types; write two different ones of "
                    f'{", ".join(IDENTIFIER_TYPES)}, such as "client_id.user_id"'
                )
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        groups = {path.rpartition(".")[0] for path in FIELDS}
        for field, purpose in self.fields.items():
            if field not in FIELDS and field not in groups:
                known = ", ".join(sorted({*groups, *FIELDS}))
                raise ValueError(f"fields.{field}: no such field; known are {known}")
            if purpose not in self.purposes:
                raise ValueError(
                    f"fields.{field}: {purpose!r} is no purpose; declared are "
                    f"{', '.join(self.purposes)}"
                )
        for field in FIELDS:
            self.purpose_of(field)
        if self.linking.purpose not in self.purposes:
            raise ValueError(
                f"linking.purpose: {self.linking.purpose!r} is no purpose; declared are "
                f"{', '.join(self.purposes)}"
            )
        return self

    def purpose_of(self, path: str) -> str:
        """Return the purpose that permits the field *path*: its own line, else its group's.

        Raises:
            ValueError: no line of `[fields]` covers it; a field without a purpose is refused
                rather than delivered.
        """
        group = path.rpartition(".")[0]
        purpose = self.fields.get(path) or self.fields.get(group)
        if purpose is None:
            raise ValueError(f'fields: no purpose permits {path}; add "{path}" or "{group}"')
        return purpose

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with the policy's content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def blocked_pattern(self) -> str:
        """Return one RE2 expression that matches every blocked value in lower case, as a whole."""
        return _any_of(
            [*map(re.escape, self.identifiers.blocked)], self.identifiers.blocked_patterns
        )

    def not_a_user_id_pattern(self) -> str:
        """Return one RE2 expression that matches what no user id is, as a whole, in lower case."""
        return _any_of([], self.identifiers.not_a_user_id)

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Read the policy at *path*, or the one that ships.

        Raises:
            PolicyError: not TOML, or a wrong value.
        """
        if path is None:
            text = resources.files("cdp.domain").joinpath("policy.toml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        name = str(path) if path else "the policy that ships"
        return cls.parse(text, name)

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Return the policy that *text* spells; *name* is said in errors."""
        try:
            return cls.model_validate({**tomllib.loads(text), "source": name})
        except tomllib.TOMLDecodeError as error:
            raise PolicyError(f"{name} is not TOML: {error}") from None
        except ValidationError as error:
            raise PolicyError("\n".join(_line(name, text, e) for e in error.errors())) from None


def _any_of(escaped: Sequence[str], patterns: Sequence[str]) -> str:
    # A pattern that matches nothing, where the policy lists none: \b cannot precede \B.
    parts = [*escaped, *patterns] or [r"\b\B"]
    return "^(?:" + "|".join(f"(?:{part})" for part in parts) + ")$"


def _line(name: str, text: str, error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    path = [str(part) for part in error["loc"] if part != "[key]"]
    if not path:  # a rule over several tables names its field itself
        head, _, rest = message.partition(": ")
        table, _, key = head.partition(".")
        path, message = [table, *([key] if key else [])], rest or message
    given = "" if error["type"] in {"missing", "value_error"} else f" (given: {error['input']!r})"
    return f"{name}, line {_find(text, path)}: {'.'.join(path)}: {message}{given}"


def _find(text: str, path: Sequence[str]) -> int:
    """Return the line (from 1) of the deepest part of *path* that the file spells."""
    table: list[str] = []
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if content.startswith("["):
            table = _keys(content.strip("[] "))
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

"""A loaded workflow: routines of steps, their expressions parsed and their jumps resolved."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cdp.workflow_engine.expressions import Expression, Target


class StepType(StrEnum):
    """Source: REST resource projects.locations.workflows.executions.stepEntries, StepType."""

    UNSPECIFIED = "STEP_TYPE_UNSPECIFIED"
    ASSIGN = "STEP_ASSIGN"
    STD_LIB_CALL = "STEP_STD_LIB_CALL"
    CONNECTOR_CALL = "STEP_CONNECTOR_CALL"
    SUBWORKFLOW_CALL = "STEP_SUBWORKFLOW_CALL"
    CALL = "STEP_CALL"
    SWITCH = "STEP_SWITCH"
    CONDITION = "STEP_CONDITION"
    FOR = "STEP_FOR"
    FOR_ITERATION = "STEP_FOR_ITERATION"
    PARALLEL_FOR = "STEP_PARALLEL_FOR"
    PARALLEL_BRANCH = "STEP_PARALLEL_BRANCH"
    PARALLEL_BRANCH_ENTRY = "STEP_PARALLEL_BRANCH_ENTRY"
    TRY_RETRY_EXCEPT = "STEP_TRY_RETRY_EXCEPT"
    TRY = "STEP_TRY"
    RETRY = "STEP_RETRY"
    EXCEPT = "STEP_EXCEPT"
    RETURN = "STEP_RETURN"
    RAISE = "STEP_RAISE"
    GOTO = "STEP_GOTO"


@dataclass(frozen=True, slots=True)
class Jump:
    """Where to go after a step: the name of a step, or `end`, `break`, `continue`."""

    to: str


END, BREAK, CONTINUE = Jump("end"), Jump("break"), Jump("continue")


@dataclass(frozen=True, slots=True)
class Result:
    """The routine ends with this value."""

    value: Any


Signal = Jump | Result | None


@dataclass(frozen=True, slots=True)
class Assign:
    assignments: tuple[tuple[Target, Expression], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """*args* evaluates to a map, or to a list for arguments by position."""

    name: str
    kind: StepType
    args: Expression
    result: Target | None


@dataclass(frozen=True, slots=True)
class Switch:
    conditions: tuple[tuple[Expression, "Step"], ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """`for`: over the items of a list, or over an inclusive range [start, end]."""

    value: str
    index: str | None
    over: Expression
    ranged: bool
    block: "Block"


@dataclass(frozen=True, slots=True)
class Parallel:
    shared: frozenset[str]
    limit: Expression | None
    work: "Loop | tuple[tuple[str, Block], ...]"


@dataclass(frozen=True, slots=True)
class Retry:
    """*predicate* names a library function or a subworkflow of one parameter."""

    predicate: str
    max_retries: Expression
    backoff: Mapping[str, Expression]


@dataclass(frozen=True, slots=True)
class Try:
    body: "Step"
    retry: Retry | None
    handler: "Block | None"
    error_name: str | None


@dataclass(frozen=True, slots=True)
class Return:
    value: Expression


@dataclass(frozen=True, slots=True)
class Raise:
    value: Expression


@dataclass(frozen=True, slots=True)
class Goto:
    """Nothing but a `next`, or a condition without a statement."""


@dataclass(frozen=True, slots=True)
class Block:
    """Steps in order; as a body, it is `steps:` nested in a step."""

    steps: tuple["Step", ...]
    places: Mapping[str, int] = field(default_factory=dict)


Body = Assign | Call | Switch | Loop | Parallel | Try | Return | Raise | Goto | Block


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    type: StepType
    body: Body
    next: Jump | None = None


@dataclass(frozen=True, slots=True)
class Routine:
    """`main` or a subworkflow; *params*: name -> default, None where one must be given."""

    name: str
    params: Mapping[str, Expression | None]
    block: Block


@dataclass(frozen=True, slots=True)
class Workflow:
    """A definition ready to run.

    Attributes:
        routines: by name; "main" is the entry.
        connectors: the connector calls it makes, by full name.
    """

    routines: Mapping[str, Routine]
    connectors: frozenset[str]

"""From the text of a definition to a Workflow; what cannot run is refused here, by name."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from cdp.workflow_engine import source
from cdp.workflow_engine.errors import Raised, WorkflowError
from cdp.workflow_engine.expressions import (
    MAX_LENGTH,
    Expression,
    Target,
    combine,
    constant,
    mapping,
    parse,
)
from cdp.workflow_engine.model import (
    BREAK,
    CONTINUE,
    END,
    Assign,
    Block,
    Body,
    Call,
    Goto,
    Jump,
    Loop,
    Parallel,
    Raise,
    Retry,
    Return,
    Routine,
    Step,
    StepType,
    Switch,
    Try,
    Workflow,
)
from cdp.workflow_engine.names import Names
from cdp.workflow_engine.stdlib import (
    BACKOFF,
    DEFAULT_BACKOFF,
    FUNCTIONS,
    MAX_RETRIES,
    POLICIES,
)

# Source: "Quotas and limits".
_MAX_ASSIGNMENTS = 50
_MAX_CONDITIONS = 50
_MAX_BRANCHES = 10
_MAX_PARAMS = 10

_UNSUPPORTED = {
    "events.": "callbacks are not supported by this engine",
    "experimental.": "the experimental modules are deprecated; use a parallel step or a connector",
    "googleapis.": "no handler for this connector was given to the engine",
}
_RESERVED = {"end": END, "break": BREAK, "continue": CONTINUE}
_COMPANIONS: dict[str, set[str]] = {
    "assign": {"next"},
    "call": {"args", "result", "next"},
    "switch": {"next"},
    "for": {"next"},
    "parallel": {"next"},
    "steps": {"next"},
    "try": {"retry", "except", "next"},
    "return": set(),
    "raise": set(),
}


def load(text: str, *, connectors: Collection[str] = ()) -> Workflow:
    """Return the workflow that *text* defines.

    Args:
        text: YAML or JSON: a map with `main` and subworkflows, or the list of steps of main.
        connectors: full names of the connector calls that will have a handler.

    Raises:
        WorkflowError: not valid YAML, an unknown step shape, a syntax error in an expression,
            an unknown function, call target, jump target or variable, or a feature that is not
            supported; the message names the workflow, the step and the feature.

    Source: "Workflows syntax overview" and the page of each kind of step.
    """
    try:
        return _load(source.read(text), connectors)
    except RecursionError as error:
        raise WorkflowError("the definition is nested too deeply") from error


def _load(raw: Any, connectors: Collection[str]) -> Workflow:
    if isinstance(raw, list):
        raw = {"main": {"steps": raw}}
    if not isinstance(raw, dict) or "main" not in raw:
        raise WorkflowError("a workflow is a map with the key 'main', or a list of steps")
    params = {name: _params(name, routine) for name, routine in raw.items()}
    if len(params["main"]) > 1:
        raise WorkflowError("workflow 'main': it takes one parameter at most, the argument")
    found: set[str] = set()
    routines = {
        name: _RoutineLoader(name, params, connectors, found).load(routine)
        for name, routine in raw.items()
    }
    return Workflow(routines, frozenset(found))


def _params(name: str, raw: Any) -> dict[str, Any]:
    """Return parameter -> raw default, or _REQUIRED."""
    if not isinstance(raw, dict) or not raw.keys() <= {"params", "steps"} or "steps" not in raw:
        raise WorkflowError(f"workflow {name!r}: it must have 'steps', may have 'params', no more")
    listed = raw.get("params") or []
    if not isinstance(listed, list) or len(listed) > _MAX_PARAMS:
        raise WorkflowError(f"workflow {name!r}: 'params' is a list of {_MAX_PARAMS} at most")
    params: dict[str, Any] = {}
    for item in listed:
        pair = {item: _REQUIRED} if isinstance(item, str) else item
        if not isinstance(pair, dict) or len(pair) != 1 or pair.keys() & params.keys():
            raise WorkflowError(
                f"workflow {name!r}: {item!r} is not a parameter, or is there twice"
            )
        params.update(pair)
    return params


_REQUIRED = object()


class _RoutineLoader:
    """Loads one routine; remembers where it is, for messages and for the scope of names."""

    def __init__(
        self,
        name: str,
        params: Mapping[str, Mapping[str, Any]],
        connectors: Collection[str],
        found: set[str],
    ) -> None:
        self._routine = name
        self._params = params
        self._connectors = connectors
        self._found = found
        self._step = ""
        self._names = Names()
        self._reads: list[tuple[str, Names, str]] = []
        # Step names that a `next` reaches, innermost block last; None: the edge of a branch.
        self._labels: list[set[str] | None] = []
        # "for", "parallel" or "branch" around the current step, innermost last.
        self._around: list[str] = []

    def load(self, raw: dict[str, Any]) -> Routine:
        params: dict[str, Expression | None] = {}
        for name, default in self._params[self._routine].items():
            params[name] = None if default is _REQUIRED else self._value(default)
        for name in params:
            self._distinct(name)
        self._names.add(params)
        block = self._block(raw["steps"])
        for name, scope, step in self._reads:
            if not scope.has(name):
                self._step = step
                self._fail(f"the variable {name!r} is read, but no step in its scope sets it")
        return Routine(self._routine, params, block)

    # Structure -----------------------------------------------------------------------------

    def _block(self, raw: Any) -> Block:
        if not isinstance(raw, list) or not raw:
            self._fail("'steps' must be a list of at least one step")
        names: list[str] = []
        for item in raw:
            if not isinstance(item, dict) or len(item) != 1:
                self._fail(f"a step is a map with one key, its name; found {_short(item)}")
            names.extend(item)
        for name in names:
            if names.count(name) > 1:
                self._fail(f"two steps are named {name!r}")
            if name in _RESERVED:
                self._fail(f"a step cannot be named {name!r}: `next: {name}` means something else")
        self._labels.append(set(names))
        steps = tuple(self._named(name, body) for item in raw for name, body in item.items())
        self._labels.pop()
        return Block(steps, {step.name: place for place, step in enumerate(steps)})

    def _named(self, name: str, raw: Any) -> Step:
        outer, self._step = self._step, name
        step = self._one(raw)
        self._step = outer
        return step

    def _one(self, raw: Any) -> Step:
        """Load the body of the current step, or of a condition or a `try` in it."""
        if not isinstance(raw, dict) or not raw:
            self._fail(f"a step must say what to do; found {_short(raw)}")
        kinds = raw.keys() & _COMPANIONS.keys()
        if len(kinds) > 1:
            self._fail(f"a step does one thing; found {' and '.join(sorted(kinds))}")
        kind = next(iter(kinds), None)
        unknown = raw.keys() - kinds - (_COMPANIONS[kind] if kind else {"next"})
        if unknown:
            self._fail(
                f"unknown key {' and '.join(sorted(unknown))!r} in a step of {kind or 'next'}"
            )
        if kind is None:
            return Step(self._step, StepType.GOTO, Goto(), self._jump(raw["next"]))
        step_type, body = getattr(self, f"_load_{kind}")(raw)
        return Step(self._step, step_type, body, self._jump(raw.get("next")))

    def _jump(self, raw: Any) -> Jump | None:
        if raw is None:
            return None
        if not isinstance(raw, str):
            self._fail(f"'next' must be the name of a step, found {_short(raw)}")
        if raw in ("break", "continue"):
            if not self._around or self._around[-1] == "branch":
                self._fail(f"`next: {raw}` is outside a for loop")
            if raw == "break" and self._around[-1] == "parallel":
                self._fail("`next: break` is not supported in a parallel for loop")
            return _RESERVED[raw]
        if raw == "end":
            self._not_in_branch("`next: end`")
            return END
        if not any(labels and raw in labels for labels in self._labels):
            self._fail(f"`next: {raw}`: no step of that name in this block or around it")
        edge = len(self._labels) - self._labels[::-1].index(None) if None in self._labels else 0
        if not any(labels and raw in labels for labels in self._labels[edge:]):
            self._fail(f"`next: {raw}` would leave the parallel branch")
        return Jump(raw)

    def _not_in_branch(self, what: str) -> None:
        if None in self._labels:
            self._fail(f"{what} is not supported inside a parallel step; share a variable instead")

    @contextmanager
    def _scope(self, kind: str = "", shared: frozenset[str] | None = None) -> Iterator[None]:
        """A scope of names; with *kind* a loop or branch, with *shared* the edge of a branch."""
        outer, self._names = self._names, Names(self._names, shared)
        around, labels = list(self._around), list(self._labels)
        self._around += [kind] if kind else []
        self._labels += [None] if shared is not None else []
        yield
        self._names, self._around, self._labels = outer, around, labels

    # Kinds of step -------------------------------------------------------------------------

    def _load_assign(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        listed = raw["assign"]
        if not isinstance(listed, list) or not 0 < len(listed) <= _MAX_ASSIGNMENTS:
            self._fail(f"'assign' must be a list of 1 to {_MAX_ASSIGNMENTS} assignments")
        assignments = []
        for item in listed:
            if not isinstance(item, dict) or len(item) != 1:
                self._fail(f"an assignment is a map with one key; found {_short(item)}")
            for key, value in item.items():
                expression = self._value(value)  # before the name: it may read its old value
                assignments.append((self._target(key), expression))
        return StepType.ASSIGN, Assign(tuple(assignments))

    def _load_call(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        name = raw["call"]
        if not isinstance(name, str):
            self._fail(f"'call' must be the name of a function, found {_short(name)}")
        given = raw.get("args", {})
        if isinstance(given, str) and not _is_expression(given):
            self._fail(f"'args' must be a map, found {_short(given)}")
        literal = given if isinstance(given, dict | list) else None
        if name in self._params:
            kind = StepType.SUBWORKFLOW_CALL
            params = self._params[name]
            required = {each for each, default in params.items() if default is _REQUIRED}
            self._check_args(name, literal, list(params), required)
        elif name in FUNCTIONS:
            kind = StepType.STD_LIB_CALL
            parameters = FUNCTIONS[name].parameters
            required = {each for each, (_, optional) in parameters.items() if not optional}
            self._check_args(name, literal, list(parameters), required)
        elif name in self._connectors:
            kind = StepType.CONNECTOR_CALL
            self._found.add(name)
            if isinstance(given, list):
                self._fail(f"the args of {name} must be a map")
        else:
            self._unknown(name, "call target")
        args = self._value({} if given is None else given)
        result = self._target(raw["result"]) if raw.get("result") is not None else None
        return kind, Call(name, kind, args, result)

    def _check_args(
        self,
        name: str,
        given: dict[str, Any] | list[Any] | None,
        known: list[str],
        required: set[str],
    ) -> None:
        if given is None:
            return
        names = set(given) if isinstance(given, dict) else set(known[: len(given)])
        if len(given) > len(known) or not names <= set(known):
            extra = ", ".join(sorted(names - set(known))) or f"{len(given)} values"
            self._fail(f"{name} takes ({', '.join(known)}), not {extra}")
        if missing := required - names:
            self._fail(f"{name} needs {', '.join(sorted(missing))}")

    def _load_switch(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        listed = raw["switch"]
        if not isinstance(listed, list) or not 0 < len(listed) <= _MAX_CONDITIONS:
            self._fail(f"'switch' must be a list of 1 to {_MAX_CONDITIONS} conditions")
        conditions = []
        for item in listed:
            if not isinstance(item, dict) or "condition" not in item:
                self._fail(f"a 'switch' lists conditions; found {_short(item)}")
            rest = {key: value for key, value in item.items() if key != "condition"}
            step = self._one(rest) if rest else Step(self._step, StepType.GOTO, Goto())
            conditions.append((self._value(item["condition"]), step))
        return StepType.SWITCH, Switch(tuple(conditions))

    def _load_for(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        return StepType.FOR, self._loop(raw["for"], "for", None)

    def _loop(self, raw: Any, kind: str, shared: frozenset[str] | None) -> Loop:
        if not isinstance(raw, dict) or not raw.keys() <= {
            "value",
            "index",
            "in",
            "range",
            "steps",
        }:
            self._fail("'for' takes value, index, in or range, and steps")
        if "value" not in raw or "steps" not in raw or ("in" in raw) == ("range" in raw):
            self._fail("'for' needs value, steps, and one of in and range")
        ranged = "range" in raw
        if ranged and "index" in raw:
            self._fail("'index' goes with 'in', not with 'range'")
        over = self._value(raw["range"] if ranged else raw["in"])
        value, index = self._variable(raw["value"]), raw.get("index")
        with self._scope(kind, shared):
            self._names.add([value] if index is None else [value, self._variable(index)])
            return Loop(value, index, over, ranged, self._block(raw["steps"]))

    def _load_parallel(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        body = raw["parallel"]
        known = {"shared", "concurrency_limit", "exception_policy", "for", "branches"}
        if not isinstance(body, dict) or not body.keys() <= known:
            self._fail(f"'parallel' takes {', '.join(sorted(known))}")
        if ("for" in body) == ("branches" in body):
            self._fail("'parallel' needs one of for and branches")
        if body.get("exception_policy", "continueAll") != "continueAll":
            self._fail("exception_policy: continueAll is the only policy there is")
        shared = body.get("shared") or []
        for name in shared if isinstance(shared, list) else [shared]:
            if not isinstance(name, str) or not self._names.has(name):
                self._fail(f"the shared variable {name!r} must be set before the parallel step")
        limit = body.get("concurrency_limit")
        if (
            limit is not None
            and not _is_expression(limit)
            and not (type(limit) is int and limit > 0)
        ):
            self._fail("concurrency_limit must be a positive integer")
        bound = None if limit is None else self._value(limit)
        names = frozenset(shared)
        if "for" in body:
            return StepType.PARALLEL_FOR, Parallel(
                names, bound, self._loop(body["for"], "parallel", names)
            )
        return StepType.PARALLEL_BRANCH, Parallel(
            names, bound, self._branches(body["branches"], names)
        )

    def _branches(self, raw: Any, shared: frozenset[str]) -> tuple[tuple[str, Block], ...]:
        if not isinstance(raw, list) or not 0 < len(raw) <= _MAX_BRANCHES:
            self._fail(f"'branches' must be a list of 1 to {_MAX_BRANCHES} branches")
        branches = []
        for item in raw:
            inner = next(iter(item.values()), None) if isinstance(item, dict) else None
            if not isinstance(item, dict) or len(item) != 1 or not isinstance(inner, dict):
                self._fail(f"a branch is a map with one key, its name; found {_short(item)}")
            if inner.keys() != {"steps"}:
                self._fail(f"a branch has 'steps' and nothing else; found {', '.join(inner)}")
            with self._scope("branch", shared):
                branches.append((next(iter(item)), self._block(inner["steps"])))
        return tuple(branches)

    def _load_try(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        tried = raw["try"]
        body = self._one({"steps": tried} if isinstance(tried, list) else tried)
        retry = self._retry(raw["retry"]) if raw.get("retry") is not None else None
        if raw.get("except") is None:
            return StepType.TRY_RETRY_EXCEPT, Try(body, retry, None, None)
        handler = raw["except"]
        if not isinstance(handler, dict) or not handler.keys() <= {"as", "steps"}:
            self._fail("'except' takes as and steps")
        name = handler.get("as")
        with self._scope():
            if name is not None:
                self._names.add([self._variable(name)])
            block = self._block(handler.get("steps"))
        return StepType.TRY_RETRY_EXCEPT, Try(body, retry, block, name)

    def _retry(self, raw: Any) -> Retry:
        if isinstance(raw, str):
            policy = self._reference(raw)
            if policy not in POLICIES:
                self._fail(f"unknown retry policy {raw}; there are {', '.join(POLICIES)}")
            return Retry(POLICIES[policy], constant(MAX_RETRIES), self._backoff({}))
        if not isinstance(raw, dict) or not raw.keys() <= {"predicate", "max_retries", "backoff"}:
            self._fail("'retry' takes predicate, max_retries and backoff")
        if "predicate" not in raw:
            self._fail("'retry' needs a predicate, e.g. ${retry.always}")
        predicate = self._reference(raw["predicate"])
        library = FUNCTIONS[predicate].parameters if predicate in FUNCTIONS else {}
        if len(self._params.get(predicate, library)) != 1:
            self._fail(f"the predicate {raw['predicate']} must be a workflow of one parameter")
        retries = self._value(raw.get("max_retries", MAX_RETRIES))
        return Retry(predicate, retries, self._backoff(raw.get("backoff") or {}))

    def _backoff(self, raw: Any) -> dict[str, Expression]:
        if isinstance(raw, str) and self._reference(raw) == DEFAULT_BACKOFF:
            raw = {}
        if not isinstance(raw, dict) or not raw.keys() <= BACKOFF.keys():
            self._fail(f"'backoff' takes {', '.join(BACKOFF)}")
        return {key: self._value(raw.get(key, default)) for key, default in BACKOFF.items()}

    def _reference(self, raw: Any) -> str:
        """Return the dotted name in `${name}`, which is no value of the language."""
        inside = raw.strip()[2:-1] if isinstance(raw, str) and _is_expression(raw) else ""
        name = inside.strip()
        if not all(part.isidentifier() for part in name.split(".")):
            self._fail(f"{_short(raw)} must be the name of a function or a workflow in ${{}}")
        return name

    def _load_return(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        self._not_in_branch("'return'")
        return StepType.RETURN, Return(self._value(raw["return"]))

    def _load_raise(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        return StepType.RAISE, Raise(self._value(raw["raise"]))

    def _load_steps(self, raw: dict[str, Any]) -> tuple[StepType, Body]:
        return StepType.UNSPECIFIED, self._block(raw["steps"])

    # Values and names ----------------------------------------------------------------------

    def _value(self, raw: Any) -> Expression:
        """Parse a value; the expressions inside it are evaluated with it."""
        if isinstance(raw, str):
            return self._expression(raw) if _is_expression(raw) else constant(raw)
        if isinstance(raw, dict):
            pairs = [(self._value(key), self._value(item)) for key, item in raw.items()]
            if all(key.constant and value.constant for key, value in pairs):
                return constant(raw)
            return mapping(pairs)
        if isinstance(raw, list):
            items = [self._value(item) for item in raw]
            if all(item.constant for item in items):
                return constant(raw)
            runs = [item.evaluate for item in items]
            return combine(lambda context: [run(context) for run in runs], *items)
        return constant(raw)

    def _expression(self, raw: str) -> Expression:
        text = raw.strip()
        if len(text) > MAX_LENGTH:
            self._fail(f"an expression has {MAX_LENGTH} characters at most, not {len(text)}")
        found = self._parse(text[2:-1])
        self._check(found)
        return found

    def _parse(self, text: str) -> Expression:
        try:
            return parse(text)
        except (ValueError, Raised) as error:
            self._fail(f"{error} (in {_short(text)})")

    def _check(self, found: Expression) -> None:
        self._reads += [(name, self._names, self._step) for name in sorted(found.reads)]
        for name, count in found.calls:
            if name in self._params:
                params = self._params[name]
                least = sum(default is _REQUIRED for default in params.values())
                most = len(params)
            elif name in FUNCTIONS:
                if FUNCTIONS[name].blocking:
                    self._fail(f"{name} blocks: call it in a step, not in an expression")
                least = sum(not optional for _, optional in FUNCTIONS[name].parameters.values())
                most = len(FUNCTIONS[name].parameters)
            elif name in self._connectors:
                self._fail(f"{name} blocks: call it in a step, not in an expression")
            else:
                self._unknown(name, "function")
            if not least <= count <= most:
                self._fail(f"{name} takes {least} to {most} arguments, not {count}")

    def _target(self, raw: Any) -> Target:
        found = self._parse(raw) if isinstance(raw, str) else None
        if found is None or found.target is None:
            self._fail(f"{_short(raw)} is not a variable, or an item of one")
        name = found.target.name
        self._distinct(name)
        self._check(Expression(found.evaluate, found.reads - {name}, found.calls))
        if found.target.path:
            self._reads.append((name, self._names, self._step))
        # An item of an unknown variable is no declaration: the read above reports it.
        if not (found.target.path and not self._names.has(name)) and not self._names.write(name):
            self._fail(f"{name!r} is set outside the parallel step and not in its 'shared' list")
        return found.target

    def _variable(self, raw: Any) -> str:
        if not isinstance(raw, str) or not raw.isidentifier() or not raw.isascii():
            self._fail(f"{_short(raw)} is not a variable name")
        self._distinct(raw)
        return raw

    def _distinct(self, name: str) -> None:
        """Refuse a variable whose name a call of a subworkflow could mean."""
        if name in self._params.keys() - {"main"}:
            self._fail(f"the variable {name!r} has the name of a subworkflow; rename one of them")

    def _unknown(self, name: str, what: str) -> NoReturn:
        for prefix, reason in _UNSUPPORTED.items():
            if name.startswith(prefix):
                self._fail(f"{name}: {reason}")
        self._fail(f"unknown {what} {name!r}: no such workflow, library function or connector")

    def _fail(self, message: str) -> NoReturn:
        step = f", step {self._step!r}" if self._step else ""
        raise WorkflowError(f"workflow {self._routine!r}{step}: {message}")


def _is_expression(raw: Any) -> bool:
    return isinstance(raw, str) and raw.strip().startswith("${") and raw.strip().endswith("}")


def _short(raw: Any) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else f"{text[:57]}..."

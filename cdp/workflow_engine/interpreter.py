"""Runs a loaded workflow: control flow, scopes, retries, parallel steps, limits, trace."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

from cdp.workflow_engine.errors import (
    CallError,
    Raised,
    WorkflowCancelled,
    WorkflowError,
    WorkflowFailure,
    describe,
)
from cdp.workflow_engine.expressions import Expression, Target, truth
from cdp.workflow_engine.http_call import Http, http_over_requests
from cdp.workflow_engine.model import (
    BREAK,
    CONTINUE,
    Assign,
    Block,
    Body,
    Call,
    Goto,
    Jump,
    Loop,
    Parallel,
    Raise,
    Result,
    Retry,
    Return,
    Signal,
    Step,
    StepType,
    Switch,
    Try,
    Workflow,
)
from cdp.workflow_engine.stdlib import FUNCTIONS
from cdp.workflow_engine.trace import Observer, State, StepEntry, Trace
from cdp.workflow_engine.values import (
    is_number,
    own,
    size_of,
    type_error,
    type_name,
    value_error,
    with_item,
)

# Source: "Quotas and limits".
MAX_STEPS = 100_000
MAX_DEPTH = 20
MAX_MEMORY = 512 * 1024
MAX_PARALLEL_DEPTH = 2
MAX_CONCURRENCY = 20
MAX_BRANCH_ERRORS = 100

_SLICE = 0.1  # seconds: how often a wait asks whether it is cancelled
_ASK_EVERY = 0.05  # seconds: `cancelled` may be a query; a loop of steps asks no more often

_log = logging.getLogger(__name__)

Connector = Callable[[dict[str, Any]], Any]


class Interpreter:
    """Runs one definition, any number of times, also at the same time.

    Args:
        connectors: full call name -> handler of its args (`connector_params` included), which
            returns a JSON value or raises CallError.
        env: what `sys.get_env` reads.
        observer: hears of every step.
        cancelled: asked between steps and while waiting; not more than 20 times a second
            between steps.
        sleep, now: seconds; the clock, for tests.
        http: handler of http.* calls: (method, args) -> {"code", "headers", "body"}.

    Raises:
        WorkflowError: the definition calls a connector that has no handler.
    """

    def __init__(
        self,
        definition: Workflow,
        connectors: Mapping[str, Connector],
        env: Mapping[str, str],
        observer: Observer,
        cancelled: Callable[[], bool],
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
        http: Http | None = None,
    ) -> None:
        if missing := definition.connectors - connectors.keys():
            raise WorkflowError(f"no handler for the connectors {', '.join(sorted(missing))}")
        self.definition = definition
        self.connectors = connectors
        self.env = env
        self.observer = observer
        self.cancelled = cancelled
        self.sleep = sleep
        self.now = now
        self.http: Http = http or http_over_requests()

    def run(self, argument: Any = None) -> Any:
        """Run `main` with *argument*, a JSON value; return its JSON result, None without one.

        Raises:
            WorkflowFailure: an error was not handled; `error` is its value.
            WorkflowCancelled: `cancelled` became true.
        """
        return _Run(self).run(argument)


class _Scope:
    """Variables by name, inside those of *outer*; *shared*: writable across this edge."""

    __slots__ = ("outer", "shared", "sizes", "values")

    def __init__(self, outer: "_Scope | None", shared: frozenset[str] | None = None) -> None:
        self.outer = outer
        self.shared = shared
        self.values: dict[str, Any] = {}
        self.sizes: dict[str, int] = {}

    def read(self, name: str) -> Any:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise Raised.tagged("KeyError", f"the variable {name!r} is not set")

    def owner(self, name: str) -> "_Scope":
        """Return the scope an assignment to *name* changes: this one, if it is new."""
        scope: _Scope | None = self
        guarded = False
        while scope is not None:
            if name in scope.values:
                if guarded:
                    type_error(f"the variable {name!r} is not shared with this parallel step")
                return scope
            guarded = guarded or (scope.shared is not None and name not in scope.shared)
            scope = scope.outer
        return self


class _Frame:
    """Where a step runs: its routine, its variables, and the entry around it."""

    __slots__ = ("current", "depth", "nesting", "parent", "routine", "run", "scope", "step")

    def __init__(
        self, run: "_Run", routine: str, scope: _Scope, *, parent: int | None = None
    ) -> None:
        self.run = run
        self.routine = routine
        self.scope = scope
        self.parent = parent
        self.current = parent  # the entry of the step that runs now: parent of what it starts
        self.step = ""
        self.depth = 0  # calls around this routine
        self.nesting = 0  # parallel steps around this step

    def inner(self, parent: int | None, scope: _Scope | None = None) -> "_Frame":
        """Return a frame for what happens inside the entry *parent*."""
        frame = _Frame(self.run, self.routine, scope or self.scope, parent=parent)
        frame.step, frame.depth, frame.nesting = self.step, self.depth, self.nesting
        return frame

    def read(self, name: str) -> Any:
        return self.scope.read(name)

    def call(self, name: str, args: Sequence[Any]) -> Any:
        found = FUNCTIONS.get(name)
        # A subworkflow comes first: a definition may use a name the library has.
        if found is None or name in self.run.routines:
            return self.run.call_routine(self, name, args)
        return found(self.run, args)


class _Run:
    """One execution: its limits, its clock, its trace. Also the Runtime of the library."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.env = interpreter.env
        self.now = interpreter.now
        self.routines = interpreter.definition.routines
        self._interpreter = interpreter
        self._trace = Trace(interpreter.observer, interpreter.now)
        self._lock = threading.RLock()  # guards the counters and assignments in parallel steps
        self._steps = 0
        self._memory = 0
        self._asked = float("-inf")

    def run(self, argument: Any) -> Any:
        try:
            given = own(argument, "the argument")
            params = self.routines["main"].params
            # Without an argument a parameter takes its default, null where it has none.
            args = {name: given for name in params if given is not None or params[name] is None}
            frame = _Frame(self, "main", _Scope(None))
            result = own(self.call_routine(frame, "main", args), "the result")
            self._ask()  # what came during the last call was asked in time
            if holds_bytes(result):
                value_error("the result holds bytes; encode them, e.g. base64.encode")
        except Raised as error:
            raise WorkflowFailure(error.value, error.routine or "main", error.step) from error
        except RecursionError as error:  # Python's: of a value, calls have their own limit
            nested = Raised.tagged("ResourceLimitError", "a value is nested too deeply")
            raise WorkflowFailure(nested.value, "main", "") from error
        return result

    # The runtime of the standard library -----------------------------------------------------

    def wait(self, seconds: float) -> None:
        """Sleep in slices; WorkflowCancelled within one of them."""
        interpreter = self._interpreter
        end = self.now() + seconds
        left = seconds
        while left > 0:
            self._ask()
            step = min(left, _SLICE)
            interpreter.sleep(step)
            # The clock decides when it runs ahead: slices oversleep, and a laptop suspends.
            left = min(left - step, end - self.now())
        self._ask()

    def http(self, method: str, args: dict[str, Any]) -> Any:
        return self._handled("http", lambda: self._interpreter.http(method, args))

    def _handled(self, what: str, call: Callable[[], Any]) -> Any:
        """Run a handler; its CallError, or its bug, becomes an error of the workflow."""
        self._ask()
        try:
            return own(call(), f"the result of {what}")
        except CallError as error:
            raise Raised(own(error.error, f"the error of {what}")) from error
        except (Raised, WorkflowCancelled):
            raise
        except Exception as error:
            _log.exception("the handler of %s failed", what)
            raise Raised.tagged("SystemError", f"{what}: {error!r}") from error

    # Limits ----------------------------------------------------------------------------------

    def _ask(self) -> None:
        if self._interpreter.cancelled():
            raise WorkflowCancelled("the execution was cancelled")

    def _count_step(self) -> None:
        with self._lock:
            self._steps += 1
            steps, moment = self._steps, time.monotonic()
            ask = moment - self._asked >= _ASK_EVERY
            if ask:
                self._asked = moment
        if ask:
            self._ask()
        if steps > MAX_STEPS:
            raise Raised.tagged("ResourceLimitError", f"more than {MAX_STEPS} steps")

    def _keep(self, scope: _Scope, name: str, value: Any) -> None:
        """Set a variable and count its memory."""
        size = size_of(value)
        with self._lock:
            memory = self._memory + size - scope.sizes.get(name, 0)
            if memory > MAX_MEMORY:
                message = (
                    f"the variables take {memory} bytes with {name!r}; {MAX_MEMORY} are allowed"
                )
                raise Raised.tagged("ResourceLimitError", message)
            self._memory = memory
            scope.sizes[name] = size
            scope.values[name] = value

    def _leave(self, scope: _Scope) -> None:
        with self._lock:
            self._memory -= sum(scope.sizes.values())

    @contextmanager
    def _scope(self, frame: _Frame, shared: frozenset[str] | None = None) -> Iterator[_Scope]:
        scope = _Scope(frame.scope, shared)
        try:
            yield scope
        finally:
            self._leave(scope)

    # Routines, blocks, steps -------------------------------------------------------------------

    def call_routine(
        self, caller: _Frame, name: str, args: Sequence[Any] | Mapping[str, Any]
    ) -> Any:
        """Run a subworkflow, arguments by name or by position; its result, or null."""
        routine = self.routines[name]
        if caller.depth >= MAX_DEPTH:
            raise Raised.tagged("RecursionError", f"more than {MAX_DEPTH} calls deep")
        named = args if isinstance(args, Mapping) else dict(zip(routine.params, args, strict=False))
        if not named.keys() <= routine.params.keys() or len(args) > len(routine.params):
            type_error(f"{name} takes ({', '.join(routine.params)}), not {', '.join(named)}")
        scope = _Scope(None)
        frame = _Frame(self, name, scope, parent=caller.current)
        frame.depth, frame.nesting = caller.depth + 1, caller.nesting
        try:
            for param, default in routine.params.items():
                if param not in named and default is None:
                    type_error(f"{name} needs the argument {param!r}")
                value = named[param] if param in named else default and default.evaluate(frame)
                self._keep(scope, param, value)
            signal = self._block(routine.block, frame)
        finally:
            self._leave(scope)
        return signal.value if isinstance(signal, Result) else None

    def _block(self, block: Block, frame: _Frame) -> Signal:
        place = 0
        while place < len(block.steps):
            signal = self._step(block.steps[place], frame)
            if signal is None:
                place += 1
            elif isinstance(signal, Jump) and signal.to in block.places:
                place = block.places[signal.to]
            else:
                return signal
        return None

    def _step(self, step: Step, frame: _Frame) -> Signal:
        frame.step = step.name
        try:
            self._count_step()
        except Raised as error:
            error.at(frame.routine, step.name)
            raise
        with self._entry(frame, step.type) as entry:
            signal = self._body(step.body, frame, entry)
        return step.next if signal is None else signal

    @contextmanager
    def _entry(self, frame: _Frame, type: StepType, **more: Any) -> Iterator[StepEntry]:
        """Trace what runs inside as one entry; it is the parent of the entries inside."""
        outer = frame.current
        step = frame.step
        entry = self._trace.start(frame.parent, frame.routine, step, type, **more)
        frame.current = entry.id
        try:
            yield entry
        except Raised as error:
            error.at(frame.routine, step)
            self._trace.end(entry, State.FAILED, str(error))
            raise
        except WorkflowCancelled:
            self._trace.end(entry, State.CANCELLED)
            raise
        except BaseException as error:
            self._trace.end(entry, State.FAILED, repr(error))
            raise
        else:
            self._trace.end(entry, State.SUCCEEDED)
        finally:
            frame.current = outer
            frame.step = step

    def _body(self, body: Body, frame: _Frame, entry: StepEntry) -> Signal:
        match body:
            case Assign():
                for target, value in body.assignments:
                    self._assign(frame, target, value)
            case Call():
                self._call(body, frame)
            case Switch():
                return self._switch(body, frame, entry)
            case Return():
                return Result(body.value.evaluate(frame))
            case Loop():
                return self._for(body, frame, entry)
            case Block():
                return self._block(body, frame.inner(entry.id))
            case Try():
                return self._try(body, frame.inner(entry.id))
            case Parallel():
                self._parallel(body, frame, entry)
            case Raise():
                raise Raised(body.value.evaluate(frame))
            case Goto():
                pass
        return None

    # Variables ---------------------------------------------------------------------------------

    def _assign(self, frame: _Frame, target: Target, value: Expression) -> None:
        # Reading and writing a shared variable is one operation ("Parallel steps", shared
        # variables). Not while a subworkflow runs: it may start a parallel step of its own.
        inside = frame.nesting and not any(name in self.routines for name, _ in value.calls)
        with self._lock if inside else nullcontext():
            self._store(frame, target, value.evaluate(frame))

    def _store(self, frame: _Frame, target: Target, value: Any) -> None:
        path = [key(frame) for key in target.path]
        with self._lock if frame.nesting else nullcontext():
            scope = frame.scope.owner(target.name)
            if path:
                value = with_item(frame.scope.read(target.name), path, value)
            self._keep(scope, target.name, value)

    # Kinds of step -----------------------------------------------------------------------------

    def _call(self, body: Call, frame: _Frame) -> None:
        args = body.args.evaluate(frame)
        if type(args) is not dict and type(args) is not list:
            type_error(f"the args of {body.name} must be a map, not a {type_name(args)}")
        if body.kind is StepType.SUBWORKFLOW_CALL:
            result = self.call_routine(frame, body.name, args)
        elif body.kind is StepType.STD_LIB_CALL:
            given = own(args, f"the args of {body.name}")
            _check_body(body.name, given)
            result = FUNCTIONS[body.name](self, given)
        else:
            if type(args) is not dict:
                type_error(f"the args of {body.name} must be a map, not a list")
            handler = self._interpreter.connectors[body.name]
            given = own(args, f"the args of {body.name}")
            _check_body(body.name, given)
            result = self._handled(body.name, lambda: handler(given))
        if body.result is not None:
            self._store(frame, body.result, result)

    def _switch(self, body: Switch, frame: _Frame, entry: StepEntry) -> Signal:
        for place, (condition, step) in enumerate(body.conditions):
            if not truth(condition.evaluate(frame), "a condition"):
                continue
            inner = frame.inner(entry.id)
            with self._entry(inner, StepType.CONDITION, index=place) as matched:
                deeper = frame.inner(matched.id)
                if isinstance(step.body, Goto):
                    return step.next
                if isinstance(step.body, Block):
                    signal = self._block(step.body, deeper)
                    return step.next if signal is None else signal
                return self._step(step, deeper)
        return None

    def _for(self, body: Loop, frame: _Frame, entry: StepEntry) -> Signal:
        for place, value in enumerate(self._values(body, frame)):
            signal = self._iteration(body, frame.inner(entry.id), place, value)
            if signal is BREAK:
                return None
            if signal is not None and signal is not CONTINUE:
                return signal
        return None

    def _values(self, body: Loop, frame: _Frame) -> Iterator[Any]:
        over = body.over.evaluate(frame)
        if type(over) is not list:
            type_error(f"a for loop goes over a list, not a {type_name(over)}")
        if not body.ranged:
            yield from over
            return
        if len(over) != 2 or not all(map(is_number, over)):
            type_error("a range is a list of two numbers, both inclusive")
        value, end = over
        while value <= end:
            yield value
            value += 1

    def _iteration(
        self,
        body: Loop,
        frame: _Frame,
        place: int,
        value: Any,
        shared: frozenset[str] | None = None,
    ) -> Signal:
        with (
            self._scope(frame, shared) as scope,
            self._entry(frame, StepType.FOR_ITERATION, index=place, variable=body.value) as entry,
        ):
            self._keep(scope, body.value, value)
            if body.index is not None:
                self._keep(scope, body.index, place)
            return self._block(body.block, frame.inner(entry.id, scope))

    # Errors ------------------------------------------------------------------------------------

    def _try(self, body: Try, frame: _Frame) -> Signal:
        retries = 0
        while True:
            try:
                with self._entry(frame, StepType.TRY, attempt=retries + 1) as entry:
                    inner = frame.inner(entry.id)
                    if isinstance(body.body.body, Block):
                        return self._block(body.body.body, inner)
                    return self._step(body.body, inner)
            except Raised as error:
                if body.retry is None or not self._retried(body.retry, frame, error, retries):
                    return self._handle(body, frame, error)
            retries += 1

    def _retried(self, retry: Retry, frame: _Frame, error: Raised, retries: int) -> bool:
        """Wait for the next attempt; False if there is none."""
        most = retry.max_retries.evaluate(frame)
        if type(most) is not int:
            type_error(f"max_retries must be an integer, not a {type_name(most)}")
        if retries >= most:
            return False
        with self._entry(frame, StepType.RETRY, attempt=retries + 1, exception=str(error)) as entry:
            if not truth(frame.call(retry.predicate, [error.value]), "a retry predicate"):
                return False
            numbers = {key: value.evaluate(frame) for key, value in retry.backoff.items()}
            for key, value in numbers.items():
                if not is_number(value) or value < 0:
                    value_error(f"{key} of a retry must be a number, 0 or more, not {value!r}")
            self._trace.retry(entry)
            delay = numbers["initial_delay"]
            for _ in range(retries):
                delay = min(delay * numbers["multiplier"], numbers["max_delay"])
            self.wait(min(delay, numbers["max_delay"]))
        return True

    def _handle(self, body: Try, frame: _Frame, error: Raised) -> Signal:
        if body.handler is None:
            raise error
        with (
            self._scope(frame) as scope,
            self._entry(frame, StepType.EXCEPT) as entry,
        ):
            if body.error_name is not None:
                self._keep(scope, body.error_name, error.value)
            return self._block(body.handler, frame.inner(entry.id, scope))

    # Parallel steps ----------------------------------------------------------------------------

    def _parallel(self, body: Parallel, frame: _Frame, entry: StepEntry) -> None:
        if frame.nesting >= MAX_PARALLEL_DEPTH:
            message = f"parallel steps nest {MAX_PARALLEL_DEPTH} deep at most"
            raise Raised.tagged("ParallelNestingError", message)
        limit = MAX_CONCURRENCY if body.limit is None else body.limit.evaluate(frame)
        if type(limit) is not int or limit < 1:
            value_error(f"concurrency_limit must be a positive integer, not {limit!r}")
        with ThreadPoolExecutor(min(limit, MAX_CONCURRENCY)) as pool:
            futures = [
                (name, pool.submit(work)) for name, work in self._branches(body, frame, entry)
            ]
        self._join(futures)

    def _branches(
        self, body: Parallel, frame: _Frame, entry: StepEntry
    ) -> Iterator[tuple[str, Callable[[], Any]]]:
        if isinstance(body.work, Loop):
            loop = body.work
            for place, value in enumerate(self._values(loop, frame)):
                if place >= MAX_STEPS:
                    raise Raised.tagged("ResourceLimitError", f"more than {MAX_STEPS} iterations")
                inner = _deeper(frame.inner(entry.id))
                yield str(place), _later(self._iteration, loop, inner, place, value, body.shared)
            return
        for place, (name, block) in enumerate(body.work):
            inner = _deeper(frame.inner(entry.id))
            yield name, _later(self._branch, block, inner, place, name, body.shared)

    def _branch(
        self, block: Block, frame: _Frame, place: int, name: str, shared: frozenset[str]
    ) -> None:
        with (
            self._scope(frame, shared) as scope,
            self._entry(frame, StepType.PARALLEL_BRANCH_ENTRY, index=place, variable=name) as entry,
        ):
            self._block(block, frame.inner(entry.id, scope))

    def _join(self, futures: list[tuple[str, Future[Any]]]) -> None:
        """Raise what the branches raised: cancelled or a bug first, else all errors as one."""
        errors = [(name, future.exception()) for name, future in futures]
        for _, error in errors:
            if error is not None and not isinstance(error, Raised):
                raise error
        failed = [(name, error) for name, error in errors if isinstance(error, Raised)]
        if not failed:
            return
        branches = [
            {
                "id": name,
                "error": {
                    "context": f"{describe(error.value)}\nin step {error.step!r}, "
                    f"routine {error.routine!r}",
                    "payload": error.value,
                },
            }
            for name, error in failed[:MAX_BRANCH_ERRORS]
        ]
        raise Raised.tagged(
            "UnhandledBranchError",
            "One or more branches or iterations encountered an unhandled runtime error",
            branches=branches,
            truncated=len(failed) > MAX_BRANCH_ERRORS,
        )


def _deeper(frame: _Frame) -> _Frame:
    frame.nesting += 1
    return frame


def _later(run: Callable[..., Any], *args: Any) -> Callable[[], Any]:
    return lambda: run(*args)


def _check_body(name: str, args: Any) -> None:
    """Refuse a body that is to be sent as JSON and cannot be; one that is nothing but bytes can."""
    sent = args.get("body") if type(args) is dict else None
    if type(sent) is not bytes and holds_bytes(sent):
        type_error(f"the body of {name} holds bytes; decode them, e.g. text.decode")


def holds_bytes(value: Any) -> bool:
    if type(value) is dict:
        return any(map(holds_bytes, value.values()))
    if type(value) is list:
        return any(map(holds_bytes, value))
    return type(value) is bytes

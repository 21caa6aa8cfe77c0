"""A recording observer, a clock that never waits, and a loopback HTTP server."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cdp.workflow_engine import Interpreter, StepEntry, WorkflowFailure, load


@dataclass
class Recorder:
    started: list[StepEntry] = field(default_factory=list)
    ended: list[StepEntry] = field(default_factory=list)
    retried: list[StepEntry] = field(default_factory=list)

    def step_started(self, entry: StepEntry) -> None:
        self.started.append(entry)

    def step_ended(self, entry: StepEntry) -> None:
        self.ended.append(entry)

    def step_retried(self, entry: StepEntry) -> None:
        self.retried.append(entry)

    def types(self) -> list[str]:
        return [entry.step_type.removeprefix("STEP_") for entry in self.started]


@dataclass
class Clock:
    """Time that passes only by sleeping."""

    time: float = 1_900_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.slept.append(seconds)


@dataclass
class Engine:
    """`run(text, argument)`, with what a test sets before it."""

    recorder: Recorder = field(default_factory=Recorder)
    clock: Clock = field(default_factory=Clock)
    connectors: dict[str, Callable[[dict[str, Any]], Any]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    cancelled: Callable[[], bool] = lambda: False
    http: Any = None

    def __call__(self, text: str, argument: Any = None) -> Any:
        definition = load(text, connectors=self.connectors)
        return Interpreter(
            definition,
            self.connectors,
            self.env,
            self.recorder,
            self.cancelled,
            sleep=self.clock.sleep,
            now=self.clock.now,
            http=self.http,
        ).run(argument)

    def value(self, expression: str, argument: Any = None) -> Any:
        """Evaluate one expression; the argument is the variable `args`."""
        step = json.dumps([{"it": {"return": "${" + expression + "}"}}])
        return self(f'{{"main": {{"params": ["args"], "steps": {step}}}}}', argument)

    def error(self, text: str, argument: Any = None) -> Any:
        """Run, expect a failure, return its error value."""
        with pytest.raises(WorkflowFailure) as caught:
            self(text, argument)
        return caught.value.error

    def tags(self, expression: str, argument: Any = None) -> list[str]:
        with pytest.raises(WorkflowFailure) as caught:
            self.value(expression, argument)
        tags: list[str] = caught.value.error["tags"]
        return tags


@pytest.fixture
def run() -> Engine:
    return Engine()


class _Handler(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = {
            "method": self.command,
            "path": self.path,
            "headers": dict(self.headers),
            "body": self.rfile.read(length).decode(),
        }
        server: Any = self.server
        code, headers, body = server.answer(request)
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Keep the test output quiet."""


@dataclass
class Service:
    url: str
    server: Any
    requests: list[dict[str, Any]] = field(default_factory=list)

    def answers(self, code: int, body: bytes, **headers: str) -> None:
        self.server.answer = lambda request: (self.requests.append(request), (code, headers, body))[
            1
        ]


@pytest.fixture
def service() -> Iterator[Service]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    found = Service(f"http://127.0.0.1:{server.server_address[1]}", server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()

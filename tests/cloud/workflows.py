"""Google's Workflow Executions API on loopback: the service over gRPC, step entries over REST.

Behind it, executions of the embedded deployment run whatever text their command runs. Google's
client is what talks to it, so what is tested is what is deployed.

Sources: the client's protocol (google.cloud.workflows.executions_v1) and the REST resource
projects.locations.workflows.executions.stepEntries.
"""

import base64
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent import futures
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import grpc
import requests
from google.cloud.workflows import executions_v1 as ev
from google.cloud.workflows.executions_v1.services.executions.transports import (
    ExecutionsGrpcTransport,
)

from cdp.executions import port
from cdp.executions.cloud import STARTED_BY, CloudExecutions
from cdp.executions.local import LocalExecutions

PARENT: Final = "projects/demo/locations/europe-west1/workflows/cdp-refresh"
Code = grpc.StatusCode

_HTTP: Final[Mapping[grpc.StatusCode, int]] = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
}
_PROGRESS: Final[Mapping[str, str]] = {
    "STEP_FOR_ITERATION": "PROGRESS_TYPE_FOR",
    "STEP_CONDITION": "PROGRESS_TYPE_SWITCH",
    "STEP_TRY": "PROGRESS_TYPE_RETRY",
    "STEP_RETRY": "PROGRESS_TYPE_RETRY",
    "STEP_PARALLEL_BRANCH_ENTRY": "PROGRESS_TYPE_PARALLEL_BRANCH",
}
_WORDS: Final = re.compile(r"(?P<said>.*?)(?: \(code (?P<code>\d+)\))?", re.DOTALL)
_PLACE: Final = re.compile(
    r"(?P<words>.*) \(in step '(?P<step>.*)' of workflow '(?P<routine>.*)'\)", re.DOTALL
)


class Refused(Exception):  # noqa: N818
    """A call is answered with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CloudWorkflows:
    """The API of one workflow, over *executions*; use it as a context manager.

    Args:
        parent: name of the workflow; no other is found.
        ports: of gRPC and REST; 0 takes a free one.

    Attributes:
        address: `host:port` of gRPC.
        url: of REST.
    """

    def __init__(
        self,
        executions: LocalExecutions,
        parent: str = PARENT,
        *,
        ports: tuple[int, int] = (0, 0),
    ) -> None:
        self._executions = executions
        self._parent = parent
        self._foreign: dict[str, ev.Execution] = {}
        self._foreign_entries: dict[str, Sequence[dict[str, Any]]] = {}
        self._refusals: dict[str, deque[Refused]] = {}
        self._lock = threading.Lock()
        self._server = grpc.server(futures.ThreadPoolExecutor(4, "workflows"))
        self._server.add_generic_rpc_handlers((self._service(),))
        self.address = f"127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{ports[0]}')}"
        self._rest = ThreadingHTTPServer(("127.0.0.1", ports[1]), self._rest_handler())
        self.url = f"http://127.0.0.1:{self._rest.server_address[1]}"
        self._thread = threading.Thread(target=self._rest.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._server.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.shutdown()
        self._thread.join()
        self._rest.server_close()
        self._server.stop(None).wait()

    # --- for tests --------------------------------------------------------------------------------

    def refuse(self, method: str, code: grpc.StatusCode, message: str, *, times: int = 1) -> None:
        """Answer the next calls of *method* with a status; that of REST is ListStepEntries."""
        with self._lock:
            self._refusals[method] = deque([Refused(code, message)] * times)

    def keep(self, execution: ev.Execution, entries: Sequence[dict[str, Any]] = ()) -> None:
        """Tell of an execution that was started elsewhere, besides the embedded deployment's.

        Args:
            execution: its name is an id; the workflow's name comes before it.
            entries: its step entries, as Google's JSON.
        """
        kept = ev.Execution(execution)
        kept.name = f"{self._parent}/executions/{execution.name}"
        self._foreign[execution.name] = kept
        self._foreign_entries[execution.name] = entries

    # --- the service ------------------------------------------------------------------------------

    def create(self, request: ev.CreateExecutionRequest) -> ev.Execution:
        self._known(request.parent)
        text, labels = request.execution.argument or "null", dict(request.execution.labels)
        try:
            argument = json.loads(text)
        except ValueError as error:
            raise Refused(Code.INVALID_ARGUMENT, "argument is not JSON") from error
        if len(text.encode()) > 32 * 1024:
            raise Refused(Code.INVALID_ARGUMENT, "argument is larger than 32 KB")
        for word in labels.items():
            if not all(re.fullmatch(r"[a-z0-9_-]{0,63}", part) for part in word):
                raise Refused(Code.INVALID_ARGUMENT, "a label is not of a-z, 0-9, _ and -")
        # The embedded deployment keeps who started it where Google keeps labels and the text.
        by = json.dumps({"labels": labels, "argument": text})
        id = self._executions.start(argument if isinstance(argument, dict) else {}, by=by)
        return self._told(self._executions.get(id))

    def get(self, request: ev.GetExecutionRequest) -> ev.Execution:
        found = self._one(request.name)
        return _basic(found) if request.view == ev.ExecutionView.BASIC else found

    def list(self, request: ev.ListExecutionsRequest) -> ev.ListExecutionsResponse:
        self._known(request.parent)
        if request.filter or request.order_by:
            raise Refused(Code.UNIMPLEMENTED, "filter and order_by are not served here")
        full = request.view == ev.ExecutionView.FULL
        size = min(request.page_size or 100, 100 if full else 1000)
        query = f"{request.parent}|{request.view}"
        first = _place(request.page_token, query)
        found = [self._told(one) for one in self._executions.list(limit=first + size + 1)]
        found = sorted([*found, *self._foreign.values()], key=_began, reverse=True)
        page = found[first : first + size]
        more = len(found) > first + size
        return ev.ListExecutionsResponse(
            executions=page if full else [_basic(one) for one in page],
            next_page_token=_token(first + size, query) if more else "",
        )

    def cancel(self, request: ev.CancelExecutionRequest) -> ev.Execution:
        found = self._one(request.name)
        if found.state != ev.Execution.State.ACTIVE:
            raise Refused(Code.FAILED_PRECONDITION, "the execution is not active")
        self._executions.cancel(_id(request.name), by="the API")
        return self._one(request.name)

    def entries(self, name: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of step entries, as the REST resource's `list` does."""
        self._one(name)
        if unknown := query.keys() - {"pageSize", "pageToken", "skip", "filter", "orderBy"}:
            raise Refused(Code.INVALID_ARGUMENT, f"unknown parameters: {sorted(unknown)}")
        if query.get("orderBy", "entryId") != "entryId":
            raise Refused(Code.INVALID_ARGUMENT, "orderBy is served for entryId only")
        id = _id(name)
        found = (
            list(self._foreign_entries[id])
            if id in self._foreign
            else _entries(name, self._executions.steps(id))
        )
        condition = query.get("filter", "")
        for term in condition.split(" AND ") if condition else ():
            match = re.fullmatch(r'(updateTime>|routine=)"([^"]+)"', term)
            if match is None:
                raise Refused(Code.INVALID_ARGUMENT, "filter is served for updateTime and routine")
            if match[1] == "routine=":
                found = [one for one in found if one["routine"] == match[2]]
            else:
                since = datetime.fromisoformat(match[2])
                found = [one for one in found if datetime.fromisoformat(one["updateTime"]) > since]
        size = min(int(query.get("pageSize", 0)) or 1000, 1000)
        first = _place(query.get("pageToken", ""), condition or "") + int(query.get("skip", 0))
        page: dict[str, Any] = {"totalSize": len(found)}
        if found[first : first + size]:
            page["stepEntries"] = found[first : first + size]
        if len(found) > first + size:
            page["nextPageToken"] = _token(first + size, condition or "")
        return page

    # --- inside -----------------------------------------------------------------------------------

    def _known(self, parent: str) -> None:
        if parent != self._parent:
            raise Refused(Code.NOT_FOUND, f"workflow {parent!r} does not exist")

    def _one(self, name: str) -> ev.Execution:
        self._known(name.partition("/executions/")[0])
        if found := self._foreign.get(_id(name)):
            return found
        try:
            return self._told(self._executions.get(_id(name)))
        except port.ExecutionNotFound as error:
            raise Refused(Code.NOT_FOUND, f"execution {name!r} does not exist") from error

    def _told(self, found: port.Execution) -> ev.Execution:
        kept = _kept(found)
        told = ev.Execution(
            name=f"{self._parent}/executions/{found.id}",
            start_time=found.created_at,
            # Google queues only what waits for a free place; a process that starts is active.
            state="ACTIVE" if found.state is port.State.QUEUED else found.state.value,
            argument=kept["argument"],
            labels=kept["labels"],
            workflow_revision_id="000001-abc",
        )
        if found.ended_at is not None:
            told.end_time = found.ended_at
            told.duration = found.ended_at - found.created_at
        if found.state is port.State.SUCCEEDED:
            told.result = json.dumps(found.result)
        if found.state is port.State.FAILED:
            told.error = _error(found.error or "")
        return told

    def _refused(self, method: str) -> None:
        with self._lock:
            if waiting := self._refusals.get(method):
                raise waiting.popleft()

    def _service(self) -> grpc.GenericRpcHandler:
        methods: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
            "CreateExecution": (self.create, ev.CreateExecutionRequest, ev.Execution),
            "GetExecution": (self.get, ev.GetExecutionRequest, ev.Execution),
            "ListExecutions": (self.list, ev.ListExecutionsRequest, ev.ListExecutionsResponse),
            "CancelExecution": (self.cancel, ev.CancelExecutionRequest, ev.Execution),
        }

        def handler(method: str) -> grpc.RpcMethodHandler:
            act, request_type, response_type = methods[method]

            def answer(request: Any, context: grpc.ServicerContext) -> Any:
                try:
                    self._refused(method)
                    return act(request)
                except Refused as refused:
                    context.abort(refused.code, refused.message)

            return grpc.unary_unary_rpc_method_handler(
                answer,
                request_deserializer=request_type.deserialize,
                response_serializer=response_type.serialize,
            )

        return grpc.method_handlers_generic_handler(
            "google.cloud.workflows.executions.v1.Executions",
            {method: handler(method) for method in methods},
        )

    def _rest_answer(self, path: str) -> dict[str, Any]:
        parts = urlsplit(path)
        match = re.fullmatch(r"/v1/(.*/executions/[^/]+)/stepEntries", parts.path)
        if match is None:
            raise Refused(Code.NOT_FOUND, "no such method")
        self._refused("ListStepEntries")
        return self.entries(unquote(match[1]), dict(parse_qsl(parts.query)))

    def _rest_handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                try:
                    status, page = 200, api._rest_answer(self.path)
                except Refused as refused:
                    status = _HTTP[refused.code]
                    error = {"message": refused.message, "status": refused.code.name}
                    page = {"error": {"code": status, **error}}
                body = json.dumps(page).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler


def connect(
    address: str, url: str, parent: str = PARENT, *, patience: float = 20.0
) -> CloudExecutions:
    """Return the deployment's adapter, with Google's client, for a server at these addresses."""
    transport = ExecutionsGrpcTransport(channel=grpc.insecure_channel(address))
    client = ev.ExecutionsClient(transport=transport)
    return CloudExecutions(
        client, requests.Session(), parent=parent, endpoint=url, patience=patience
    )


def _began(found: ev.Execution) -> int:
    return int(ev.Execution.pb(found).start_time.ToNanoseconds())


def _kept(found: port.Execution) -> dict[str, Any]:
    """Return labels and argument as they were given; others than the API start executions too."""
    try:
        kept = json.loads(found.started_by)
    except ValueError:
        kept = None
    if isinstance(kept, dict):
        return kept
    return {"labels": {}, "argument": json.dumps({**found.argument, STARTED_BY: found.started_by})}


def _basic(found: ev.Execution) -> ev.Execution:
    fields = ("name", "start_time", "end_time", "duration", "state", "workflow_revision_id")
    return ev.Execution({field: getattr(found, field) for field in fields})


def _error(text: str) -> ev.Execution.Error:
    """Return what Google tells of an error that the embedded engine has worded."""
    match = _PLACE.fullmatch(text)
    if match is None:
        return ev.Execution.Error(payload=_payload(text), context=text)
    step, routine = match["step"], match["routine"]
    return ev.Execution.Error(
        payload=_payload(match["words"]),
        context=f'{match["words"]}\nin step "{step}", routine "{routine}", line: 1',
        stack_trace=ev.Execution.StackTrace(
            elements=[ev.Execution.StackTraceElement(step=step, routine=routine)]
        ),
    )


def _payload(words: str) -> str:
    match = _WORDS.fullmatch(words)
    assert match is not None
    code = {"code": int(match["code"])} if match["code"] else {}
    return json.dumps({**code, "message": match["said"], "tags": ["SystemError"]})


def _entries(name: str, steps: Sequence[port.Step]) -> list[dict[str, Any]]:
    children: dict[int | None, list[int]] = {}
    places: dict[int, int] = {}
    for step in steps:
        beside = children.setdefault(step.parent, [])
        places[step.id] = len(beside)
        beside.append(step.id)
    return [
        _entry(name, step, children.get(step.id, []), children[step.parent], places[step.id])
        for step in steps
    ]


def _entry(
    name: str, step: port.Step, children: Sequence[int], siblings: Sequence[int], place: int
) -> dict[str, Any]:
    navigation: dict[str, Any] = {}
    if step.parent is not None:
        navigation["parent"] = str(step.parent)
    if children:
        navigation["children"] = [str(child) for child in children]
    if place > 0:
        navigation["previous"] = str(siblings[place - 1])
    if place + 1 < len(siblings):
        navigation["next"] = str(siblings[place + 1])
    metadata = {}
    if kind := _PROGRESS.get(step.type):
        retried = kind == "PROGRESS_TYPE_RETRY"
        number = step.attempt if retried else place + 1
        metadata = {"progressType": kind, "progressNumber": str(number)}
    entry: dict[str, Any] = {
        "name": f"{name}/stepEntries/{step.id}",
        "createTime": _time(step.started_at),
        "updateTime": _time(step.ended_at or step.started_at),
        "routine": step.routine,
        "step": step.step,
        "stepType": step.type,
        "state": step.state,
        "entryId": str(step.id),
        "navigationInfo": navigation,
        "stepEntryMetadata": metadata,
    }
    if step.exception is not None:
        entry["exception"] = {"payload": _payload(step.exception)}
    return entry


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _id(name: str) -> str:
    return name.rpartition("/executions/")[2]


def _token(first: int, query: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([first, query]).encode()).decode()


def _place(token: str, query: str) -> int:
    """Return where the token's page begins; it holds for the query that it was given for."""
    if not token:
        return 0
    try:
        first, given = json.loads(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise Refused(Code.INVALID_ARGUMENT, "the page token is not of this API") from error
    if given != query:
        raise Refused(Code.INVALID_ARGUMENT, "the page token is of another query")
    return int(first)

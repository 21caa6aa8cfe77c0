"""Executions on Google Cloud Workflows: the client over gRPC, a trace over REST.

Google's client has no method for step entries; they are a REST resource only.
"""

import builtins
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

import google.auth
import grpc
import requests
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import AuthorizedSession
from google.cloud.workflows import executions_v1
from google.cloud.workflows.executions_v1.services.executions.transports import (
    ExecutionsGrpcTransport,
)

from cdp.domain.errors import CdpError, describe
from cdp.executions.port import (
    Execution,
    ExecutionNotFound,
    ExecutionsDenied,
    ExecutionsExhausted,
    ExecutionsUnavailable,
    State,
    Step,
    WorkflowNotDeployed,
)

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
ENDPOINT: Final = "https://workflowexecutions.googleapis.com"
# A label holds no name (63 of a-z, 0-9, _ and -), so who started it travels in the argument.
STARTED_BY: Final = "started_by"
LABELS: Final = {"source": "cdp"}
SCHEDULE: Final = "schedule"  # the label `source` of an execution that Cloud Scheduler starts

_TIMEOUT: Final = 10.0  # seconds of one call
_PAGE: Final = 100  # Google's most, of whole executions
_ENTRIES: Final = 1000  # Google's most, of step entries
_EPOCH: Final = datetime.fromtimestamp(0, UTC)
# Entries of parallel branches share moments, and one may be seen after a later one: read again what
# changed shortly before.
_OVERLAP: Final = timedelta(seconds=5)


def connect(
    parent: str, *, emulator: str | None = None, emulator_url: str = ""
) -> "CloudExecutions":
    """Return the executions of a workflow.

    Args:
        parent: `projects/P/locations/R/workflows/W`.
        emulator: host and port to reach instead of Google, without credentials.
        emulator_url: where that one serves step entries.

    Raises:
        DefaultCredentialsError: there are no credentials.
    """
    if emulator is not None:
        transport = ExecutionsGrpcTransport(channel=grpc.insecure_channel(emulator))
        client = executions_v1.ExecutionsClient(transport=transport)
        return CloudExecutions(client, requests.Session(), parent=parent, endpoint=emulator_url)
    credentials, _ = google.auth.default(scopes=[SCOPE])
    session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
    return CloudExecutions(
        executions_v1.ExecutionsClient(credentials=credentials), session, parent=parent
    )


class CloudExecutions:
    """Executions of one workflow.

    Args:
        session: sends the calls that the client has no method for, e.g. an AuthorizedSession.
        parent: `projects/P/locations/R/workflows/W`.
        endpoint: where the session finds the API.
        patience: seconds for which a call is tried again while Google is not there.
    """

    def __init__(
        self,
        client: executions_v1.ExecutionsClient,
        session: requests.Session,
        *,
        parent: str,
        endpoint: str = ENDPOINT,
        patience: float = 20.0,
    ) -> None:
        self._client = client
        self._session = session
        self._parent = parent
        self._endpoint = endpoint
        self._place = client.parse_workflow_path(parent)
        if not self._place:
            raise ValueError(f"{parent!r} is not projects/P/locations/R/workflows/W")
        self._retry = Retry(
            predicate=if_exception_type(exceptions.ServiceUnavailable, requests.ConnectionError),
            initial=0.2,
            maximum=5.0,
            timeout=patience,
        )

    def start(self, argument: Mapping[str, Any], *, by: str) -> str:
        new = executions_v1.Execution(
            argument=json.dumps({**argument, STARTED_BY: by}), labels=LABELS
        )
        with self._errors("nobody knows whether it has started: look at the runs, then start it"):
            # Not tried again: Google has no key by which it would know the same request.
            created = self._client.create_execution(
                parent=self._parent, execution=new, timeout=_TIMEOUT
            )
        return str(created.name).rsplit("/", 1)[-1]

    def get(self, id: str) -> Execution:
        with self._errors(id=id):
            found = self._client.get_execution(
                name=self._name(id), retry=self._retry, timeout=_TIMEOUT
            )
        return _execution(found)

    def list(self, *, limit: int = 50) -> list[Execution]:
        request = executions_v1.ListExecutionsRequest(
            parent=self._parent,
            page_size=min(limit, _PAGE),
            view=executions_v1.ExecutionView.FULL,  # the other has no argument, result or error
        )
        with self._errors():
            # Google's order is by start, the newest first.
            pages = self._client.list_executions(
                request=request, retry=self._retry, timeout=_TIMEOUT
            )
            return [_execution(found) for found in islice(pages, limit)]

    def cancel(self, id: str, *, by: str) -> None:  # noqa: ARG002 - Google keeps nobody's name
        with self._errors(id=id):
            try:
                self._client.cancel_execution(
                    name=self._name(id), retry=self._retry, timeout=_TIMEOUT
                )
            except exceptions.BadRequest:  # FAILED_PRECONDITION among them: it has ended
                if not self.get(id).state.ended:
                    raise

    def steps(self, id: str, *, after: int = 0, routine: str | None = None) -> builtins.list[Step]:
        with self._errors(id=id):
            # By id: while entries change, a page may hold one that an earlier page held.
            found = {step.id: step for step in map(_step, self._entries(id, after, routine))}
        return [found[entry] for entry in sorted(found)]

    def _entries(self, id: str, after: int, routine: str | None) -> Iterator[Mapping[str, Any]]:
        params: dict[str, str | int] = {"pageSize": _ENTRIES}
        conditions = []
        if after:
            since = _EPOCH + timedelta(microseconds=after) - _OVERLAP
            conditions.append(f'updateTime>"{since:%Y-%m-%dT%H:%M:%S.%fZ}"')
        if routine is not None:
            conditions.append(f'routine="{routine}"')
        if conditions:
            params["filter"] = " AND ".join(conditions)
        url = f"{self._endpoint}/v1/{self._name(quote(id, safe=''))}/stepEntries"
        while True:
            page = self._retry(self._read)(url, params)
            yield from page.get("stepEntries", ())
            if not (token := page.get("nextPageToken")):
                return
            params["pageToken"] = token

    def _read(self, url: str, params: Mapping[str, str | int]) -> Mapping[str, Any]:
        answer = self._session.get(url, params=params, timeout=_TIMEOUT)
        if not answer.ok:
            raise exceptions.from_http_response(answer)  # type: ignore[no-untyped-call]
        page: Mapping[str, Any] = answer.json()
        return page

    def _name(self, id: str) -> str:
        return f"{self._parent}/executions/{id}"

    @contextmanager
    def _errors(self, advice: str = "try again later", *, id: str | None = None) -> Iterator[None]:
        """Turn errors of Google's clients into the port's, which name the fix."""
        try:
            yield
        except (exceptions.GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
            raise self._problem(error, advice, id) from error

    def _problem(self, error: Exception, advice: str, id: str | None) -> CdpError:
        project, region, workflow = (
            self._place[part] for part in ("project", "location", "workflow")
        )
        match error:
            case exceptions.NotFound() | exceptions.InvalidArgument() if id is not None:
                return ExecutionNotFound(f"no run {id}; `cdp runs` lists them")
            case exceptions.NotFound() | exceptions.FailedPrecondition() if id is None:
                return WorkflowNotDeployed(
                    f"the workflow {workflow} cannot run in {region} ({_said(error)}); deploy it: "
                    f"`gcloud workflows deploy {workflow} --source=workflow.yaml "
                    f"--location={region} --project={project}`"
                )
            case exceptions.Forbidden():
                return ExecutionsDenied(
                    f"Google refuses ({_said(error)}); grant the account that this runs as "
                    "roles/workflows.invoker to start and cancel, and roles/workflows.viewer to "
                    f"look, in the project {project}"
                )
            case exceptions.Unauthorized() | GoogleAuthError() if not isinstance(
                error, TransportError
            ):
                return ExecutionsDenied(
                    f"Google does not know who asks ({_said(error)}); run as a service account, or "
                    "sign in with `gcloud auth application-default login`"
                )
            case exceptions.TooManyRequests():
                return ExecutionsExhausted(
                    f"a quota of workflowexecutions.googleapis.com is used up ({_said(error)}); "
                    f"wait a minute, or raise it on the page IAM > Quotas of the project {project}"
                )
        return ExecutionsUnavailable(
            f"Google's Workflow Executions API did not do it ({_said(error)}); {advice}"
        )


def _said(error: Exception) -> str:
    """Return Google's own words as one short line."""
    cause = error.cause if isinstance(error, exceptions.RetryError) else error
    message = getattr(cause, "message", None) or type(cause).__name__
    return " ".join(str(message).split())[:300]


def _execution(found: executions_v1.Execution) -> Execution:
    argument = _value(found.argument)
    given = dict(argument) if isinstance(argument, dict) else {}
    by = given.pop(STARTED_BY, None)
    if not isinstance(by, str):
        by = SCHEDULE if found.labels.get("source") == SCHEDULE else "unknown"
    state, error = _state(found)
    # What is queued has not started; its start is still to come.
    created = found.start_time or datetime.now(UTC)
    return Execution(
        str(found.name).rsplit("/", 1)[-1],
        state,
        given,
        by,
        created,
        (found.end_time or created) if state.ended else None,
        _value(found.result),
        error,
    )


def _state(found: executions_v1.Execution) -> tuple[State, str | None]:
    """Return the state in the port's words, and what went wrong."""
    number = executions_v1.Execution.pb(found).state
    try:
        name = executions_v1.Execution.State(number).name
    except ValueError:  # of a later API
        name = str(number)
    if name == "UNAVAILABLE":
        details = found.state_error.details or "no details"
        return State.FAILED, (
            f"Google cannot read this run ({details}); give Workflows back the key that it is "
            "encrypted with"
        )
    if name not in State.__members__:
        state = State.FAILED if found.end_time else State.ACTIVE
        return state, f"Google tells of a state ({name}) that this version does not know; update it"
    state = State[name]
    return state, _error(found.error) if state is State.FAILED else None


def _error(error: executions_v1.Execution.Error) -> str:
    """Return an error as the embedded engine words it: what happened, and in which step."""
    if error.payload:
        said = describe(_value(error.payload))
    else:
        said = next(iter(error.context.splitlines()), "it failed without a word")
    if elements := error.stack_trace.elements:  # the innermost first
        said += f" (in step {elements[0].step!r} of workflow {elements[0].routine!r})"
    return said


def _step(entry: Mapping[str, Any]) -> Step:
    """Return a step entry; Google's integers are strings, and what is zero may be left out."""
    began = datetime.fromisoformat(entry["createTime"])
    changed = datetime.fromisoformat(entry.get("updateTime", entry["createTime"]))
    metadata = entry.get("stepEntryMetadata", {})
    retried = metadata.get("progressType") == "PROGRESS_TYPE_RETRY"
    exception = entry.get("exception", {}).get("payload")
    state = entry["state"]
    return Step(
        int(entry["entryId"]),
        (changed - _EPOCH) // timedelta(microseconds=1),
        int(entry.get("navigationInfo", {}).get("parent", 0)) or None,
        entry["routine"],
        entry["step"],
        entry["stepType"],
        state,
        int(metadata.get("progressNumber", 1)) if retried else 1,
        began,
        None if state == "STATE_IN_PROGRESS" else changed,
        describe(_value(exception)) if exception else None,
    )


def _value(text: str) -> Any:
    """Return a JSON text's value, the text itself where it is none, None where it is empty."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text

"""Cloud Run functions. Each obtains its ports from the composition root and calls one function."""

import base64
import json
import logging
import re
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import flask
import functions_framework
from cloudevents.http import CloudEvent

from cdp.deployments.build import Platform, build
from cdp.domain.errors import CdpError, Unavailable
from cdp.queue.port import Refused
from cdp.refresh.dead_letters import DocumentDeadLetters
from cdp.refresh.ingest import Shard, ingest_shard
from cdp.settings import Settings
from functions import logs

_ENDED: Final = ("state", "complete_until", "days_behind")
_DELIVERIES: Final = "CloudPubSubDeadLetterSourceDeliveryCount"
_NUMBER: Final = re.compile(r"[0-9]{1,19}")
_NAME: Final = re.compile(r"[A-Za-z0-9._/-]{1,1024}")

log = logging.getLogger("cdp.functions")
logs.configure()


@cache
def platform() -> Platform:
    """Return the ports that the environment names; once a process."""
    return build(Settings.load())


@functions_framework.cloud_event
def ingest(event: CloudEvent) -> None:
    """Ingest the shard that a Pub/Sub message names; an error has the message delivered again."""
    ports, attempt = platform(), _attempt(event)
    told = {"message_id": event["id"], "attempt": attempt}
    data: Mapping[str, Any] = {}
    try:
        data = _data(event)
        told |= _named(data)
        receipt = ingest_shard(ports.objects, ports.documents, data, attempt=attempt)
    except Refused as error:
        log.error("refused", extra={"fields": {**told, "reason": str(error)}})  # noqa: TRY400
        ports.refuse(event["id"], _named(data), attempt, error)
    except Exception as error:
        log.error("failed", extra={"fields": {**told, "reason": _reason(error)}})  # noqa: TRY400
        raise
    else:
        counts = ("rows", "written", "unchanged", "stale", "rejected", "seconds")
        told |= {name: getattr(receipt, name) for name in counts}
        log.info("ingested", extra={"fields": told})


@functions_framework.cloud_event
def bury(event: CloudEvent) -> None:
    """Keep what is known of a message that Pub/Sub gave up delivering to `ingest`."""
    ports = platform()
    try:
        data = _named(_data(event))
    except Refused:
        data = {}
    count = str(_attributes(event).get(_DELIVERIES))
    attempts = int(count) if count.isdecimal() else 0
    reason = f"gave up after {attempts} attempts; the log of the function ingest says why"
    letters = DocumentDeadLetters(ports.documents)
    letters.bury(event["id"], ports.settings.topic, data, attempts=attempts, reason=reason)
    log.error("dead", extra={"fields": {**data, "message_id": event["id"], "attempt": attempts}})


@functions_framework.http
def steps(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Answer a step that the workflow asks for: POST /NAME with `run_id` and `body`.

    Cloud Run has authenticated the caller. 409 says that asking again changes nothing.
    """
    if request.method != "POST":
        return {"error": "a step takes POST"}, 405, {"Allow": "POST"}
    name, asked = request.path.strip("/"), request.get_json(force=True, silent=True)
    if not isinstance(asked, dict) or not isinstance(asked.get("run_id"), str):
        return {"error": "a step takes a JSON object with run_id and body"}, 400
    from cdp.refresh.steps import UnknownStep  # noqa: PLC0415 - the other functions have no use for it

    told: dict[str, Any] = {"run_id": asked["run_id"], "step": name}
    try:
        answer = platform().steps.call(name, asked["run_id"], asked.get("body"))
    except UnknownStep as error:
        return {"error": str(error)}, 404
    except CdpError as error:
        log.error("failed", extra={"fields": {**told, "reason": str(error)}})  # noqa: TRY400
        # The workflow asks again after 503.
        return {"error": str(error)}, 503 if isinstance(error, Unavailable) else 409
    except Exception as error:
        log.error("failed", extra={"fields": {**told, "reason": _reason(error)}})  # noqa: TRY400
        raise
    ended = answer.get("outcome", answer)  # how the run ended: alerts look for it
    told |= {name: ended[name] for name in _ENDED if ended.get(name) is not None}
    log.info("answered", extra={"fields": told})
    return answer, 200


def _data(event: CloudEvent) -> dict[str, Any]:
    """Return what was published; Refused where that is no JSON object."""
    try:
        data = json.loads(base64.b64decode(event.data["message"]["data"], validate=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("the message holds no JSON") from None
    if not isinstance(data, dict):
        raise Refused("the message is no JSON object")
    return data


def _attributes(event: CloudEvent) -> Mapping[str, Any]:
    attributes = event.data["message"].get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _named(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message may say of its shard; whatever else it holds is nobody's to keep.

    So is what no exporter writes in their places: it may be anything, such as a person's address.
    """
    kinds = {name: _NAME if name in {"run_id", "name"} else _NUMBER for name in Shard.__slots__}
    kept = {name: data[name] for name in kinds if isinstance(data.get(name), str | int)}
    return {name: value for name, value in kept.items() if kinds[name].fullmatch(str(value))}


def _attempt(event: CloudEvent) -> int:
    """Return which delivery of the message this is, from 1, or 1 where the sender does not say.

    Pub/Sub says so beside the message, and the framework keeps only the message. The embedded
    delivery calls this function without a request, and says so in the event.
    """
    envelope = flask.request.get_json(silent=True) if flask.has_request_context() else event.data
    attempt = envelope.get("deliveryAttempt") if isinstance(envelope, dict) else None
    return attempt if isinstance(attempt, int) else 1


def _reason(error: Exception) -> str:
    if isinstance(error, CdpError):
        return str(error)
    # The text of a foreign error may quote a person's data: tell its kind and place only.
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"

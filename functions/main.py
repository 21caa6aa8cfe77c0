"""Cloud Run functions. Each obtains its ports from the composition root and calls one function."""

import base64
import json
from functools import cache

import functions_framework
from cloudevents.http import CloudEvent

from cdp.ingest import ingest_shard
from cdp.platform import Platform, build
from cdp.queue.port import Refused
from cdp.settings import Settings


@cache
def platform() -> Platform:
    """Return the ports that the environment names; once a process."""
    return build(Settings.load())


@functions_framework.cloud_event
def ingest(event: CloudEvent) -> None:
    """Ingest the shard that a Pub/Sub message names; an error has the message delivered again."""
    try:
        message = json.loads(base64.b64decode(event.data["message"]["data"], validate=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Refused("the message holds no JSON") from None
    if not isinstance(message, dict):
        raise Refused("the message is no JSON object")
    ports = platform()
    attempt = event.data.get("deliveryAttempt", 1)
    ingest_shard(ports.objects, ports.documents, message, attempt=attempt)

"""One worker process of `cdp.queue.local.Delivery`: leases messages and calls the function."""

import base64
import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cloudevents.http import CloudEvent

from cdp.domain.errors import CdpError
from cdp.queue.local import Leased, LocalQueue, Policy
from cdp.queue.port import Refused

log = logging.getLogger("cdp.queue")

Function = Callable[[CloudEvent], Any]


class JsonLines(logging.Formatter):
    """One JSON object a line, in the field names of Cloud Logging."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"severity": record.levelname, "message": record.getMessage()}
        return json.dumps(line | getattr(record, "fields", {}))


def cloud_event(leased: Leased) -> CloudEvent:
    """Return the event that a function gets from a Pub/Sub push."""
    name = f"projects/local/topics/{leased.topic}"
    attributes = {
        "id": leased.id,
        "time": leased.published,
        "specversion": "1.0",
        "datacontenttype": "application/json",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": f"//pubsub.googleapis.com/{name}",
    }
    message = {
        "@type": "type.googleapis.com/google.pubsub.v1.PubsubMessage",
        "data": base64.b64encode(leased.data.encode()).decode(),
        "attributes": {},
        "messageId": leased.id,
        "publishTime": leased.published,
    }
    subscription = f"projects/local/subscriptions/{leased.topic}"
    return CloudEvent(
        attributes,
        {"message": message, "subscription": subscription, "deliveryAttempt": leased.attempt},
    )


def deliver(queue: LocalQueue, leased: Leased, function: Function) -> None:
    """Call the function, and tell the queue how it went."""
    started = time.monotonic()
    reason, final = _call(function, leased)
    fields = {"topic": leased.topic, "message_id": leased.id, "attempt": leased.attempt}
    fields |= {"seconds": round(time.monotonic() - started, 3)}
    if reason is None:
        queue.ack(leased)
        log.info("delivered", extra={"fields": fields})
    else:
        queue.nack(leased, reason, final=final)
        fields |= {"reason": reason}
        log.error("refused" if final else "failed", extra={"fields": fields})


def _call(function: Function, leased: Leased) -> tuple[str | None, bool]:
    try:
        function(cloud_event(leased))
    except Refused as error:
        return str(error), True
    except CdpError as error:
        return str(error), False
    except Exception as error:  # noqa: BLE001 - whatever it is, the message is delivered again
        # The text of a foreign error may quote a person's data: tell its kind and place only.
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}", False
    return None, False


class Heartbeat:
    """Extends a lease while the function runs; ends the process when it runs for too long."""

    def __init__(self, queue: LocalQueue, leased: Leased, interval: float, timeout: float) -> None:
        self._queue, self._leased = queue, leased
        self._interval, self._timeout = interval, timeout
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        deadline = time.monotonic() + self._timeout
        while not self._done.wait(self._interval):
            if time.monotonic() > deadline:
                log.error("timed out", extra={"fields": {"message_id": self._leased.id}})
                os._exit(1)
            self._queue.extend(self._leased)


def main(options: dict[str, Any]) -> None:
    """Deliver messages until standard input is closed or the parent is gone."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the parent, which dismisses us
    told = threading.Event()
    threading.Thread(target=_listen, args=(told,), daemon=True).start()

    policy = Policy(**options["policy"])
    queue = LocalQueue(Path(options["path"]), policy)
    module, _, name = options["target"].partition(":")
    function = getattr(importlib.import_module(module), name)
    while not told.is_set() and os.getppid() == options["parent"]:
        leased = queue.lease(options["holder"])
        if leased:
            with Heartbeat(queue, leased, policy.lease / 3, options["timeout"]):
                deliver(queue, leased, function)
        else:
            told.wait(options["poll"])


def _listen(told: threading.Event) -> None:
    sys.stdin.buffer.read()
    told.set()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

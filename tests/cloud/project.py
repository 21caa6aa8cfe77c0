"""A Google Cloud project on this machine: emulators, servers, the deployed functions, and the local
engine in the place of Cloud Workflows.

What is deployed is what runs: the functions from their package, `workflow.yaml` as it is, and every
adapter of the `gcp` deployment with Google's own clients.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import requests
from google.api_core.exceptions import NotFound
from google.cloud import pubsub_v1
from google.cloud.storage import Client as StorageClient
from google.protobuf.duration_pb2 import Duration

from cdp.cloud import Cloud
from cdp.embedded import WORKFLOW
from cdp.settings import Settings
from cdp.workflow_engine import CallError, Interpreter, load
from cdp.workflow_engine.http_call import http_over_requests
from functions.package import package
from tests import emulators
from tests.cloud import bigquery

EXPORT = "analytics_1"
SECONDS = 120


@dataclass
class Project:
    """The project, and the deployment as its console and command line have it."""

    id: str
    environment: Mapping[str, str]
    warehouse: bigquery.Server
    platform: Cloud
    urls: Mapping[str, str]
    folder: Path

    def load_export(self, raw: Path) -> None:
        """Let GA4's dataset hold the tables that the embedded deployment keeps as files."""
        for file in sorted(raw.glob("events_*.parquet")):
            self.warehouse.make_table(EXPORT, file.stem, f"SELECT * FROM read_parquet('{file}')")

    def refresh(self, **arguments: Any) -> dict[str, Any]:
        """Run `workflow.yaml` to its end and return its result."""
        result: dict[str, Any] = self.engine().run(arguments)
        return result

    def engine(self) -> Interpreter:
        """Return the engine that stands in for Cloud Workflows, for one execution."""
        handlers = {
            "googleapis.bigquery.v2.jobs.insert": self._insert,
            "googleapis.storage.v1.objects.get": self._object,
        }
        return Interpreter(
            load(WORKFLOW.read_text("utf-8"), connectors=handlers.keys()),
            connectors=handlers,
            env={
                "GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID": str(uuid4()),
                "GOOGLE_CLOUD_PROJECT_ID": self.id,
                "CDP_LOCATION": "EU",
                "CDP_DATASET": "cdp",
                "CDP_BUCKET": self.id,
                "CDP_RELEASE": self.platform.release(),
                "CDP_STEPS_URL": self.urls["steps"],
                "CDP_POLL_SECONDS": "0.2",
                "CDP_MAXIMUM_BYTES_BILLED": str(10**12),
            },
            observer=_Nobody(),
            cancelled=lambda: False,
            http=http_over_requests(),
        )

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return every profile document, by id."""
        found: dict[str, dict[str, Any]] = {}
        cursor = None
        while True:
            page = self.platform.documents.page("profiles", after=cursor, limit=1000)
            found |= {document.id: document.body for document in page.documents}
            cursor = page.cursor
            if cursor is None:
                return found

    def log(self, function: str) -> str:
        """Return what a function has written."""
        return (self.folder / f"{function}.log").read_text()

    def _insert(self, args: dict[str, Any]) -> dict[str, Any]:
        """Do as the connector does: insert the job, and raise what it failed with."""
        url = f"{self.warehouse.url}/bigquery/v2/projects/{args['projectId']}/jobs"
        job: dict[str, Any] = _answer(requests.post(url, json=args["body"], timeout=SECONDS)).json()
        if error := job["status"].get("errorResult"):
            raise CallError(400, error["message"], ["HttpError"])
        return job

    def _object(self, args: dict[str, Any]) -> str:
        host = self.environment["STORAGE_EMULATOR_HOST"]
        url = f"{host}/storage/v1/b/{args['bucket']}/o/{args['object']}"
        answer = _answer(requests.get(url, params={"alt": args["alt"]}, timeout=SECONDS))
        assert answer.headers["Content-Type"].startswith("text/"), "the connector would give bytes"
        return answer.content.decode()


def _answer(response: requests.Response) -> requests.Response:
    if not response.ok:
        raise CallError(response.status_code, response.text, ["HttpError"])
    return response


class _Nobody:
    def step_started(self, entry: Any) -> None: ...

    def step_ended(self, entry: Any) -> None: ...

    def step_retried(self, entry: Any) -> None: ...


@contextmanager
def project(
    folder: Path, hosts: Mapping[str, str], *, salt: str, **settings: str
) -> Iterator[Project]:
    """Set a project up and tear it down.

    Args:
        hosts: variables that name the emulators of Firestore, Pub/Sub and Cloud Storage.
        settings: further ones, such as `shard_rows`.
    """
    id = f"t-{uuid4().hex[:20]}"
    source = folder / "source"
    package(source)
    with ExitStack() as stack:
        storage_host = hosts["STORAGE_EMULATOR_HOST"]

        def export(uri: str, data: bytes) -> None:
            name = unquote(uri.removeprefix(f"gs://{id}/"))
            bucket.blob(name).upload_from_string(data, content_type="application/json")

        warehouse = bigquery.Server(project=id, exporting=export)
        stack.enter_context(bigquery.serving(warehouse))
        for name in ("cdp", "cdp_a", "cdp_b", EXPORT):
            warehouse.make_dataset(name)
        environment = {
            **hosts,
            "BIGQUERY_EMULATOR_HOST": warehouse.url,
            "GOOGLE_CLOUD_PROJECT": id,
            "CDP_DEPLOYMENT": "gcp",
            "CDP_PROJECT": id,
            "CDP_BUCKET": id,
            "CDP_EXPORT_DATASET": EXPORT,
            "CDP_SALT": salt,
            "CDP_COOKIE_KEY": "c" * 64,
            "CDP_RAMP": "false",
            **{f"CDP_{name.upper()}": value for name, value in settings.items()},
        }
        _put(stack, environment)
        bucket = stack.enter_context(
            StorageClient(id, client_options={"api_endpoint": storage_host})
        ).create_bucket(id)
        urls = {
            target: stack.enter_context(_served(source, target, environment))
            for target in ("ingest", "bury", "steps")
        }
        publisher = stack.enter_context(pubsub_v1.PublisherClient())
        _subscribe(stack, publisher, id, urls)
        platform = Cloud(Settings.load())
        stack.callback(platform.documents.close)

        yield Project(id, environment, warehouse, platform, urls, folder)


def _put(stack: ExitStack, environment: Mapping[str, str]) -> None:
    """Set variables until the end, also those of a developer's own that would get in the way."""
    before = dict(os.environ)

    def restore() -> None:
        os.environ.clear()
        os.environ.update(before)

    stack.callback(restore)
    for name in [name for name in os.environ if name.startswith("CDP_")]:
        del os.environ[name]
    os.environ.update(environment)


@contextmanager
def _served(source: Path, target: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Serve one function from its package, where nothing of the repository can be imported."""
    port = emulators.free_port()
    command = [sys.executable, "-P", "-m", "functions_framework", f"--target={target}"]
    command += ["--source=main.py", "--host=127.0.0.1", f"--port={port}"]
    env = {**environment, "PYTHONPATH": str(source)}
    output = source.parent / f"{target}.log"
    with emulators.running(command, port, env, cwd=source, output=output):
        yield f"http://127.0.0.1:{port}"


def _subscribe(
    stack: ExitStack, publisher: pubsub_v1.PublisherClient, id: str, urls: Mapping[str, str]
) -> None:
    """Make topics and push subscriptions as `deploy/` does."""
    subscriber = stack.enter_context(pubsub_v1.SubscriberClient())
    shards, dead = (f"projects/{id}/topics/{name}" for name in ("cdp-shards", "cdp-shards-dead"))
    for topic in (shards, dead):
        publisher.create_topic(name=topic)
    retry = {"minimum_backoff": Duration(seconds=1), "maximum_backoff": Duration(seconds=2)}
    subscriptions = [
        ("ingest", shards, {"dead_letter_topic": dead, "max_delivery_attempts": 5}),
        ("bury", dead, None),
    ]
    for target, topic, policy in subscriptions:
        name = f"projects/{id}/subscriptions/cdp-shards-{target}"
        request: dict[str, Any] = {
            "name": name,
            "topic": topic,
            "push_config": {"push_endpoint": urls[target]},
            "ack_deadline_seconds": 600,
            "retry_policy": retry,
        }
        if policy:
            request["dead_letter_policy"] = policy
        subscriber.create_subscription(request=request)
        stack.callback(_unsubscribe, name)


def _unsubscribe(name: str) -> None:
    with pubsub_v1.SubscriberClient() as subscriber:
        try:
            subscriber.delete_subscription(subscription=name)
        except NotFound:
            return

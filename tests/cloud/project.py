"""A Google Cloud project on this machine: emulators, servers, the deployed functions, and the local
engine in the place of Cloud Workflows.

What is deployed is what runs: the functions from their package, `workflow.yaml` as it is, and every
adapter of the `gcp` deployment with Google's own clients.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1
from google.cloud.storage import Client as StorageClient

from cdp.deployments.cloud import Cloud
from cdp.executions.local import LocalExecutions
from cdp.executions.port import State
from cdp.settings import Settings
from functions.package import package
from tests import emulators
from tests.cloud import bigquery
from tests.cloud.workflows import CloudWorkflows
from tests.waiting import wait

EXPORT = "analytics_1"
REGION = "europe-west1"
EXECUTE = (sys.executable, "-m", "tests.cloud.execute")
DATASETS = ("cdp", "cdp_a", "cdp_b", EXPORT)


@dataclass
class Function:
    """A function that is served."""

    url: str
    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End it at once, the server with its workers, as a machine that fails does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Project:
    """The project, and the deployment as its console and command line have it."""

    id: str
    folder: Path
    warehouse: bigquery.Server
    runs: LocalExecutions
    platform: Cloud
    functions: Mapping[str, Function]

    def load_export(self, raw: Path) -> None:
        """Let GA4's dataset hold the tables that the embedded deployment keeps as files."""
        for file in sorted(raw.glob("events_*.parquet")):
            self.warehouse.make_table(EXPORT, file.stem, f"SELECT * FROM read_parquet('{file}')")

    def refresh(self, **arguments: Any) -> dict[str, Any]:
        """Start a refresh as the console does, wait for its end, and return its result."""
        executions = self.platform.executions
        execution = wait(executions, executions.start(arguments, by="ada"))
        assert execution.state is State.SUCCEEDED, execution.error
        result: dict[str, Any] = execution.result
        return result

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

    def log(self, name: str) -> str:
        """Return what a function has written, or an instance of that name."""
        return (self.folder / f"{name}.log").read_text()

    @contextmanager
    def serve(self, target: str, name: str, **environment: str) -> Iterator[Function]:
        """Serve one more instance of a function; *environment* is what it has of its own."""
        with _served(self.folder / "source", target, name, environment) as function:
            yield function

    def push(self, url: str) -> None:
        """Have the messages of shards pushed to *url* from now on."""
        with pubsub_v1.SubscriberClient() as subscriber:
            subscriber.modify_push_config(
                subscription=f"projects/{self.id}/subscriptions/cdp-shards-ingest",
                push_config={"push_endpoint": url},
            )


@contextmanager
def project(
    folder: Path, hosts: Mapping[str, str], *, salt: str, **settings: str
) -> Iterator[Project]:
    """Set a project up, with the environment that leads to it, and tear it down.

    Args:
        hosts: variables that name the emulators of Firestore, Pub/Sub and Cloud Storage.
        settings: further ones, such as `shard_rows`.
    """
    id = f"t-{uuid4().hex[:20]}"
    source = folder / "source"
    package(source)
    ports = (emulators.free_port(), emulators.free_port())
    with ExitStack() as stack:

        def export(uri: str, data: bytes) -> None:
            name = unquote(uri.removeprefix(f"gs://{id}/"))
            bucket.blob(name).upload_from_string(data, content_type="application/json")

        warehouse = bigquery.Server(project=id, exporting=export)
        stack.enter_context(bigquery.serving(warehouse))
        for name in DATASETS:
            warehouse.make_dataset(name)
        given = {"deployment": "gcp", "project": id, "bucket": id, "export_dataset": EXPORT}
        given |= {"salt": salt, "cookie_key": "c" * 64, "ramp": "0", "region": REGION}
        given |= {"home": str(folder / "workflows"), **settings}
        environment = {
            **hosts,
            "BIGQUERY_EMULATOR_HOST": warehouse.url,
            "WORKFLOWS_EMULATOR_HOST": f"127.0.0.1:{ports[0]}",
            "WORKFLOWS_EMULATOR_URL": f"http://127.0.0.1:{ports[1]}",
            **{f"CDP_{name.upper()}": value for name, value in given.items()},
        }
        _put(stack, environment)
        client = StorageClient(id, credentials=AnonymousCredentials())
        bucket = stack.enter_context(client).create_bucket(id)
        functions = {
            target: stack.enter_context(_served(source, target, target, {}))
            for target in ("ingest", "bury", "steps")
        }
        _subscribe(stack, id, functions)
        platform = Cloud(Settings.load())
        stack.callback(platform.documents.close)
        deployed = {
            "GOOGLE_CLOUD_PROJECT_ID": id,
            "CDP_LOCATION": "EU",
            "CDP_DATASET": "cdp",
            "CDP_BUCKET": id,
            "CDP_RELEASE": platform.release(),
            "CDP_STEPS_URL": functions["steps"].url,
            "CDP_POLL_SECONDS": "0.2",
            "CDP_MAXIMUM_BYTES_BILLED": str(10**12),
        }
        runs = LocalExecutions(folder / "workflows", EXECUTE, env=deployed)
        parent = f"projects/{id}/locations/{REGION}/workflows/{platform.settings.workflow}"
        stack.enter_context(CloudWorkflows(runs, parent, ports=ports))
        yield Project(id, folder, warehouse, runs, platform, functions)


def _put(stack: ExitStack, environment: Mapping[str, str]) -> None:
    """Set variables until the end; those of a developer's own would get in the way."""
    before = dict(os.environ)

    def restore() -> None:
        os.environ.clear()
        os.environ.update(before)

    stack.callback(restore)
    for name in [name for name in os.environ if name.startswith("CDP_")]:
        del os.environ[name]
    os.environ.update(environment)


@contextmanager
def _served(
    source: Path, target: str, name: str, environment: Mapping[str, str]
) -> Iterator[Function]:
    """Serve one function from its package, where nothing of the repository can be imported."""
    port = emulators.free_port()
    command = [sys.executable, "-P", "-m", "functions_framework", f"--target={target}"]
    command += ["--source=main.py", "--host=127.0.0.1", f"--port={port}"]
    env = {**environment, "PYTHONPATH": str(source)}
    output = source.parent / f"{name}.log"
    with emulators.running(command, port, env, cwd=source, output=output) as process:
        yield Function(f"http://127.0.0.1:{port}", process)


def _subscribe(stack: ExitStack, id: str, functions: Mapping[str, Function]) -> None:
    """Make topics and push subscriptions as they are deployed, but without a retry policy.

    With one, the emulator loses sight of messages where several fail at a time.
    """
    publisher = stack.enter_context(pubsub_v1.PublisherClient())
    subscriber = stack.enter_context(pubsub_v1.SubscriberClient())
    shards, dead = (f"projects/{id}/topics/{name}" for name in ("cdp-shards", "cdp-shards-dead"))
    for topic in (shards, dead):
        publisher.create_topic(name=topic)
    dead_letter = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    for target, topic, more in (
        ("ingest", shards, {"dead_letter_policy": dead_letter}),
        ("bury", dead, {}),
    ):
        name = f"projects/{id}/subscriptions/cdp-shards-{target}"
        subscriber.create_subscription(
            request={
                "name": name,
                "topic": topic,
                "push_config": {"push_endpoint": functions[target].url},
                "ack_deadline_seconds": 600,
                **more,
            }
        )
        # Else the emulator goes on pushing to ports that are others' by then.
        stack.callback(_unsubscribe, name)


def _unsubscribe(name: str) -> None:
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.delete_subscription(subscription=name)

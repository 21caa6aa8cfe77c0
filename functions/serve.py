"""Serve the functions on this machine as Cloud Run does: `python -m functions.serve` (Ctrl-C ends).

They run from the folder that is deployed. Google's libraries find the emulators, or the project,
by their own environment variables.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from cdp.domain.errors import CdpError
from cdp.settings import Settings
from functions.package import ROOT, package

PORTS: Final = {"ingest": 8081, "bury": 8082, "steps": 8083}
FOLDER: Final = ROOT / "build" / "functions"


def main() -> int:
    """Serve until told to end, or until one of them ends; return the exit code."""
    try:
        environment = _environment(FOLDER)
    except CdpError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 2
    package(FOLDER)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    served = [_start(target, port, environment) for target, port in PORTS.items()]
    for target, port in PORTS.items():
        print(f"{target:<8}http://127.0.0.1:{port}", flush=True)  # noqa: T201
    while not ended.wait(0.2) and all(process.poll() is None for process in served):
        pass
    for process in served:
        process.terminate()
    codes = [process.wait() for process in served]
    return 0 if ended.is_set() else max(1, *codes)


def _start(target: str, port: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "functions_framework", "--source=main.py"]
    command += [f"--target={target}", "--host=127.0.0.1", f"--port={port}"]
    return subprocess.Popen(command, cwd=FOLDER, env=environment, start_new_session=True)  # noqa: S603


def _environment(folder: Path) -> dict[str, str]:
    """Return the functions' variables; CdpError where a setting that they need is missing."""
    settings = Settings.load(deployment="gcp")
    for name in ("project", "bucket"):
        settings.needed(name)
    told = settings.environment()
    if settings.policy is not None:
        told["CDP_POLICY"] = str(settings.policy.resolve())  # they run in another folder
    return {**os.environ, **told, "PYTHONPATH": str(folder)}


if __name__ == "__main__":
    sys.exit(main())

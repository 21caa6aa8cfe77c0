"""Time a refresh: seconds and peak memory a step, from loaded to delivered.

python -m bench.refresh.run FOLDER... [--policy FILE]   each FOLDER holds ga4/, links/, consent/
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Memory:
    """Peak resident memory of the refresh's processes, sampled; MiB, by step."""

    def __init__(self, home: Path) -> None:
        self._home = str(home)
        self.samples: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.05):
            total = sum(_resident(pid) for pid in _processes(self._home))
            self.samples.append((time.time(), total))

    def peak(self, since: float, until: float) -> float:
        return max((mib for at, mib in self.samples if since <= at <= until), default=0.0)


def _processes(home: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and home.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _resident(pid: int) -> float:
    """Return the process's own share of resident memory, in MiB."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def refresh(folder: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """Load *folder* into a home of its own, refresh, and return seconds and MiB by step."""
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, **env, "CDP_HOME": home}
        cdp = [sys.executable, "-m", "cdp"]
        started = time.perf_counter()
        subprocess.run([*cdp, "load", "ga4", str(folder / "ga4")], env=environ, check=True)
        for kind in ("links", "consent"):
            if (folder / kind).exists():
                subprocess.run([*cdp, "load", kind, str(folder / kind)], env=environ, check=True)
        loaded = time.perf_counter() - started
        with Memory(Path(home)) as memory:
            began = time.time()
            done = subprocess.run(
                [*cdp, "refresh", "--json"], env=environ, check=True, capture_output=True, text=True
            )
            ended = time.time()
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        outcome = lines[-1]
        spans: dict[str, tuple[float, float]] = {}
        for line in lines[:-1]:
            if (
                line["routine"] == "refresh"
                and line["ended_at"]
                and line["step"] in outcome["steps"]
            ):
                span = tuple(_seconds(line[key]) for key in ("started_at", "ended_at"))
                held = spans.get(line["step"], span)
                spans[line["step"]] = (min(held[0], span[0]), max(held[1], span[1]))
        return {
            "folder": folder.name,
            "events": outcome["totals"]["events"],
            "rows": outcome["totals"]["rows_read"],
            "profiles": outcome["totals"]["profiles"],
            "written": outcome["written"],
            "load_seconds": round(loaded, 2),
            "refresh_seconds": round(ended - began, 2),
            "peak_mib": round(memory.peak(began, ended)),
            "steps": {
                name: {
                    "seconds": round(span[1] - span[0], 2),
                    "peak_mib": round(memory.peak(*span)),
                }
                for name, span in spans.items()
            },
        }


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--policy")
    parser.add_argument("--repeat", type=int, default=1)
    given = parser.parse_args()
    env = {"CDP_POLICY": given.policy} if given.policy else {}
    for folder in given.folders:
        for _ in range(given.repeat):
            result = refresh(folder, env)
            steps = result.pop("steps")
            print(json.dumps(result))
            for name, figures in steps.items():
                print(f"  {name:8} {figures['seconds']:7.2f} s {figures['peak_mib']:6} MiB")


if __name__ == "__main__":
    main()

"""Time what people decide: decisions loaded and resolved, and one person erased.

python -m bench.consent.run FOLDER [--decisions N]   FOLDER holds ga4/, links/, consent/
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PURPOSES = ("analytics", "ads", "marketing")


def main() -> None:
    """Load and refresh FOLDER, then time decisions about its people, and one erasure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--decisions", type=int, default=100_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        cdp = _Cdp(home)
        for kind in ("ga4", "links", "consent"):
            cdp.run("load", kind, str(args.folder / kind))
        cdp.run("refresh")
        profiles = json.loads(cdp.run("stats", "--json"))["profiles"]
        people = _people(args.folder / "links")
        file = Path(home) / "decisions.csv"
        _decisions(file, people, args.decisions)
        load = cdp.seconds("load", "consent", str(file))
        resolve = cdp.seconds("refresh")
        who = next(one for one in people if cdp.finds(one))
        said = ("--confirm", who, "--reason", "measured")
        erase = cdp.seconds("erase", who, *said)
        for name, told in (("load", load), ("refresh", resolve), ("erase", erase)):
            print(f"{name:8} {told:6.1f} s")
        print(f"{args.decisions:,} decisions, {profiles:,} profiles")


class _Cdp:
    """The command line, on a home of its own."""

    def __init__(self, home: str) -> None:
        self._environ = {**os.environ, "CDP_HOME": home}

    def run(self, *arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "cdp", *arguments],
            env=self._environ,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def seconds(self, *arguments: str) -> float:
        started = time.perf_counter()
        self.run(*arguments)
        return time.perf_counter() - started

    def finds(self, identifier: str) -> bool:
        told = subprocess.run(
            [sys.executable, "-m", "cdp", "profile", identifier],
            env=self._environ,
            check=False,
            capture_output=True,
        )
        return told.returncode == 0


def _people(links: Path) -> list[str]:
    """Return the user ids that links name, in an order that is always the same."""
    found = set()
    for file in links.glob("*.ndjson"):
        for line in file.read_text("utf-8").splitlines():
            row = json.loads(line)
            found |= {row[f"{end}_value"] for end in "ab" if row[f"{end}_type"] == "user_id"}
    return sorted(found)


def _decisions(file: Path, people: Sequence[str], count: int) -> None:
    chosen = random.Random(1)
    with file.open("w", newline="", encoding="utf-8") as stream:
        out = csv.writer(stream)
        out.writerow(["type", "value", "purpose", "state", "at", "source"])
        for number in range(count):
            at = f"2026-10-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:00Z"
            state = chosen.choice(["granted", "denied"])
            purpose = chosen.choice(PURPOSES)
            out.writerow(["user_id", chosen.choice(people), purpose, state, at, "crm"])


if __name__ == "__main__":
    main()

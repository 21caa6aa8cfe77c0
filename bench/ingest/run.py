"""Time a shard's way into Firestore's emulator, beside what firebase-admin does.

python -m bench.ingest.run [--rows 50000] [--rounds 3]   `npm ci` in bench/ingest comes first
"""

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests import emulators
from tests.runs import GRANTED

HERE = Path(__file__).parent
FIRST = "runs/bench/part-000000000000.json"
CHANGED = "runs/bench/part-000000000001.json"  # the same profiles, each with a value changed
PROJECT = "bench"
Told = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = write(Path(folder, FIRST), options.rows, seq=7)
        write(Path(folder, CHANGED), options.rows, seq=8)
        print(f"{options.rows} rows of {size / options.rows:.0f} bytes")
        rounds = [one_round(folder, options.rows, n) for n in range(options.rounds)]
    print(table(rounds))


def write(path: Path, rows: int, seq: int) -> int:
    """Write a shard as BigQuery exports it, numbers as text; return its size in bytes."""
    chance = random.Random(4)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for _ in range(rows):
            seen = f"2026-01-{chance.randint(1, 28):02} 08:00:00.000000 UTC"
            row = {
                "profile_id": f"{chance.getrandbits(80):020x}",
                "seq": str(seq),
                "hash": f"{chance.getrandbits(60):015x}{seq}",
                "set": {
                    "consent": GRANTED,
                    "identifiers": {"client_id": [f"{chance.randint(1, 10**9)}.1767225600"]},
                    "ga4": {
                        "last_seen": seen,
                        "sessions": str(chance.randint(1, 50) + seq),
                        "revenue": round(chance.random() * 100, 2),
                        "country": chance.choice(["Germany", "France"]),
                        "last_source": chance.choice(["google", "(direct)"]),
                    },
                },
            }
            file.write(json.dumps(row) + "\n")
    return path.stat().st_size


def one_round(folder: str, rows: int, number: int) -> dict[str, Told]:
    """Run every contender on an emulator of its own; return what each tells."""
    shard = str(Path(folder, FIRST))
    ours = [sys.executable, "-m", "bench.ingest.ours", folder, str(rows), PROJECT]
    contenders = {
        "loop": [["node", str(HERE / "loop.js"), shard, PROJECT]],
        "BulkWriter": [["node", str(HERE / "bulk_writer.js"), shard, PROJECT]],
        "cdp": [[*ours, FIRST, "0"], [*ours, FIRST, "1"], [*ours, CHANGED, "2"]],
    }
    told: dict[str, Told] = {}
    order = list(contenders)
    for name in order[number % 3 :] + order[: number % 3]:
        with emulators.firestore() as address:
            runs = [call(command, address) for command in contenders[name]]
            told[name] = runs[0]
            assert runs[0]["written"] == stored(address) == rows, runs
            if name == "cdp":
                told |= {"cdp, again": runs[1], "cdp, changed": runs[2]}
                assert (runs[1]["written"], runs[1]["unchanged"]) == (0, rows)
                assert runs[2]["written"] == rows
        print(number, name, *(f"{r['seconds']:.1f} s {r['mib']:.0f} MiB" for r in runs), flush=True)
    return told


def call(command: list[str], address: str) -> Told:
    env = {**os.environ, "FIRESTORE_EMULATOR_HOST": address}
    done = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE)
    told: Told = json.loads(done.stdout.splitlines()[-1])
    return told


def stored(address: str) -> int:
    """Return how many profiles the emulator holds."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import firestore

    os.environ["FIRESTORE_EMULATOR_HOST"] = address
    client = firestore.Client(PROJECT, AnonymousCredentials())
    [[count]] = client.collection("cdp_profiles").count().get()
    client.close()
    return int(count.value)


def table(rounds: list[dict[str, Told]]) -> str:
    """Return medians, and the ratios to them of each round: its least and its median."""
    lines = ["| | rows/s | MiB | of the loop | of BulkWriter |", "|---|---|---|---|---|"]
    for name in ("loop", "BulkWriter", "cdp", "cdp, again", "cdp, changed"):
        rate = [one[name].get("written") or one[name]["unchanged"] for one in rounds]
        rates = [n / one[name]["seconds"] for n, one in zip(rate, rounds, strict=True)]
        mib = statistics.median(one[name]["mib"] for one in rounds)
        ratios = []
        for other in ("loop", "BulkWriter"):
            found = [one[other]["seconds"] / one[name]["seconds"] for one in rounds]
            ratios.append(f"{statistics.median(found):.2f} (least {min(found):.2f})")
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} | {mib:.0f} | {' | '.join(ratios)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

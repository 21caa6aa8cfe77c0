"""A place to deploy from: a configuration, the tools that the scripts need, and no Google."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = (
    "basename bash cat cp cut dirname env find grep mkdir mktemp openssl paste realpath rm "
    "sed sh sleep sort tr xargs"
).split()
CONFIG = """
PROJECT=demo-project
EXPORT_DATASET=analytics_1
TIMEZONE=Europe/Berlin
CURRENCY=EUR
ALERT_EMAIL=ada@example.com
CONSOLE_MEMBERS=group:marketing@example.com,user:ada@example.com
"""
INDEXES = {
    "indexes": [
        {
            "collectionGroup": "profiles",
            "queryScope": "COLLECTION",
            "fields": [
                {"fieldPath": "sync.state", "order": "ASCENDING"},
                {"fieldPath": "ga4.last_seen", "order": "DESCENDING"},
            ],
        }
    ],
    "fieldOverrides": [{"collectionGroup": "audit", "fieldPath": "what", "indexes": []}],
}


class Desk:
    """Runs the scripts; `cloud()` puts a stand-in for gcloud and bq on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.env"
        self.config.write_text(CONFIG)
        (folder / "indexes.json").write_text(json.dumps(INDEXES))
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        # Neither packaging nor a release is what these tests are about.
        self.script(
            "python",
            'case "$*" in\n'
            '"-m cdp release") echo release/0123456789abcdef ;;\n'
            '"-m functions.package "*) mkdir -p "$3" ;;\n'
            f'*) exec {sys.executable} -I -S "$@" ;;\nesac\n',
        )

    def script(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/usr/bin/env bash\n{text}")
        file.chmod(0o755)

    def cloud(self, **told: Any) -> None:
        fake = Path(__file__).with_name("fake_cloud.py")
        for tool in ("gcloud", "bq"):
            self.script(
                tool, f'exec {sys.executable} -I -S {fake} {self.folder} {tool} "$@" <&0\n'
            )
        if told:
            self.tell(**told)

    def tell(self, **told: Any) -> None:
        """Have the stand-in answer something else."""
        file = self.folder / "state.json"
        empty = {"things": {}, "rights": {}, "indexes": [], "fields": [], "apis": []}
        state = json.loads(file.read_text()) if file.exists() else empty
        file.write_text(json.dumps({**state, "told": told}))

    def run(
        self, script: str, *words: str, env: dict[str, str] | None = None, typed: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", ROOT / "deploy" / script, "--config", self.config, *words],
            env={
                "PATH": str(self.bin),
                "HOME": str(self.folder),
                "PYTHON": str(self.bin / "python"),
                "INDEXES": str(self.folder / "indexes.json"),
                "CDP_DEPLOY_PAUSE": "0",
                "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
                **(env or {}),
            },
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def changes(self) -> list[list[str]]:
        """Return the words of every call that changed something, without flags."""
        file = self.folder / "calls"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `deploy.sh --dry-run` prints where there is no gcloud."""
    done = Desk(tmp_path_factory.mktemp("dry")).run("deploy.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    return done.stdout

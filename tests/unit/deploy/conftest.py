"""A place to deploy from: a configuration, the tools that the scripts need, and no Google."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = [
    *("basename", "bash", "cat", "cp", "cut", "dirname", "env", "find", "grep", "mkdir", "mktemp"),
    *("openssl", "paste", "realpath", "rm", "sed", "sh", "sleep", "sort", "touch", "tr", "xargs"),
]
CONFIG = """
PROJECT=demo-project
EXPORT_DATASET=analytics_1
TIMEZONE=Europe/Berlin
CURRENCY=EUR
ALERT_EMAIL=ada@example.com
CONSOLE_MEMBERS=group:marketing@example.com,user:ada@example.com
"""


class Desk:
    """Runs the scripts; `cloud()` puts a stand-in for gcloud and bq on its PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "config.env"
        self.config.write_text(CONFIG)
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
            '"-m cdp.deployments.claim") ;;\n'
            '"-m functions.package "*) mkdir -p "$3" ;;\n'
            f'*) exec {sys.executable} -I -S "$@" ;;\nesac\n',
        )

    def script(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/usr/bin/env bash\n{text}")
        file.chmod(0o755)

    def cloud(self, **told: str) -> None:
        """Put the stand-in on the PATH; it answers what it is told: account, billing, export."""
        fake = Path(__file__).with_name("fake_cloud.sh")
        for name in ("things", "rights", "told"):
            (self.folder / name).mkdir()
        for name, answer in told.items():
            (self.folder / "told" / name).write_text(answer)
        for tool in ("gcloud", "bq"):
            self.script(tool, f"FOLDER={self.folder} TOOL={tool}\nsource {fake}\n")

    def run(
        self,
        script: str,
        *words: str,
        env: dict[str, str] | None = None,
        typed: str = "",
        root: Path = ROOT,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", root / "deploy" / script, "--config", self.config, *words],
            env={
                "PATH": str(self.bin),
                "HOME": str(self.folder),
                "PYTHON": str(self.bin / "python"),
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

    def changes(self) -> list[str]:
        """Return the words of every call that changed something, without flags."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def things(self) -> set[str]:
        return {file.name for file in (self.folder / "things").iterdir()}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def dry_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `deploy.sh --dry-run` prints where there is no gcloud."""
    done = Desk(tmp_path_factory.mktemp("dry")).run("deploy.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    return done.stdout

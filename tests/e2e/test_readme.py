"""README's *Your own export*, typed into a shell line by line."""

import csv
import json
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.e2e.support import ROOT, Cdp, event
from tests.emulators import free_port
from tests.people import PASSWORD

PROMPT = "next line> "
PATIENCE = 120

CLIENT, ADA = "1.1790000000", "ada@example.com"
AT = "2026-10-01T12:00:00Z"
ROWS = {
    "crm.csv": {
        "a_type": "client_id",
        "a_value": CLIENT,
        "b_type": "email",
        "b_value": ADA,
        "at": AT,
        "source": "crm",
        "consent": "granted",
    },
    "decisions.csv": {
        "type": "email",
        "value": ADA,
        "purpose": "marketing",
        "state": "granted",
        "at": AT,
        "source": "crm",
    },
}


def section() -> str:
    return (ROOT / "README.md").read_text("utf-8").partition("## Your own export\n")[2]


def lines() -> list[str]:
    return section().partition("```sh\n")[2].partition("\n```")[0].splitlines()


def columns(file: str) -> list[str]:
    """Return the columns that README says a file has."""
    (row,) = re.findall(rf"^\| `{file}` \|(.+)\|$", section(), re.MULTILINE)
    return re.findall(r"`(\w+)`", row)


class Shell:
    """Somebody at a terminal."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._end, theirs = pty.openpty()
        command = ["bash", "--noprofile", "--norc", "-i"]
        self.process = subprocess.Popen(
            command,
            **dict.fromkeys(("stdin", "stdout", "stderr"), theirs),
            cwd=folder,
            env=env,
            start_new_session=True,
        )
        os.close(theirs)
        self.until(PROMPT)

    def type(self, text: str, until: str = PROMPT) -> str:
        """Type a line, and return what is shown until *until* appears."""
        os.write(self._end, f"{text}\n".encode())
        return self.until(until)

    def until(self, text: str) -> str:
        shown, deadline = "", time.monotonic() + PATIENCE
        while text not in shown:
            assert time.monotonic() < deadline, shown
            if select.select([self._end], [], [], 1)[0]:
                shown += os.read(self._end, 65536).decode("utf-8", "replace")
        return shown

    def interrupt(self) -> str:
        os.write(self._end, b"\x03")
        return self.until(PROMPT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._end)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which `make install` was done, with files of one's own."""
    bin = tmp_path / "checkout" / ".venv" / "bin"
    bin.mkdir(parents=True)
    (bin / "activate").write_text(f"PATH={bin}:$PATH\n")
    (bin / "cdp").write_text(f'#!/bin/sh\nexec {sys.executable} -m cdp "$@"\n')
    (bin / "cdp").chmod(0o700)
    folder = tmp_path / "checkout"
    (folder / "exports").mkdir()
    for name in ("events_20261001", "events_intraday_20261002", "events_fresh_20261003"):
        row = event(name[-8:], CLIENT, user="u1", session=int(name[-1]))
        (folder / "exports" / f"{name}.json").write_text(json.dumps(row) + "\n", "utf-8")
    for file, row in ROWS.items():
        with (folder / file).open("w", newline="") as out:
            writer = csv.writer(out)
            writer.writerows([columns(file), [row[name] for name in columns(file)]])
    return folder


@pytest.fixture
def shell(checkout: Path, tmp_path: Path) -> Iterator[Shell]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("CDP_")}
    home = {"HOME": str(tmp_path), "PS1": PROMPT, "PYTHONPATH": str(ROOT), "TERM": "dumb"}
    found = Shell(checkout, env | home)
    yield found
    found.close()


def test_every_line_of_your_own_export_works(shell: Shell, tmp_path: Path) -> None:
    install, activate, *rest, add, serve = lines()
    assert install == "make install"  # done: it would fetch everything anew
    shell.type(activate)
    for line in rest:
        shown = shell.type(line)
        assert "0" in shell.type("echo $?").splitlines(), shown
    shell.type(add, "Password: ")
    shell.type(PASSWORD, "Repeat for confirmation: ")
    assert "ada may sign in, as admin" in shell.type(PASSWORD)
    address = f"http://127.0.0.1:{free_port()}"
    shell.type(f"{serve} --port {address.rpartition(':')[2]}", f"The console is at {address}.")
    assert answers(f"{address}/_stcore/health")
    shell.interrupt()

    (document,) = Cdp(tmp_path / "cdp-data", {}).documents().values()
    assert document["identifiers"]["email"] == [ADA]
    assert document["ga4"]["sessions"] == 3


def answers(url: str) -> bool:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            with urlopen(url) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.1)
    return False


def test_no_line_needs_more_than_a_shell_takes() -> None:
    """A comment after a command is an argument to zsh, and a prompt is part of what is pasted."""
    assert [line for line in lines() if re.search(r"[#$>…]", line)] == []

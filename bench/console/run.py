"""Measure the console over a store of a million profiles, beside an empty page.

    python -m bench.console.run --home DIR [--profiles N] [--repeat N]

DIR is filled on the first call: a generated property, refreshed, and N more documents.
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from playwright.sync_api import Browser, Page, sync_playwright

from cdp.deployments.build import Platform, build
from cdp.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
AT_ROOT = {"empty page at /", "A table alone", "A chart alone", "Overview"}
SHOWN = "selector => document.querySelector(selector)?.getBoundingClientRect().height > 0"
SETTLED = "[data-test-script-state=notRunning]"


@dataclass
class Server:
    """A running server and what it wrote down."""

    url: str
    pid: int
    times: Path
    wire: "Wire"

    def runs(self) -> list[tuple[float, float]]:
        """Return wall and processor milliseconds of each run so far."""
        lines = self.times.read_text().splitlines() if self.times.exists() else []
        return [tuple(float(part) * 1000 for part in line.split()) for line in lines]

    def megabytes(self) -> float:
        """Return the server's resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


@dataclass
class Result:
    """One case: milliseconds and kilobytes, a value a repetition."""

    name: str
    script: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    kilobytes: list[float] = field(default_factory=list)
    wire: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)


@contextmanager
def served(script: Path, home: Path, times: Path) -> Iterator[Server]:
    """Serve *script* until the block ends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    times.unlink(missing_ok=True)
    environ = {**os.environ, "CDP_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(HERE / "server.py"), str(script), str(port), str(times)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environ, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wire = Wire(port)
        url = f"http://127.0.0.1:{wire.port}"
        for _ in range(200):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Server(url, process.pid, times, wire)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


class Wire:
    """What stands between browser and server, and counts what a WebSocket brings, as it is sent."""

    def __init__(self, port: int) -> None:
        self.bytes = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            browser, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # it does not listen yet
                browser.close()
                continue
            begun = threading.Event()  # the browser's first bytes tell what it is
            kind: list[bool] = []
            for source, target, down in ((browser, server, False), (server, browser, True)):
                threading.Thread(
                    target=self._pump, args=(source, target, down, begun, kind), daemon=True
                ).start()

    def _pump(
        self,
        source: socket.socket,
        target: socket.socket,
        down: bool,
        begun: threading.Event,
        kind: list[bool],
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not down and not begun.is_set():
                    kind.append(b"upgrade: websocket" in data.lower())
                    begun.set()
                if down and kind and kind[0]:
                    self.bytes += len(data)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Visitor:
    """A browser tab, with a count of what comes over its WebSocket."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.server = server
        self.page: Page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        self.bytes = 0
        self.page.on("websocket", self._listen)

    def _listen(self, socket: Any) -> None:
        socket.on("framereceived", self._count)

    def _count(self, payload: Any) -> None:
        self.bytes += len(payload if isinstance(payload, bytes) else payload.encode())

    def settle(self) -> None:
        """Wait until the script has run and nothing more arrives."""
        self.page.locator(SETTLED).first.wait_for()
        seen = -1
        while seen != self.bytes:
            seen = self.bytes
            self.page.wait_for_timeout(60)

    def sign_in(self, password: str) -> None:
        self.page.goto(self.server.url)
        self.settle()
        self.page.get_by_label("Username").fill("bench")
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("button", name="Sign out").wait_for()
        self.settle()
        self.page.wait_for_timeout(1000)  # the cookie is set by a frame of its own

    def measure(self, result: Result, act: Callable[[Page], Any], ready: str) -> None:
        """Act, wait for *ready*, and add what it took to *result*."""
        self.settle()
        before, self.bytes, self.server.wire.bytes = len(self.server.runs()), 0, 0
        started = time.perf_counter()
        act(self.page)
        if ready.startswith("text="):
            self.page.locator(ready).first.wait_for()
        else:  # looked for at every frame: a locator looks again after up to half a second
            self.page.wait_for_function(SHOWN, arg=ready, polling="raf")
        result.shown.append((time.perf_counter() - started) * 1000)
        self.settle()
        runs = self.server.runs()[before:]
        result.script.append(sum(wall for wall, _ in runs))
        result.processor.append(sum(processor for _, processor in runs))
        result.kilobytes.append(self.bytes / 1024)
        result.wire.append(self.server.wire.bytes / 1024)


def prepare(home: Path, profiles: int) -> Platform:
    """Return a deployment with a refreshed property and *profiles* more documents."""
    platform = build(Settings.load(home=home))
    if not (home / "prepared").exists():
        shutil.rmtree(home, ignore_errors=True)
        environ = {**os.environ, "CDP_HOME": str(home)}
        for command in (
            ["-m", "cdp", "demo"],
            ["-m", "bench.console.profiles", "--profiles", str(profiles)],
        ):
            subprocess.run([sys.executable, *command], cwd=ROOT, env=environ, check=True)
        (home / "prepared").touch()
    return platform


def account(platform: Platform) -> str:
    """Make the account `bench` anew and return its password."""
    from cdp.domain.access import Role
    from cdp.governance.actions import Shell

    password = secrets.token_urlsafe(12)
    shell = Shell("bench")
    if platform.accounts.get("bench"):
        platform.governance.set_password(shell, "bench", password)
    else:
        platform.governance.add_account(
            shell, "bench", name="Bench", role=Role.ADMIN, password=password
        )
    return password


def floor(
    browser: Browser, home: Path, *, name: str, script: str, ready: str, repeat: int
) -> Result:
    """Measure an app of one element."""
    result = Result(name)
    with served(HERE / script, home, home / "times-floor") as server:
        visitor = Visitor(browser, server)
        visitor.page.goto(server.url)
        visitor.page.locator(ready).first.wait_for()
        for _ in range(repeat):
            visitor.measure(result, lambda page: page.reload(), ready)
    return result


def print_table(results: list[Result], empty: Result, elsewhere: Result) -> None:
    """Print a row a case, medians, and the ratio of a reload to that of an empty page.

    Of the empty page at the same kind of address: at any but `/`, Streamlit's own script first asks
    below that address for the server, and waits before it asks at the root.
    """
    click.echo(
        f"{'':34}{'script ms':>10}{'cpu ms':>8}{'wire kB':>9}{'unpacked':>10}{'shown ms':>10}"
        f"{'ratio':>7}"
    )
    for result in [empty, elsewhere, *results]:
        like = empty if result.name in AT_ROOT else elsewhere
        base = statistics.median(like.shown)
        script, processor, wire, kilobytes, shown = (
            statistics.median(values)
            for values in (
                *(result.script, result.processor, result.wire),
                *(result.kilobytes, result.shown),
            )
        )
        click.echo(
            f"{result.name:34}{script:10.1f}{processor:8.1f}{wire:9.1f}{kilobytes:10.1f}"
            f"{shown:10.0f}{shown / base:7.2f}"
        )


@click.command()
@click.option("--home", type=click.Path(path_type=Path), required=True)
@click.option("--profiles", default=1_000_000, show_default=True)
@click.option("--repeat", default=7, show_default=True)
@click.option("--json", "as_json", type=click.Path(path_type=Path), help="Also write all values.")
def main(home: Path, profiles: int, repeat: int, as_json: Path | None) -> None:
    """Measure every case, in turns with the empty page."""
    platform = prepare(home, profiles)
    password = account(platform)
    from bench.console.cases import cases

    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with (
        served(HERE / "empty.py", home, home / "times-empty") as blank,
        served(ROOT / "Home.py", home, home / "times") as console,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        idle = Visitor(browser, blank)
        idle.page.goto(blank.url)
        idle.settle()
        visitor = Visitor(browser, console)
        visitor.sign_in(password)
        empty, elsewhere = Result("empty page at /"), Result("empty page at /page")
        results = []
        every = cases(platform, console.url)

        def measure_empty() -> None:
            for blank_page, path in ((empty, "/"), (elsewhere, "/page")):
                idle.page.goto(f"{blank.url}{path}")
                idle.measure(blank_page, lambda page: page.reload(), "h1")

        for _ in range(repeat):
            measure_empty()
        for case in every:
            result = Result(case.name)
            for _ in range(repeat + 1):
                case.before(visitor.page)
                visitor.measure(result, case.act, case.ready)
            # The first fills caches that everybody shares; it is told apart.
            click.echo(f"{case.name}: first {result.script[0]:.0f} ms of script", err=True)
            for values in vars(result).values():
                if isinstance(values, list):
                    del values[0]
            results.append(result)
            measure_empty()
        floors = [
            floor(
                browser,
                home,
                name="A table alone",
                script="empty_list.py",
                ready="canvas",
                repeat=repeat,
            ),
            floor(
                browser,
                home,
                name="A chart alone",
                script="empty_chart.py",
                ready=".js-plotly-plot",
                repeat=repeat,
            ),
        ]
        before = console.megabytes()
        more = [Visitor(browser, console) for _ in range(5)]
        for one in more:
            one.sign_in(password)
            one.page.goto(f"{console.url}/customers")
            one.settle()
        session = (console.megabytes() - before) / len(more)
        browser.close()
    print_table([*floors, *results], empty, elsewhere)
    click.echo(f"server {before:.0f} MB, {session:.1f} MB a further session")
    if as_json:
        values = {r.name: vars(r) for r in [empty, elsewhere, *results]}
        as_json.write_text(json.dumps({"cases": values, "session_mb": session}, indent=1))


if __name__ == "__main__":
    main()

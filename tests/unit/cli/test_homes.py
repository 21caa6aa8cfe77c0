"""What commands say of a home that cannot be used, and what the doctor finds in it."""

import json
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cdp.cli.main import cdp as group
from tests.e2e.support import ROOT, Cdp, event
from tests.e2e.test_refresh import decision, link

DAY = "events_20261001"
Files = dict[str, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Files to load, by kind."""
    folder = tmp_path_factory.mktemp("files")
    rows = {
        "ga4": [event("20261001", f"a.{n}", user=f"u{n}") for n in range(500)],
        "links": [link(("user_id", "u1"), ("email", "ana@example.com"))],
        "consent": [decision("user_id", "u1", "ads", "denied", "2026-10-01", "crm")],
    }
    names = {"ga4": f"{DAY}.ndjson", "links": "links.ndjson", "consent": "consent.ndjson"}
    for kind, name in names.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows[kind]))
    return {kind: folder / name for kind, name in names.items()}


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Path:
    """A home that was loaded and refreshed."""
    cdp = Cdp(tmp_path_factory.mktemp("refreshed") / "home", {})
    for kind, file in files.items():
        cdp.run("load", kind, file)
    cdp.run("refresh")
    return cdp.home


@pytest.fixture
def home(refreshed: Path, tmp_path: Path) -> Path:
    """A copy of it, to damage."""
    return Path(shutil.copytree(refreshed, tmp_path / "home"))


def run(home: Path, *args: str | Path) -> Result:
    return CliRunner().invoke(group, list(map(str, args)), env={"CDP_HOME": str(home)})


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def overwrite(file: Path) -> None:
    file.write_bytes(b"this is not what it was" * 1000)


def cut_all(home: Path, pattern: str) -> None:
    for file in home.glob(pattern):
        cut(file)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "documents.sqlite": lambda home: overwrite(home / "documents.sqlite"),
    "queue.sqlite": lambda home: overwrite(home / "queue.sqlite"),
    "executions.sqlite": lambda home: overwrite(home / "executions.sqlite"),
    "warehouse.duckdb": lambda home: overwrite(home / "warehouse.duckdb"),
    "published.duckdb": lambda home: overwrite(home / "published.duckdb"),
    f"{DAY}.parquet": lambda home: cut_all(home, "raw/events_*.parquet"),
    "raw_decision": lambda home: cut_all(home, "raw/raw_decision/*.parquet"),
    "raw_link": lambda home: cut_all(home, "raw/raw_link/*.parquet"),
    "salt": lambda home: cut(home / "salt"),
    "cookie_key": lambda home: (home / "cookie_key").write_text(""),
}
COMMANDS = (
    "stats",
    "runs",
    "profile a.1",
    "load ga4",
    "load consent",
    "refresh --full",
    "user list",
)


def in_words(told: Result) -> None:
    """Insist on an answer, or one message without a stack."""
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    assert "Traceback" not in told.output
    assert told.exit_code in {0, 1}
    if told.exit_code:
        assert len(told.output.partition("Error: ")[2].strip().splitlines()) == 1, told.output


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damaged", DAMAGES)
def test_a_damaged_file_is_told_in_words(
    home: Path, files: Files, damaged: str, command: str
) -> None:
    DAMAGES[damaged](home)
    words: list[str | Path] = list(command.split())
    if words[0] == "load":
        words.append(files[str(words[1])])
    told = run(home, *words)
    in_words(told)
    touched = {
        "documents.sqlite": command != "runs",
        "executions.sqlite": command in {"runs", "refresh --full"},
        "warehouse.duckdb": command == "refresh --full",
        "published.duckdb": command == "stats",
        "salt": command == "refresh --full",
    }
    if touched.get(damaged):
        assert told.exit_code == 1
        # A run tells without folders.
        named = damaged if words[0] == "refresh" else str(home / damaged)
        assert named in told.output


@pytest.mark.parametrize("damaged", DAMAGES)
def test_the_doctor_names_each_damaged_file_with_the_fix(home: Path, damaged: str) -> None:
    assert "all there" in run(home, "doctor").output
    DAMAGES[damaged](home)
    told = run(home, "doctor")
    assert told.exit_code == 1
    (line,) = [line for line in told.output.splitlines() if line.startswith("✗")]
    assert damaged in line
    assert "; " in line


def test_the_doctor_reads_all_that_was_published(home: Path) -> None:
    file = home / "published.duckdb"
    whole = file.read_bytes()
    blocks = range(3 * 4096, len(whole), 1 << 18)
    told = []
    for start in blocks:
        file.write_bytes(whole[:start] + bytes(1 << 18) + whole[start + (1 << 18) :])
        told.append(f"{file} cannot be read (" in run(home, "doctor").output)
    assert sum(told) > len(blocks) / 2, told  # a file has free blocks, too
    file.write_bytes(whole)
    assert "all there" in run(home, "doctor").output


HOLD = """
import sys, duckdb
db = duckdb.connect(sys.argv[1])
db.execute("create table t as select 1 as a")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_warehouse_that_is_being_written_is_no_problem(home: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(home / "warehouse.duckdb")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        found = [line for line in run(home, "doctor").output.splitlines() if "duckdb" in line]
        assert holder.stdin is not None
        holder.stdin.close()
    assert [line for line in found if "cannot be read" in line] == []


def test_the_doctor_misses_a_salt_that_was_there(home: Path) -> None:
    (home / "salt").unlink()
    told = run(home, "doctor")
    assert told.exit_code == 1
    assert f"{home / 'salt'} is missing; put a copy of it back" in told.output
    assert not (home / "salt").exists(), "looking makes none"


def test_the_doctor_tells_what_others_can_open(home: Path) -> None:
    (home / "raw").chmod(0o755)
    (home / "published.duckdb").chmod(0o644)
    told = run(home, "doctor")
    assert told.exit_code == 1
    assert f"and 1 more below it can be opened by others; run `chmod -R go= {home}`" in told.output


@pytest.fixture(params=["a file", "below a file", "below /proc"])
def no_home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A path that can be no home, for root neither."""
    file = tmp_path / "file"
    file.write_text("")
    return {
        "a file": file,
        "below a file": file / "home",
        "below /proc": Path("/proc/cdp/home"),
    }[str(request.param)]


@pytest.mark.parametrize("command", [*COMMANDS, "load links", "doctor", "serve --port 0"])
def test_a_home_that_cannot_be_made_is_told_in_words(
    no_home: Path, files: Files, command: str
) -> None:
    words: list[str | Path] = [word if word != "0" else "18731" for word in command.split()]
    if words[0] == "load":
        words.append(files[str(words[1])])
    told = run(no_home, *words)
    assert told.exit_code == 1
    if command == "doctor":
        assert f"✗ {no_home} cannot be used" in told.output
        return
    in_words(told)
    if not (command == "stats" and not no_home.exists()):  # nothing was refreshed yet, either
        assert str(no_home) in told.output
        assert "set CDP_HOME to a folder" in told.output


def limited(home: Path, most: int, *args: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command that can write no file of more than *most* bytes, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-m", "cdp", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**Cdp(home, {}).environ({})},
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


@pytest.mark.parametrize(
    "command", ["load ga4", "load links", "user list", "runs", "refresh", "doctor"]
)
def test_a_full_disk_is_told_in_words(tmp_path: Path, files: Files, command: str) -> None:
    words: list[str | Path] = list(command.split())
    if words[0] == "load":
        words.append(files[str(words[1])])
    told = limited(tmp_path / "home", 1000, *words)
    said = told.stdout + told.stderr
    assert told.returncode == 1, said
    assert "Traceback" not in said
    assert "free some space" in said
    assert str(tmp_path / "home") in said


def test_a_disk_that_fills_up_in_a_run_is_told_in_words(home: Path) -> None:
    most = (home / "executions.sqlite").stat().st_size + 500_000
    told = limited(home, most, "refresh", "--full")
    said = told.stdout + told.stderr
    assert told.returncode == 1
    assert "Traceback" not in said
    assert "free some space" in said, said


def test_everything_below_the_home_is_its_owner_s(tmp_path: Path, files: Files) -> None:
    home = tmp_path / "home"
    for kind, file in files.items():
        in_words(run(home, "load", kind, file))
    assert run(home, "demo", "--people", "30", "--days", "2").exit_code == 0
    entries = [home, *home.rglob("*")]
    modes = {str(path): stat.S_IMODE(path.stat().st_mode) for path in entries}
    wrong = {path: oct(mode) for path, mode in modes.items() if mode & 0o077}
    assert wrong == {}
    assert modes[str(home)] == modes[str(home / "demo")] == 0o700


def test_what_is_written_while_a_warehouse_is_open_is_its_owner_s(home: Path) -> None:
    warehouse = Cdp(home, {}).platform.steps._warehouse
    warehouse.run("create table t as select 1 as a", {})
    log = home / "warehouse.duckdb.wal"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    warehouse.close()


def test_a_policy_of_a_relative_path_holds_in_other_processes(
    tmp_path: Path, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "docs" / "examples" / "no-consent-mode.toml", tmp_path / "policy.toml")
    platform = Cdp(Path("home"), {"CDP_POLICY": "policy.toml"}).platform
    given = platform.settings.environment()
    assert given["CDP_POLICY"] == str(tmp_path / "policy.toml")
    assert given["CDP_HOME"] == str(tmp_path / "home")

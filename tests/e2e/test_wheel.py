"""`pip install .`: what is in the package, and that it starts without the checkout."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.emulators import absent

ROOT = Path(__file__).resolve().parents[2]
# What a checkout may hold beside its files; none of it is for others.
OWN = {
    ".env": "CDP_SALT=mine",
    ".streamlit/secrets.toml": "cookie_secret = 'mine'",
    "deploy/config.env": "PROJECT=mine",
    "pages/__pycache__/overview.cpython-311.pyc": "",
    "cdp/notes.sqlite": "",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The package, built as pip builds it, from a checkout that was used."""
    folder = tmp_path_factory.mktemp("wheel")
    left = ignore_patterns(".venv", ".git", ".build", ".cdp", ".*_cache", ".hypothesis", "shared")
    copytree(ROOT, folder / "checkout", ignore=left)
    for name, text in OWN.items():
        (folder / "checkout" / name).parent.mkdir(exist_ok=True)
        (folder / "checkout" / name).write_text(text)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", folder / "checkout", "--no-deps", "-q", "-w", folder]
    built = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False)
    if "No matching distribution found for hatchling" in built.stderr:
        absent("needs PyPI, for what builds the package")
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as found:
        yield found


def told(wheel: zipfile.ZipFile) -> Message:
    (file,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return message_from_bytes(wheel.read(file))


def test_it_holds_every_file_that_is_read(wheel: zipfile.ZipFile) -> None:
    read = [ROOT / name for name in ("Home.py", "workflow.yaml", ".streamlit/config.toml")]
    read += [*(ROOT / "pages").glob("*.py"), *(path for path in (ROOT / "static").rglob("*.*"))]
    expected = {f"cdp/files/{path.relative_to(ROOT)}" for path in read}
    kinds = ("*.py", "*.sql", "*.toml", "*.json", "*.yaml")
    expected |= {
        str(path.relative_to(ROOT))
        for top in ("cdp", "functions")
        for kind in kinds
        for path in (ROOT / top).rglob(kind)
    }
    assert {"cdp/domain/policy.toml", "cdp/files/workflow.yaml"} <= expected
    assert expected - set(wheel.namelist()) == set()


def test_it_holds_no_test_and_nothing_that_is_the_builders_own(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"cdp", "functions"}
    assert [name for name in names if name.endswith((".pyc", ".sqlite", ".env"))] == []
    assert [name for name in names if "secret" in name.lower() or "test" in name.lower()] == []


def test_it_needs_what_the_requirements_name(wheel: zipfile.ZipFile) -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    needed = [Requirement(line) for line in told(wheel).get_all("Requires-Dist") or ()]
    assert pins(needed) == pins(wanted)


def pins(found: list[Requirement]) -> set[tuple[str, str]]:
    return {(canonicalize_name(one.name), str(one.specifier)) for one in found}


def test_it_starts_without_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    (scripts,) = tmp_path.glob("*.dist-info/entry_points.txt")
    assert "cdp = cdp.cli.main:cdp" in scripts.read_text()
    program = (
        "from cdp.cli.main import cdp\n"
        "from cdp.deployments.build import HOME_PAGE\n"
        "print(HOME_PAGE, HOME_PAGE.is_file())\n"
        "cdp(['policy'])"
    )
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program],
        env={"PYTHONPATH": str(tmp_path), "CDP_HOME": str(tmp_path / "home"), "PATH": ""},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"{tmp_path / 'cdp' / 'files' / 'Home.py'} True\n")
    assert "the policy that ships" in ran.stdout

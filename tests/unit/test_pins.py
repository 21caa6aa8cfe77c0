"""What is installed is pinned, once, whichever file names it."""

import re
import tomllib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
FILES = ("requirements.txt", "requirements-dev.txt", "functions/requirements.txt")


def pins(file: str) -> Mapping[str, str]:
    """Return the versions that a file pins, by name; every line of it pins one."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    found = {}
    for line in filter(None, lines):
        if line != "-r requirements.txt":
            assert re.fullmatch(r"[\w.-]+==[\w.]+", line), f"{file}: {line!r} pins nothing"
            name, _, version = line.partition("==")
            found[canonicalize_name(name)] = version
    return found


def test_every_file_names_the_version_of_the_constraints() -> None:
    constraints = pins("constraints.txt")
    for file in FILES:
        assert pins(file).items() <= constraints.items(), file


def test_no_package_is_named_twice_by_what_tests_need() -> None:
    assert pins("requirements.txt").keys() & pins("requirements-dev.txt").keys() == set()


def brought_along(wanted: list[Requirement]) -> set[str]:
    """Return the names of these and of all that installing them installs here."""
    found: set[str] = set()
    seen: set[str] = set()
    while wanted:
        one = wanted.pop()
        if str(one) not in seen and _applies(one, {""}):
            seen.add(str(one))
            found.add(canonicalize_name(one.name))
            below = map(Requirement, metadata.requires(one.name) or ())
            wanted += [_bare(more) for more in below if _applies(more, one.extras | {""})]
    return found


def _applies(one: Requirement, extras: set[str]) -> bool:
    return one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)


def _bare(one: Requirement) -> Requirement:
    one.marker = None
    return one


def test_the_constraints_hold_all_that_is_brought_along() -> None:
    named = [Requirement(name) for file in FILES for name in pins(file)]
    found = brought_along(named)
    assert found - pins("constraints.txt").keys() == set()
    assert len(found) > len(named)


def test_what_tests_run_on_is_what_is_pinned() -> None:
    named = {name for file in FILES for name in pins(file)}
    constraints = pins("constraints.txt")
    assert {name: metadata.version(name) for name in named} == {
        name: constraints[name] for name in named
    }, "run make, which installs what is pinned"


def test_what_builds_the_package_is_pinned() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert [one for one in built if "==" not in one] == []

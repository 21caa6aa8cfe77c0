"""The folder that the functions are built from, and what they need to start."""

import ast
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from functions.package import LEFT_OUT, ROOT, package

# Slow to start, or not installed there; what Flask brings along, such as click, does not count.
NEVER = {"streamlit", "duckdb", "polars", "sqlglot", "rich", "pandas", "pyarrow", "networkx"}
PINNED = re.compile(r"^([A-Za-z0-9_-]+)==(\S+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("package") / "source"
    package(found)
    return found


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def imported(folder, program):
    """Return the packages that *program* imports, with only *folder* beside what is installed."""
    command = f"{program}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-P", "-c", command],
        env={"PYTHONPATH": str(folder), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.split())


def test_the_same_files_make_the_same_folder(folder, tmp_path):
    package(tmp_path / "again")
    (tmp_path / "again" / "cdp" / "old.py").touch()
    assert package(tmp_path / "again") == sorted(contents(folder))
    assert contents(tmp_path / "again") == contents(folder)


def test_it_holds_the_statements_and_the_policy_and_not_the_console(folder):
    found = contents(folder)
    assert {"main.py", "functions/main.py", "requirements.txt", "cdp/domain/policy.toml"} <= set(
        found
    )
    assert [name for name in found if name.startswith("cdp/warehouse/sql/")]
    assert [name for name in found if name.startswith(("cdp/ui", "cdp/demo", "tests"))] == []
    assert [name for name in LEFT_OUT if not (ROOT / "cdp" / name).exists()] == []
    assert [name for name in found if name.endswith(".pyc")] == []


def test_nothing_that_it_holds_begins_by_importing_what_it_left_out(folder):
    out = tuple(f"cdp.{name.removesuffix('.py').replace('/', '.')}" for name in LEFT_OUT)
    found = [
        (path.relative_to(folder).as_posix(), node.module)
        for path in folder.rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ImportFrom)
        and f"{node.module}.".startswith(tuple(f"{name}." for name in out))
    ]
    assert found == []


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="something else"):
        package(tmp_path)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_ingest_starts_without_what_it_does_not_need(folder):
    program = (
        "import main, cdp.deployments.cloud, cdp.profiles.firestore, cdp.objects.cloud_storage"
    )
    assert imported(folder, program) & NEVER == set()


def brought_along(distributions):
    """Return these and all that installing them installs."""
    found, left = set(), [canonicalize_name(name) for name in distributions]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            wanted = [Requirement(text) for text in metadata.requires(name) or ()]
            left += [
                canonicalize_name(one.name)
                for one in wanted
                if one.marker is None or one.marker.evaluate({"extra": ""})
            ]
    return found


def distributions_of(module):
    """Return where a module may come from; what Google's packages share by its own name."""
    if cloud := re.match(r"google\.cloud\.([a-z]+)", module):
        return {f"google-cloud-{cloud[1]}"}
    if module.startswith("google."):
        return {{"google.protobuf": "protobuf"}.get(module[:15], "google-auth")}
    providing = metadata.packages_distributions()[module.partition(".")[0]]
    return {canonicalize_name(name) for name in providing}


def test_all_that_the_functions_import_is_installed_by_their_requirements(folder):
    """Also what is imported late: no start would miss it."""
    nodes = [
        node
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    names = {
        f"{n.module}.{a.name}" for n in nodes if isinstance(n, ast.ImportFrom) for a in n.names
    }
    names |= {a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
    ours = {*sys.stdlib_module_names, "cdp", "functions", "__future__"}
    foreign = {name for name in names if name.partition(".")[0] not in ours}
    installed = brought_along(dict(PINNED.findall((folder / "requirements.txt").read_text())))
    assert {name for name in foreign if not distributions_of(name) & installed} == set()
    assert len(foreign) > 20
    assert "streamlit" not in installed


def test_steps_start_without_an_engine_or_a_console(folder):
    program = (
        "import main, cdp.deployments.cloud, cdp.refresh.steps, cdp.warehouse.bigquery, "
        "cdp.executions.cloud"
    )
    found = imported(folder, program)
    assert found & {"streamlit", "duckdb", "sqlglot", "rich", "networkx", "plotly"} == set()


def test_the_versions_are_those_of_the_whole_project():
    ours = dict(PINNED.findall((ROOT / "functions" / "requirements.txt").read_text()))
    all_of_them = dict(PINNED.findall((ROOT / "requirements.txt").read_text()))
    assert ours.items() <= all_of_them.items()
    assert {name.lower() for name in ours} & {"streamlit", "duckdb", "sqlglot"} == set()


def test_the_entry_points_are_in_main(folder):
    tree = ast.parse((Path(folder) / "main.py").read_text())
    names = [a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names]
    assert names == ["bury", "ingest", "steps"]

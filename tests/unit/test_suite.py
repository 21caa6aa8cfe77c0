"""No test depends on how fast a machine is, on chance, or on what else runs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(ROOT.rglob("*.py"))

# What sleeps for the sake of the thing that is tested, and for no condition.
SLEEPERS = {
    "contract/targets.py act",  # a function that hangs, or takes its time
    "unit/warehouse/test_ga4_files.py "
    "test_a_load_that_is_killed_leaves_the_old_table_or_the_new_one_whole",  # any moment is right
    "unit/workflow_engine/test_parallel.py work",  # so that those who may not come in would
    "unit/workflow_engine/test_parallel.py seen",  # likewise
}
CLOCKS = re.compile(r"\b(time\.(time|monotonic|perf_counter|process_time)|datetime\.now)\(")
CHANCE = re.compile(r"random\.(?!Random$)\w+|(random\.)?Random\(\)")


def found(tree: ast.AST, where: str = "", looping: bool = False) -> Iterator[tuple[str, str]]:
    """Yield what is not allowed, and the function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        name, loop = where, looping
        if isinstance(node, ast.FunctionDef):
            name, loop = node.name, False
        elif isinstance(node, ast.While):
            loop = True
        elif isinstance(node, ast.Assert) and not loop and _measures(node.test):
            yield name, "asserts how long something takes: count what it does, or hand it a clock"
        elif isinstance(node, ast.Attribute) and node.attr == "xdist_group":
            yield name, "groups by a mark, which pytest heeds no more: files stay together"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called.rpartition(".")[2] == "sleep" and called.startswith("time") and not loop:
                yield name, "sleeps: wait in a loop for what has to happen"
            if called.endswith(".endswith") and ast.unparse(node.args[0]) in {"' s'", "' ms'"}:
                yield name, "wants seconds: another machine takes milliseconds"
            if CHANCE.fullmatch(called if node.args else f"{called}()") or CHANCE.fullmatch(called):
                yield name, "throws dice: make a random.Random of a seed"
        yield from found(node, name, loop)


def _measures(test: ast.expr) -> bool:
    smaller = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    compared = isinstance(test, ast.Compare) and any(isinstance(op, smaller) for op in test.ops)
    return compared and CLOCKS.search(ast.unparse(test)) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_depends_on_time_or_chance(path: Path) -> None:
    place = path.relative_to(ROOT)
    seen = {(f"{place} {name}", why) for name, why in found(ast.parse(path.read_text("utf-8")))}
    assert {(name, why) for name, why in seen if name not in SLEEPERS} == set()


def test_who_may_sleep_does() -> None:
    sleeping = {
        f"{path.relative_to(ROOT)} {name}"
        for path in FILES
        for name, why in found(ast.parse(path.read_text("utf-8")))
        if why.startswith("sleeps")
    }
    assert SLEEPERS - sleeping == set()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("time.sleep(1)", "sleeps"),
        ("while True:\n    def f():\n        time.sleep(1)", "sleeps"),
        ("assert time.monotonic() - began < 5", "asserts how long"),
        ("assert datetime.now(UTC) - began < timedelta(5)", "asserts how long"),
        ("assert row['Duration'].endswith(' s')", "wants seconds"),
        ("random.shuffle(rows)", "throws dice"),
        ("pytestmark = pytest.mark.xdist_group('google')", "groups by a mark"),
        ("random.Random().shuffle(rows)", "throws dice"),
    ],
)
def test_what_depends_on_them_is_found(code: str, why: str) -> None:
    assert [told.startswith(why) for _, told in found(ast.parse(code))].count(True) >= 1


@pytest.mark.parametrize(
    "code",
    [
        "while not done():\n    assert time.monotonic() < end\n    time.sleep(1)",
        "random.Random(3).shuffle(rows)",
        "clock.sleep(3)",
    ],
)
def test_what_waits_for_a_condition_or_has_a_seed_is_let_be(code: str) -> None:
    assert list(found(ast.parse(code))) == []

"""What pages may hold, whom they let in, and what every widget needs."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = [ROOT / "Home.py", *sorted((ROOT / "pages").glob("*.py"))]
PAGES = SCRIPTS[1:]
DRAWING = [*SCRIPTS, *sorted((ROOT / "cdp" / "ui").rglob("*.py"))]

ENGINES = {"duckdb", "sqlite3", "google", "polars", "pyarrow", "pandas", "sqlglot", "requests"}
ADAPTERS = {
    f"cdp.{name}"
    for name in (
        "warehouse.duckdb",
        "warehouse.bigquery",
        "profiles.sqlite",
        "profiles.firestore",
        "objects.folder",
        "objects.cloud_storage",
        "queue.local",
        "queue.pubsub",
        "executions.local",
    )
}
SQL = re.compile(
    r"\bselect\b.+\bfrom\b|\binsert\s+into\b|\bdelete\s+from\b", re.IGNORECASE | re.DOTALL
)
# Those that keep a value or send something, and take a key.
WIDGETS = {
    "button", "checkbox", "color_picker", "data_editor", "date_input", "download_button",
    "feedback", "file_uploader", "form_submit_button", "menu_button", "multiselect",
    "number_input", "pagination", "pills", "plotly_chart", "radio", "segmented_control",
    "select_slider", "selectbox", "slider", "text_area", "text_input", "time_input", "toggle",
}  # fmt: skip


def named(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def dotted(node: ast.AST) -> str:
    """Return a name with its dots, of a call its function's."""
    if isinstance(node, ast.Call):
        return dotted(node.func)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def statements(body: list[ast.stmt]) -> list[ast.stmt]:
    """Return what does something: neither imports nor a docstring."""
    told = (ast.Import, ast.ImportFrom)
    return [
        node
        for node in body
        if not isinstance(node, told)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]


def called(statement: ast.stmt) -> str:
    value = getattr(statement, "value", None)
    return dotted(value) if isinstance(value, ast.Call) else ""


@pytest.mark.parametrize("path", named(SCRIPTS))
def test_a_page_is_short_and_knows_no_engine_and_no_sql(path: Path) -> None:
    tree = parsed(path)
    assert len(path.read_text("utf-8").splitlines()) <= 80
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [f"{node.module}.{alias.name}" for alias in node.names] + [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {name for name in imported if name.partition(".")[0] in ENGINES} == set()
    assert imported & ADAPTERS == set()
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
    assert [text for text in texts if isinstance(text, str) and SQL.search(text)] == []


@pytest.mark.parametrize("path", named(PAGES))
def test_a_page_begins_by_asking_who_is_there(path: Path) -> None:
    assert called(statements(parsed(path).body)[0]) == "auth.require"


def test_links_lead_to_pages_that_there_are() -> None:
    named = {
        constant.value
        for path in DRAWING
        for constant in ast.walk(parsed(path))
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        if re.fullmatch(r"[a-z]+/\w+\.py", constant.value)
    }
    assert named == {str(page.relative_to(ROOT)) for page in PAGES}


def test_a_page_bears_the_name_of_its_file_in_the_address() -> None:
    """Streamlit looks for files, past Home.py, until that has run once in a process."""
    home = next(call for call in calls(parsed(SCRIPTS[0])) if dotted(call) == "app.own_pages")
    named = {
        ast.literal_eval(call.args[0]): [
            ast.literal_eval(k.value) for k in call.keywords if k.arg == "url_path"
        ]
        for call in calls(parsed(SCRIPTS[0]))
        if dotted(call) == "st.Page"
    }
    assert named.keys() == {f"pages/{page.name}" for page in PAGES}
    for path, addresses in named.items():
        assert addresses in ([], [Path(path).stem])
    assert home.lineno < min(
        call.lineno for call in calls(parsed(SCRIPTS[0])) if dotted(call).startswith("auth.")
    )


def test_only_admins_read_the_audit_log() -> None:
    first = statements(parsed(ROOT / "pages" / "audit.py").body)[0]
    assert isinstance(first, ast.Expr)
    assert isinstance(first.value, ast.Call)
    assert [dotted(argument) for argument in first.value.args] == ["Role.ADMIN"]


def test_dialogs_and_fragments_begin_by_asking_who_is_there() -> None:
    """They run without their page."""
    found = {
        f"{path.name}:{node.name}": called(statements(node.body)[0])
        for path in DRAWING
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
        if {dotted(of) for of in node.decorator_list} & {"st.dialog", "st.fragment"}
    }
    assert len(found) >= 4
    asked = {"auth.require", "frame.still_signed_in", "still_signed_in"}
    assert {name: first for name, first in found.items() if first not in asked} == {}


@pytest.mark.parametrize("path", named(DRAWING))
def test_every_widget_has_a_key(path: Path) -> None:
    """Without one, a widget whose words change is another widget, and forgets its value."""
    without = [
        f"{path.name}:{call.lineno} {call.func.attr}"
        for call in calls(parsed(path))
        if isinstance(call.func, ast.Attribute) and call.func.attr in WIDGETS
        if not {"key"} <= {keyword.arg for keyword in call.keywords}
    ]
    assert without == []


@pytest.mark.parametrize("path", named(sorted((ROOT / "cdp").rglob("*.py")) + SCRIPTS))
def test_nothing_but_the_cookie_is_a_script(path: Path) -> None:
    given = {keyword.arg for call in calls(parsed(path)) for keyword in call.keywords}
    assert "unsafe_allow_html" not in given
    assert "unsafe_allow_javascript" not in given or path == ROOT / "cdp" / "ui" / "auth.py"


@pytest.mark.parametrize("path", named(DRAWING))
def test_what_asks_for_a_role_or_an_action_does_so_of_the_store(path: Path) -> None:
    """Roles are not kept by pages: nothing writes them into the session."""
    kept = [
        ast.unparse(node)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript) and dotted(target.value) == "st.session_state"
        if re.search(r"\brole\b|is_admin", ast.unparse(node))
    ]
    assert kept == []


# Figures that have a name and stand on several pages: each is counted once, in `cdp.insight`.
FORMATS = [ROOT / "cdp" / "ui" / f"{name}.py" for name in ("overview", "stitching", "consent")]


@pytest.mark.parametrize("path", named([*PAGES, *FORMATS]))
def test_what_draws_figures_counts_none_itself(path: Path) -> None:
    counting = {"sum", "fsum", "accumulate", "mean", "Counter", "share"}
    called = {dotted(call).rpartition(".")[2] for call in calls(parsed(path))}
    assert not called & counting

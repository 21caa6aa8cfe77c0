"""The SQL: one file a statement, or a transaction of several; BigQuery's dialect.

`sql/` holds the refresh's statements, `sql/migrations/` what makes and changes the tables that
outlive a run, `sql/console/` the questions that the console asks of what a refresh has published.
"""

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

from cdp.warehouse.port import Shape


@cache
def statements() -> dict[str, str]:
    """Return every statement's text by its file's name without `.sql`, such as `10_events`."""
    return _texts(resources.files("cdp.warehouse").joinpath("sql"))


@cache
def migrations() -> dict[str, str]:
    """Return every migration's text by its file's name without `.sql`, such as `0001_begin`.

    In order; never change one that was released. Each writes its own name into `migration`, in the
    same transaction as its changes, or after statements that do nothing when they run again.
    """
    return _texts(resources.files("cdp.warehouse").joinpath("sql", "migrations"))


@cache
def cleaned() -> dict[str, Shape]:
    """Return how the tables that cleaning fills are declared, by name."""
    return shapes(statements()["00_tables"])


@cache
def made() -> dict[str, Shape]:
    """Return how the tables that each run makes anew are declared, by name; of columns, nothing."""
    texts = [text for name, text in statements().items() if name != "00_tables"]
    return {name: shape for text in texts for name, shape in shapes(text).items()}


# Not a parser: the functions have none. The tests compare it with one, statement by statement.
_COMMENT: Final = re.compile(r"--.*")
_CREATE: Final = re.compile(
    r"\bcreate (?:or replace table|table if not exists) (\w+)\s*"
    r"(?:\(([^()]*)\)\s*)?"
    r"((?:partition by .+?)?(?:\s*cluster by .+?)?)\s*(?:;|\bas\b|\Z)",
    re.DOTALL,
)


def shapes(text: str) -> dict[str, Shape]:
    """Return how the tables that a statement creates are declared, by name."""
    found = {}
    for name, columns, storage in _CREATE.findall(_COMMENT.sub("", text)):
        listed = tuple(" ".join(column.split()) for column in columns.split(",") if column.strip())
        found[name] = Shape(listed, " ".join(storage.split()))
    return found


@cache
def erasing() -> tuple[tuple[str, frozenset[str]], ...]:
    """Return the scripts that delete somebody's rows, each with the tables that it is about."""
    texts = (statements()["88_erase"], statements()["88_erase_run"])
    return tuple((text, frozenset(_DELETED.findall(_COMMENT.sub("", text)))) for text in texts)


_DELETED: Final = re.compile(r"\b(?:delete from|update) (\w+)")


@cache
def questions() -> dict[str, str]:
    """Return every question's text by its file's name without `.sql`, such as `cluster`."""
    return _texts(resources.files("cdp.warehouse").joinpath("sql", "console"))


def _texts(folder: Traversable) -> dict[str, str]:
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".sql")
    }

"""The SQL: one file a statement, or a transaction of several; BigQuery's dialect.

`sql/` holds the refresh's statements, `sql/console/` the questions that the console asks of what a
refresh has published.
"""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable


@cache
def statements() -> dict[str, str]:
    """Return every statement's text by its file's name without `.sql`, such as `10_events`."""
    return _texts(resources.files("cdp.warehouse").joinpath("sql"))


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

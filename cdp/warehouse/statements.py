"""The refresh's SQL: one file a statement, or a transaction of several; BigQuery's dialect."""

from functools import cache
from importlib import resources


@cache
def statements() -> dict[str, str]:
    """Return every statement's text by its file's name without `.sql`, such as `10_events`."""
    folder = resources.files("cdp.warehouse").joinpath("sql")
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8")
        for file in files
        if file.name.endswith(".sql")
    }

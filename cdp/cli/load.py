"""`cdp load`: files in."""

from collections.abc import Sequence
from contextlib import closing, nullcontext
from datetime import datetime
from pathlib import Path

import click

from cdp.cli.common import DAY, PATHS, listed, out, shell, with_platform
from cdp.deployments.build import Platform
from cdp.domain.days import Kind
from cdp.domain.errors import CdpError


@click.group()
def load() -> None:
    """Load files; they are all checked before any is kept."""


@load.command("ga4")
@PATHS
@click.option("--day", type=DAY, help="Day of files whose names do not tell.")
@click.option(
    "--kind",
    type=click.Choice([kind.value for kind in Kind]),
    help="Table of files whose names do not tell; without --day, each row's own date decides.",
)
@click.option(
    "--replace", is_flag=True, help="Also where a day then has fewer rows than it had before."
)
@with_platform
def load_ga4(
    platform: Platform,
    paths: tuple[Path, ...],
    day: datetime | None,
    kind: str | None,
    *,
    replace: bool,
) -> None:
    """Load GA4 export files: Parquet, NDJSON (plain or .gz), or the console's JSON.

    Day and table come from names such as events_20210129.parquet or
    events_intraday_20210131-000000000000.json.gz. A day that is loaded again is replaced.
    """
    skipped: list[Path] = []
    with out.status("Reading") if out.is_terminal else nullcontext() as status:

        def show(name: str) -> None:
            if status is not None:
                status.update(f"Loading {name}")

        loaded = platform.load_ga4(
            paths,
            day=day.date() if day else None,
            kind=Kind(kind) if kind else None,
            replace=replace,
            progress=show,
            skipped=skipped.append,
        )
    platform.governance.loaded(shell(), "ga4", {table.name: table.rows for table in loaded})
    for table in loaded:
        same = ", as before" if table.unchanged else ""
        out.print(f"{table.name}  {table.rows:>10,} rows{same}")
        _tell_erased(table.erased)
        if table.unknown:
            out.print(
                f"  left out, for they are not in the export's schema: {listed(table.unknown)}"
            )
    _tell_skipped(skipped)


@load.command("links")
@PATHS
@with_platform
def load_links(platform: Platform, paths: tuple[Path, ...]) -> None:
    """Load first-party links: a_type, a_value, b_type, b_value, at, source, consent.

    NDJSON or CSV. Types are user_id, email, phone and client_id; consent (granted, denied, unknown)
    is the consent to link the two, and may be left out.
    """
    load_files(platform, "raw_link", paths)
    _tell_unmatched(platform)


@load.command("consent")
@PATHS
@with_platform
def load_consent(platform: Platform, paths: tuple[Path, ...]) -> None:
    """Load consent decisions: type, value, purpose, state (granted, denied), at, source.

    NDJSON or CSV. The policy says which sources stand above all signals.
    """
    load_files(platform, "raw_decision", paths)
    _tell_unmatched(platform)


def load_files(platform: Platform, table: str, paths: tuple[Path, ...]) -> None:
    skipped: list[Path] = []
    loaded = platform.load_rows(table, paths, by=f"shell:{shell().name}", skipped=skipped.append)
    kind = {"raw_link": "links", "raw_decision": "consent"}[table]
    platform.governance.loaded(shell(), kind, {file.path.name: file.rows for file in loaded})
    for file in loaded:
        same = ", as before" if file.unchanged else ""
        out.print(f"{file.path}  {file.rows:>10,} rows{same}")
        _tell_erased(file.erased)
    _tell_skipped(skipped)


def _tell_erased(rows: int) -> None:
    if rows:
        out.print(f"  {rows:,} rows of people who were erased were left out")


def _tell_skipped(files: Sequence[Path]) -> None:
    for file in files:
        out.print(f"{file}  skipped, for its name is of no format that is loaded")


def _tell_unmatched(platform: Platform) -> None:
    """Say how many of all loaded decisions and links match nobody."""
    from cdp.insight.unmatched import told, unmatched  # noqa: PLC0415

    try:
        if platform.published_version() is None:
            out.print("Whom they match is known after the first `cdp refresh`.")
            return
        with closing(platform.published()) as warehouse:
            sentences = told(unmatched(warehouse, platform.policy))
    except CdpError as error:  # what was loaded stays loaded
        sentences = [f"Whom they match cannot be told: {error}"]
    for sentence in sentences:
        out.print(sentence)

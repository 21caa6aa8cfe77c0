"""`cdp demo`, `generate` and `score`: a property with the truth beside it."""

import secrets
import sys
import time
from contextlib import closing, nullcontext
from datetime import date, datetime
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from cdp.cli.common import DAY, JSON, embedded, out, print_json, shell, with_platform
from cdp.cli.load import load_files
from cdp.cli.look import profile_table
from cdp.cli.refresh import run_refresh
from cdp.deployments.build import Platform
from cdp.domain.access import Role


@click.command("generate")
@click.option("--people", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--days", default=14, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0))
@click.option("--until", type=DAY, help="Last day; 2026-10-31 if not given.")
@click.argument("target", type=click.Path(path_type=Path), metavar="OUT")
def generate_demo(people: int, days: int, seed: int, until: datetime | None, target: Path) -> None:
    """Write a GA4-shaped property to the folder OUT, with links, decisions and the truth."""
    _generate(target, people, days, seed, until.date() if until else None)


def _generate(target: Path, people: int, days: int, seed: int, until: date | None = None) -> None:
    from cdp.demo.generate import UNTIL, generate  # noqa: PLC0415

    started = time.monotonic()
    with out.status("Generating") if out.is_terminal else nullcontext() as status:

        def show(done: int, of: int) -> None:
            if status is not None:
                status.update(f"Generating day {done} of {of}")

        made = generate(
            target, people=people, days=days, seed=seed, until=until or UNTIL, progress=show
        )
    seconds = time.monotonic() - started
    out.print(
        f"{target}: {made.people:,} people on {made.devices:,} devices, {made.events:,} events, "
        f"{made.links:,} links, {made.decisions:,} decisions in {seconds:.1f} s"
    )


@click.command("score")
@click.argument("truth", type=click.Path(path_type=Path, exists=True, file_okay=False))
@JSON
@with_platform
def score_truth(platform: Platform, truth: Path, as_json: bool) -> None:
    """Compare the stitching with the truth that `generate` wrote to the folder TRUTH."""
    _score(platform, truth, as_json=as_json)


def _score(platform: Platform, truth: Path, *, as_json: bool) -> None:
    from cdp.demo.refused import refused  # noqa: PLC0415
    from cdp.demo.score import score  # noqa: PLC0415
    from cdp.warehouse.statements import statements  # noqa: PLC0415

    with closing(platform.published()) as warehouse:
        stitched = warehouse.query(statements()["93_identifier_profile"], {})
    found = score(truth, stitched)
    checked = refused(truth, platform.documents, platform.policy)
    row = {
        "precision": round(found.precision, 6),
        "recall": round(found.recall, 6),
        "joined_pairs": found.joined_pairs,
        "wrong_pairs": found.wrong_pairs,
        "joinable_pairs": found.joinable_pairs,
        "found_pairs": found.found_pairs,
        "delivered": checked.delivered,
        "refused": checked.refused,
    }
    if as_json:
        print_json(row)
        return
    out.print(
        f"precision {found.precision:.4f}: {found.wrong_pairs:,} of {found.joined_pairs:,} joined "
        f"pairs are not one person's\nrecall    {found.recall:.4f}: {found.found_pairs:,} of "
        f"{found.joinable_pairs:,} pairs that consented evidence can join were joined\n"
        f"consent   {checked.refused:,} of {checked.delivered:,} addresses and numbers in "
        "documents were refused by their own newest decision"
    )


@click.command()
@click.option("--people", default=20_000, show_default=True, type=click.IntRange(1))
@click.option("--days", default=14, show_default=True, type=click.IntRange(1))
@with_platform
def demo(platform: Platform, people: int, days: int) -> None:
    """Generate a demo property, refresh, and show what came out; the data is kept."""
    from cdp.profiles.port import PROFILES, Where  # noqa: PLC0415

    embedded(platform)
    folder = platform.settings.home / "demo"
    if not (folder / "loaded").exists():
        if folder.exists():  # cut short before: it holds nothing but what is generated again
            import shutil  # noqa: PLC0415

            shutil.rmtree(folder)
        _generate(folder, people, days, seed=1)
        with out.status("Loading") if out.is_terminal else nullcontext():
            platform.load_ga4([folder / "ga4"])
        load_files(platform, "raw_link", (folder / "links",))
        load_files(platform, "raw_decision", (folder / "consent",))
        (folder / "loaded").touch()
    out.print()
    code = run_refresh(platform)
    if code:
        sys.exit(code)
    out.print()
    _score(platform, folder, as_json=False)
    richest = platform.documents.page(
        PROFILES,
        where=[Where("sync.state", "==", "live")],
        order_by="ga4.revenue",
        descending=True,
        limit=1,
    )
    for document in richest.documents:
        out.print("\nThe profile with the highest revenue:")
        out.print(
            profile_table(
                {"profile_id": document.id, **document.body}, platform.policy.identifiers.priority
            )
        )
    _first_accounts(platform)
    out.print(
        "\nNext: cdp serve · stats · runs · policy · doctor · profile IDENTIFIER; "
        "load your own export with `cdp load ga4 PATH...`"
    )


def _first_accounts(platform: Platform) -> None:
    """Make an admin and a marketer where nobody can sign in yet; print their passwords once."""
    if platform.accounts.exist():
        return
    made = {role: secrets.token_urlsafe(12) for role in (Role.ADMIN, Role.MARKETER)}
    file = platform.settings.home / "first-passwords.txt"
    file.touch(mode=0o600)
    file.chmod(0o600)
    file.write_text("".join(f"{role.value} {word}\n" for role, word in made.items()), "ascii")
    for role, word in made.items():
        platform.governance.add_account(
            shell(), role.value, name=role.value.capitalize(), role=role, password=word
        )
    out.print("\nSign in to the console with")
    table = Table.grid(padding=(0, 3))
    for role, word in made.items():
        table.add_row("", role.value, Text(word, style="bold"))
    out.print(table)
    out.print(
        f"They are shown this once and kept in {file}; delete it when you have noted them.\n"
        "`cdp user passwd NAME` changes them."
    )

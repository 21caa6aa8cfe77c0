"""`cdp decide` and `cdp consent`: what people tell the desk, and all that was ever said."""

from contextlib import closing, nullcontext

import click
from rich.table import Table
from rich.text import Text

from cdp.cli.common import JSON, out, print_json, shell, with_platform
from cdp.deployments.build import Platform
from cdp.domain.access import permits, shown, sight
from cdp.domain.errors import CdpError
from cdp.domain.payload import IDENTIFIER_TYPES
from cdp.governance.audit import redacted
from cdp.governance.desk import CHANNELS, STATES
from cdp.insight.requests import Entry, ledger


@click.command()
@click.argument("identifier")
@click.option(
    "--type",
    "type_",
    type=click.Choice(IDENTIFIER_TYPES),
    help="What the identifier is, where its look does not tell.",
)
@click.option("--purpose", required=True, help="What it is about; `cdp policy` names them.")
@click.option("--state", type=click.Choice(STATES), required=True)
@click.option("--channel", type=click.Choice(CHANNELS), required=True, help="How it was told.")
@click.option("--reason", required=True, help="Why; the audit log keeps it.")
@click.option("--notice", help="The version of the notice that the person saw.")
@with_platform
def decide(
    platform: Platform,
    identifier: str,
    *,
    type_: str | None,
    purpose: str,
    state: str,
    channel: str,
    reason: str,
    notice: str | None,
) -> None:
    """Write down what a person decided; a denial acts on the stored profile at once.

    What has an @ is an e-mail address, what begins with + a phone number; else --type says.
    """
    told = platform.governance.decide(
        shell(),
        type_ or _looks_like(identifier),
        identifier,
        purpose,
        state,
        channel=channel,
        reason=reason,
        notice=notice,
    )
    out.print(str(told))


def _looks_like(identifier: str) -> str:
    """Return the type of what nobody takes for another: digits alone may be a user id."""
    if "@" in identifier:
        return "email"
    if identifier.strip().startswith("+"):
        return "phone"
    raise CdpError("the identifier may be a user id, a client id or a phone number; say --type")


@click.command()
@click.argument("identifier")
@JSON
@with_platform
def consent(platform: Platform, identifier: str, as_json: bool) -> None:
    """Show all that was ever said for an identifier, and for the person whose it is.

    The ledger is asked, so it is found also where no document holds the person. What consent
    withholds reads •••.
    """
    published = platform.published_version() is not None
    with closing(platform.published()) if published else nullcontext() as warehouse:
        found = ledger(warehouse, platform.documents, platform.policy, identifier)
    rows = [_told(platform, one) for one in found]
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print("Nothing was ever said for this identifier.")
        return
    table = Table(box=None, header_style="dim")
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row.values()))
    out.print(table)


def _told(platform: Platform, one: Entry) -> dict[str, str | bool | None]:
    seen = sight(permitted=permits(platform.policy, one.type, one.ground), masked=False)
    return {
        "at": one.at.isoformat(),
        "purpose": one.purpose,
        "state": one.state,
        "source": one.source,
        "explicit": one.explicit,
        "type": one.type,
        "identifier": shown(one.type, one.value, seen),
        "asked": one.asked,
        "weighed": one.weighed,
        "profile_id": one.profile_id,
        "evidence": redacted(one.evidence),
        "told_by": one.told_by,
        "notice": one.notice,
    }


def _text(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value or ""

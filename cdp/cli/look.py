"""Commands that only read: `stats`, `profile`, `doctor`, `policy`."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from cdp.cli.common import JSON, listed, out, print_json, with_platform
from cdp.deployments.build import Platform, missing
from cdp.domain.errors import CdpError
from cdp.domain.policy import Policy
from cdp.refresh.follow import why_no_profiles
from cdp.settings import Settings


@click.command()
@JSON
@with_platform
def stats(platform: Platform, as_json: bool) -> None:
    """Show totals: days, events, sessions, identifiers, profiles, documents."""
    from cdp.insight.unmatched import told, unmatched  # noqa: PLC0415
    from cdp.profiles.port import PROFILES, Where  # noqa: PLC0415
    from cdp.refresh.steps import policy_parameters  # noqa: PLC0415
    from cdp.warehouse.statements import statements  # noqa: PLC0415

    with closing(platform.published()) as warehouse:
        found = warehouse.query(statements()["92_stats"], policy_parameters(platform.policy))
        matched = unmatched(warehouse, platform.policy)
    (row,) = found.to_dicts()
    row |= matched
    row["documents"] = platform.documents.count(PROFILES, [Where("sync.state", "==", "live")])
    if as_json:
        print_json(row)
        return
    table = Table.grid(padding=(0, 3))
    table.add_column(justify="right")
    for name, value in row.items():
        shown = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
        table.add_row(Text(shown, style="bold"), name.replace("_", " "))
    out.print(table)
    why = why_no_profiles(row, platform.policy)
    for sentence in [*told(matched), *([why] if why else [])]:
        out.print(f"\n{sentence}")


@click.command()
@click.argument("identifier")
@JSON
@with_platform
def profile(platform: Platform, identifier: str, as_json: bool) -> None:
    """Show the profile of a profile id, client id, user id, e-mail address or phone number."""
    found = _find(platform, identifier)
    if as_json:
        print_json(found)
        return
    for one in found:
        out.print(profile_table(one, platform.policy.identifiers.priority))


def _find(platform: Platform, identifier: str) -> list[dict[str, Any]]:
    from cdp.insight.person import find  # noqa: PLC0415
    from cdp.profiles.port import PROFILES  # noqa: PLC0415

    ids = find(platform.documents, platform.policy, identifier)
    if not ids:
        raise CdpError(
            f"no profile has the identifier {identifier!r}; it is unknown, or consent does not "
            "permit to keep it"
        )
    found = platform.documents.get_many(PROFILES, ids)
    return [{"profile_id": key, **found[key].body} for key in ids if key in found]


def profile_table(body: Mapping[str, Any], priority: Sequence[str]) -> Table:
    table = Table(title=body["profile_id"], title_justify="left", show_header=False, box=None)
    shown_body = {key: body[key] for key in body if key != "profile_id"}
    if held := body.get("identifiers"):
        order = [*priority, *(key for key in held if key not in priority)]
        shown_body["identifiers"] = {key: held[key] for key in order if key in held}
    for path, value in _flat(shown_body):
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(Text(path, style="dim"), Text(shown))
    return table


def _flat(body: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in body.items():
        path = f"{above}.{key}" if above else key
        rows += _flat(value, path) if isinstance(value, dict) else [(path, value)]
    return rows


@click.command()
@with_platform
def doctor(platform: Platform) -> None:
    """Show what is configured, what is missing, and how to fix it; exits with 1 if anything is."""
    table = Table(box=None, header_style="dim")
    for heading in ("setting", "value", "from", "what it is"):
        table.add_column(heading, overflow="fold")
    settings = platform.settings
    for name, field in Settings.model_fields.items():
        given = "set" if name in settings.model_fields_set else "default"
        value = getattr(settings, name)
        table.add_row(
            f"CDP_{name.upper()}", "" if value is None else str(value), given, field.description
        )
    out.print(table)
    problems = missing(platform)
    out.print()
    for problem in problems:
        out.print(Text("✗ ", style="red") + Text(problem))
    if problems:
        sys.exit(1)
    out.print(Text("✓ ", style="green") + Text("all there"))


@click.command()
@JSON
@with_platform
def policy(platform: Platform, as_json: bool) -> None:
    """Show the policy in force: purposes, what silence means, limits, which field needs what."""
    rules = platform.policy
    if as_json:
        print_json({"source": rules.source, "digest": rules.digest, **rules.model_dump()})
        return
    out.print(f"{rules.source}, {rules.digest}\n")
    sections: dict[str, list[tuple[str, ...]]] = {
        "Purposes, told by, resolved by, silence means, a grant lapses": [
            (
                name,
                purpose.ga4_signal or "decisions only",
                "each address" if purpose.scope == "value" else "person",
                listed([purpose.unknown, *(f"{a} in {c}" for c, a in purpose.unknown_in.items())]),
                f"after {purpose.expires}" if purpose.expires else "never",
            )
            for name, purpose in rules.purposes.items()
        ],
        "Limits": [
            (pair.replace(".", " joins "), f"{most} at most") for pair, most in rules.limits.items()
        ],
        "Fields need": list(rules.fields.items()),
    }
    for title, rows in sections.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        for row in rows:
            table.add_row(*row)
        out.print(table, "")
    out.print(
        f"Identifiers, strongest first: {listed(rules.identifiers.priority)}.\n"
        f"Linking needs {rules.linking.purpose}; a loaded link that states no consent counts as "
        f"{rules.linking.unstated}.\n"
        f"Explicit decisions come from {listed(rules.decisions.explicit)}.\n"
        f"{_gpc(rules)}"
    )


def _gpc(rules: Policy) -> str:
    if rules.gpc is None:
        return "Global Privacy Control is not heard."
    told, purposes = rules.gpc.parameter, listed(rules.gpc.purposes)
    return f"Global Privacy Control, told by the event parameter {told}, denies {purposes}."

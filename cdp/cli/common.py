"""What every command shares: the group that tells errors in words, options, how things print."""

import getpass
import json
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from cdp.deployments.build import Platform, build
from cdp.domain.errors import CdpError
from cdp.governance.actions import Shell
from cdp.settings import Settings

if TYPE_CHECKING:
    from cdp.deployments.embedded import Embedded

R = TypeVar("R")

# Into a file or a pipe, lines stay whole.
out = Console(
    highlight=False, markup=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160
)
PATHS = click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
DAY = click.DateTime(["%Y-%m-%d"])


class Group(click.Group):
    """Shows what a person can fix as one message; a bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CdpError as error:
            raise click.ClickException(str(error)) from error


def with_platform(command: Callable[..., R]) -> Callable[..., R]:
    """Hand the command the deployment that the settings describe."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> R:
        return command(build(Settings.load()), *args, **options)

    return run


def embedded(platform: Platform) -> "Embedded":
    from cdp.deployments.embedded import Embedded  # noqa: PLC0415

    if not isinstance(platform, Embedded):
        raise CdpError("this works in the embedded deployment only; set CDP_DEPLOYMENT=embedded")
    return platform


def shell() -> Shell:
    return Shell(getpass.getuser())


def listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, ensure_ascii=False, default=str))

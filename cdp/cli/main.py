"""The command `cdp`: its groups, put together."""

import click

from cdp import __version__
from cdp.cli import consent, console, demo, erase, load, look, refresh, user
from cdp.cli.common import Group


@click.group(cls=Group)
@click.version_option(__version__, prog_name="cdp")
def cdp() -> None:
    """Composable CDP: the GA4 export in, one consented profile a person out."""


for command in (
    load.load,
    refresh.refresh,
    refresh.cancel,
    refresh.runs,
    refresh.execute,
    refresh.release,
    look.stats,
    look.profile,
    look.doctor,
    look.policy,
    consent.decide,
    consent.consent,
    erase.erase,
    erase.approve,
    erase.erasures,
    erase.probe,
    erase.verify,
    console.serve,
    user.user,
    demo.demo,
    demo.generate_demo,
    demo.score_truth,
):
    cdp.add_command(command)

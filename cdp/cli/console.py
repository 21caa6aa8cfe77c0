"""`cdp serve`: the console."""

import os
import socket

import click

from cdp.cli.common import out, with_platform
from cdp.deployments.build import HOME_PAGE, Platform
from cdp.domain.errors import CdpError


@click.command()
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--address", default="127.0.0.1", show_default=True, help="Where to listen.")
@with_platform
def serve(platform: Platform, port: int, address: str) -> None:
    """Serve the console; sign in with an account of `user add`."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise CdpError(
                f"{address}:{port} cannot be listened on ({error.strerror}); say another --port"
            ) from None
    platform.accounts.exist()  # what is wrong with the store is told here, before anybody signs in
    out.print(f"The console is at http://{address}:{port}. Ctrl+C ends it.")
    from streamlit.web import cli  # noqa: PLC0415

    os.environ |= platform.settings.environment()
    os.chdir(HOME_PAGE.parent)  # Streamlit reads its configuration there
    cli.main(["run", HOME_PAGE.name, f"--server.address={address}", f"--server.port={port}"])

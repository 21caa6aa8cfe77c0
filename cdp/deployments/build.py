"""The composition root: settings → the deployment. Everything that runs starts here."""

from typing import Final

from cdp.deployments.base import FILES, Platform
from cdp.domain.errors import CdpError
from cdp.settings import Settings

__all__ = ["HOME_PAGE", "Platform", "build", "missing"]

HOME_PAGE: Final = FILES / "Home.py"


def build(settings: Settings) -> Platform:
    """Return the deployment that *settings* describe."""
    # Only one of them is imported: functions on Google Cloud have no DuckDB.
    if settings.deployment == "gcp":
        from cdp.deployments.cloud import Cloud  # noqa: PLC0415

        return Cloud(settings)
    from cdp.deployments.embedded import Embedded  # noqa: PLC0415

    return Embedded(settings)


def missing(platform: Platform) -> list[str]:
    """Return what keeps the platform from working, each with its fix; none where all is well."""
    problems = []
    try:
        _ = platform.policy
    except CdpError as error:
        problems.append(str(error))
    return problems + platform.problems()

"""A generated property, refreshed as a user would."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from cdp.deployments.build import Platform
from cdp.warehouse.port import Warehouse
from tests.e2e.support import Cdp


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Cdp:
    """A home with 400 generated people over 10 days, refreshed; tests only read it."""
    folder = tmp_path_factory.mktemp("generated")
    cdp = Cdp(folder / "home", {})
    cdp.run("generate", folder / "in", "--people", "400", "--days", "10")
    cdp.run("load", "ga4", folder / "in" / "ga4")
    cdp.run("load", "links", folder / "in" / "links")
    cdp.run("load", "consent", folder / "in" / "consent")
    cdp.refresh()
    return cdp


@pytest.fixture(scope="session")
def platform(generated: Cdp) -> Platform:
    """The deployment that the generated property was refreshed in."""
    return generated.platform


@pytest.fixture(scope="session")
def warehouse(platform: Platform) -> Iterator[Warehouse]:
    """What the refresh published."""
    with closing(platform.published()) as published:
        yield published

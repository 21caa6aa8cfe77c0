"""What the warehouse's tests share."""

import pytest

from tests.unit.warehouse.googlesql import GoogleSql


@pytest.fixture(scope="session")
def googlesql(pytestconfig):
    """GoogleSQL's analyzer and reference engine; loaded once a process."""
    return GoogleSql(pytestconfig.cache.mkdir("googlesql"))

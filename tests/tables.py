"""The tables that a run finds before it cleans."""

from cdp.warehouse.port import Warehouse
from cdp.warehouse.statements import migrations, statements


def make_tables(warehouse: Warehouse) -> None:
    for text in (*migrations().values(), statements()["00_tables"]):
        warehouse.run(text, {})

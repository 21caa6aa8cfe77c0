"""Values on their way into BigQuery and out of it, and shapes as its API tells them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Final

import pyarrow as pa
from google.cloud import bigquery
from pyarrow import parquet

from cdp.warehouse.port import Value, type_of


def parameter(
    name: str, value: Value
) -> bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter:
    """Return a query's parameter; an empty list counts as strings."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        kind = type_of(value[0]) if value else "STRING"
        return bigquery.ArrayQueryParameter(name, kind, list(value))
    return bigquery.ScalarQueryParameter(name, type_of(value), value)


_TYPES: Final = {"BOOLEAN": "bool", "FLOAT": "float64", "INTEGER": "int64"}


def declared(field: Mapping[str, Any]) -> str:
    """Return a column as the statements declare it, such as `event_date date`."""
    kind = _TYPES.get(field["type"], field["type"].lower())
    repeated = field.get("mode") == "REPEATED"
    return f"{field['name']} {f'array<{kind}>' if repeated else kind}"


def storage(table: Mapping[str, Any]) -> str:
    """Return a table's partition and cluster as the statements declare them."""
    parts = []
    if time := table.get("timePartitioning"):
        field, unit = time.get("field", "_partitiontime"), time["type"].lower()
        parts.append(f"partition by {field if unit == 'day' else f'date_trunc({field}, {unit})'}")
    if bounded := table.get("rangePartitioning"):
        ends = ", ".join(str(bounded["range"][end]) for end in ("start", "end", "interval"))
        parts.append(f"partition by range_bucket({bounded['field']}, generate_array({ends}))")
    if clustering := table.get("clustering"):
        parts.append(f"cluster by {', '.join(clustering['fields'])}")
    return " ".join(parts)


def naive(kind: pa.DataType) -> pa.DataType:
    """Return *kind* with times as everywhere here: UTC, unsaid."""
    if pa.types.is_timestamp(kind):
        return pa.timestamp(kind.unit)
    if pa.types.is_list(kind):
        return pa.list_(naive(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([(part.name, naive(part.type)) for part in kind])
    return kind


def named(file: Path) -> IO[bytes]:
    """Return the rows of *file* with its name, and times with their zone: TIMESTAMP has one."""
    stream = TemporaryFile()  # noqa: SIM115 - the caller closes it
    with parquet.ParquetFile(file) as source:
        zoned = pa.timestamp("us", "UTC")
        kinds = [
            pa.field(part.name, zoned if pa.types.is_timestamp(part.type) else part.type)
            for part in source.schema_arrow
        ]
        schema = pa.schema([*kinds, pa.field("file", pa.string())])
        with parquet.ParquetWriter(stream, schema) as writer:
            for batch in source.iter_batches():
                names = pa.array([file.stem] * batch.num_rows, pa.string())
                columns = [*batch.columns, names]
                table = pa.table(columns, names=schema.names)
                writer.write_table(table.cast(schema))
    return stream

"""Print the words of the gcloud commands that make the indexes a database lacks.

    python deploy/indexes.py firestore.indexes.json COMPOSITE FIELDS

The file is of the Firebase CLI's format; COMPOSITE and FIELDS are what `gcloud firestore indexes
composite|fields list --format=json` say, `[]` where there are none. A line is a command's words
after `gcloud firestore indexes`, with tabs between them.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Field = tuple[
    str, str, str
]  # path; what is configured, such as order; its value, such as ascending


def field(entry: Mapping[str, Any]) -> Field:
    """Return a field of an index; ascending where the file does not say how."""
    if "arrayConfig" in entry:
        return (entry["fieldPath"], "array-config", entry["arrayConfig"].lower())
    return (entry["fieldPath"], "order", entry.get("order", "ASCENDING").lower())


def fields(index: Mapping[str, Any]) -> tuple[Field, ...]:
    """Return an index's fields, without the name that Google adds at the end of each."""
    return tuple(field(f) for f in index["fields"] if f["fieldPath"] != "__name__")


def composite(wanted: Sequence[Any], present: Sequence[Any]) -> Iterator[list[str]]:
    """Yield the words that make each composite index which is not there.

    Args:
        wanted: the file's `indexes`.
        present: Google's; their names end in `collectionGroups/G/indexes/ID`.
    """
    there = {(i["name"].split("/")[-3], i["queryScope"], fields(i)) for i in present}
    for index in wanted:
        group, scope = index["collectionGroup"], index.get("queryScope", "COLLECTION")
        if (group, scope, fields(index)) not in there:
            yield [
                "composite",
                "create",
                f"--collection-group={group}",
                f"--query-scope={scope.lower().replace('_', '-')}",
                *(f"--field-config=field-path={p},{c}={v}" for p, c, v in fields(index)),
            ]


def overrides(wanted: Sequence[Any], present: Sequence[Any]) -> Iterator[list[str]]:
    """Yield the words that configure each field which is indexed in another way.

    Args:
        wanted: the file's `fieldOverrides`.
        present: Google's; their names end in `collectionGroups/G/fields/PATH`.
    """
    there = {
        tuple(f["name"].split("/")[-3::2]): {
            field(i["fields"][0])[1:]
            for i in f.get("indexConfig", {}).get("indexes", ())
            if i["queryScope"] == "COLLECTION"
        }
        for f in present
    }
    for entry in wanted:
        group, path = entry["collectionGroup"], entry["fieldPath"]
        if any(index.get("queryScope", "COLLECTION") != "COLLECTION" for index in entry["indexes"]):
            sys.exit(f"{path} of {group}: gcloud indexes a field for its collection only")
        indexes = [field({"fieldPath": path, **index})[1:] for index in entry["indexes"]]
        if there.get((group, path)) != set(indexes):
            yield [
                "fields",
                "update",
                path,
                f"--collection-group={group}",
                *(f"--index={config}={value}" for config, value in indexes),
                *([] if indexes else ["--disable-indexes"]),
            ]


def main(file: str, composites: str, single: str) -> None:
    """Print a line for each command."""
    if not Path(file).is_file():
        sys.exit(f"{file} is missing; it belongs to the release")
    wanted = json.loads(Path(file).read_text("utf-8"))
    made = [
        *composite(wanted.get("indexes", ()), json.loads(composites)),
        *overrides(wanted.get("fieldOverrides", ()), json.loads(single)),
    ]
    sys.stdout.writelines("\t".join(words) + "\n" for words in made)


if __name__ == "__main__":
    main(*sys.argv[1:])

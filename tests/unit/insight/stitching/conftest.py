"""A property in which people merged, split and shared devices, on rows made for each claim."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.policy import Policy
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.port import Warehouse
from tests.e2e.support import Cdp, event
from tests.unit.insight.stitching.support import LEAVES, MARKUP, link


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The policy that ships, but a person may have 500 devices."""
    text = resources.files("cdp.domain").joinpath("policy.toml").read_text("utf-8")
    assert '"user_id.client_id" = 50\n' in text
    file = tmp_path_factory.mktemp("policy") / "policy.toml"
    file.write_text(text.replace('"user_id.client_id" = 50\n', '"user_id.client_id" = 500\n'))
    return file


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, policy: Path) -> Cdp:
    """Three runs: the second merges and splits, the third changes nothing."""
    folder = tmp_path_factory.mktemp("stitching")
    cdp = Cdp(folder / "home", {"CDP_POLICY": str(policy)})

    def load(what: str, name: str, rows: Iterable[Mapping[str, Any]], *options: str) -> None:
        file = folder / name
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        cdp.run("load", what, file, *options)

    first = [
        event("20261001", "shared.1", user="ada", at=1),
        event("20261001", "shared.1", user="bob", at=2),
        event("20261001", "a.1", user="ada", at=3),
        event("20261001", "b.1", user="bob", at=4),
        *(event("20261001", client, at=5) for client in ("d.1", "n.1", "n.2", "m1.1", "s1.1")),
        *(event("20261001", client, at=6) for client in ("m2.1", "s2.1")),
        # Silence on a device that had said No; on one that never said anything; and a No alone.
        event("20261001", "k/1=.1", at=5),
        event("20261001", "k/1=.1", at=6, analytics="No"),
        event("20261001", "k/1=.1", user="kim", at=7, analytics=None),
        event("20261001", "q.1", user="quin", at=7, analytics=None),
        event("20261001", "z.1", user="zoe", at=6),
        event("20261001", "z.1", at=7, analytics="No"),
        event("20261001", MARKUP, user=f"{MARKUP}user", at=8),
        event("20261001", "same", at=1),
        event("20261001", "same", stream_id="2", at=2),
        event("20261001", "other.1", user="same", at=3),
        event("20261001", "r1.1", at=1),
        *(event("20261001", f"leaf{n}.1", user="star", at=n) for n in range(LEAVES)),
    ]
    load("ga4", "events_20261001.ndjson", first)
    logins = [event("20261002", client, user="sam") for client in ("s1.1", "s2.1")]
    logins += [event("20261002", client, user="rex") for client in ("r2.1", "r3.1")]
    load("ga4", "events_20261002.ndjson", logins)
    links = [
        link(("client_id", "d.1"), ("email", "denied@example.com"), "denied"),
        link(("client_id", "n.1"), ("email", "none@none.com")),
        link(("client_id", "n.2"), ("email", "none@none.com")),
        link(("user_id", "star"), ("email", "Star@Example.com")),
        link(("user_id", "star"), ("email", "star@example.com"), source="shop"),
        link(("user_id", "star"), ("email", "star@example.com"), "denied", source="shop"),
        link(("user_id", "ada"), ("phone", "+49 30 1234567")),
    ]
    load("links", "links.ndjson", links)
    cdp.refresh()
    logins = [event("20261003", client, user="mia") for client in ("m1.1", "m2.1")]
    logins += [event("20261003", client, user="ray") for client in ("r1.1", "r2.1")]
    load("ga4", "events_20261003.ndjson", logins)
    restated = [event("20261002", client) for client in ("s1.1", "s2.1", "r2.1")]
    load("ga4", "events_20261002.ndjson", restated, "--replace")
    cdp.refresh()
    # r3.1 was gone while its profile ended in ray's, and is back.
    load("ga4", "events_20261004.ndjson", [event("20261004", client) for client in ("a.1", "r3.1")])
    cdp.refresh()
    return cdp


@pytest.fixture(scope="session")
def small(made: Cdp) -> Iterator[Warehouse]:
    """What the third run published."""
    with closing(made.platform.published()) as published:
        yield published


@pytest.fixture(scope="session")
def rules(policy: Path) -> Policy:
    return Policy.load(policy)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse with no table but those that its test makes."""
    with closing(DuckWarehouse(tmp_path, memory_limit="1GB", threads=1)) as warehouse:
        yield warehouse

"""The rows that the statements build, beside the rule that ingest asks of each: of many worlds."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cdp.domain.payload import FIELDS, timestamp
from cdp.domain.policy import Policy
from cdp.refresh.gate import Gate
from cdp.refresh.ingest import parse_row
from cdp.refresh.steps import policy_parameters
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.statements import statements
from tests.tables import make_tables
from tests.unit.domain.test_permission import forbidden
from tests.unit.warehouse.test_consent import NOW, rows

PROFILES = 40
STATES = ("granted", "denied", "unknown", None)  # None: nothing is known
ADDRESSES = [path for path in FIELDS if "email" in path or "phone" in path]
BEHAVIOUR: Mapping[str, Any] = {
    "first_seen": datetime(2026, 1, 1, tzinfo=UTC),
    "last_seen": datetime(2026, 1, 2, tzinfo=UTC),
    **dict.fromkeys(("events", "sessions", "engaged_sessions", "engagement_ms"), 1),
    "leads": 0,
    "purchases": 0,
    "revenue": 0.5,
    **dict.fromkeys(("last_client_id", "last_source", "last_medium", "country", "device"), "x"),
    **dict.fromkeys(("ads_campaign", "ads_gclid"), "x"),
}


def policy_of(chance: random.Random) -> Policy:
    """Return a policy whose purposes have any scope and silence, and permit any field."""
    shipped = Policy.load(None)
    scopes = chance.choice([("person", "value", "value"), ("person", "person", "value")])
    scope_of = dict(zip(shipped.purposes, chance.sample(scopes, 3), strict=True))
    purposes = {
        name: purpose.model_copy(
            update={
                "scope": scope_of[name],
                "unknown": chance.choice(["granted", "denied"]),
                "unknown_in": {"France": chance.choice(["granted", "denied"])},
            }
        )
        for name, purpose in shipped.purposes.items()
    }
    fields = {path: chance.choice(list(purposes)) for path in FIELDS}
    return shipped.model_copy(update={"purposes": purposes, "fields": fields})


class World:
    """Profiles with two addresses and a number each, and what is known of their consent."""

    def __init__(self, policy: Policy, chance: random.Random) -> None:
        self.people = [f"p_{n}" for n in range(PROFILES)]
        scoped = [name for name, told in policy.purposes.items() if told.scope == "value"]
        self.person = {
            (person, name): chance.choice(STATES)
            for person in self.people
            for name in policy.purposes
            if name not in scoped
        }
        self.identifiers = {
            (person, kind, value): number
            for number, (person, kind, value) in enumerate(
                (person, kind, f"{value}{person.removeprefix('p_')}{end}")
                for person in self.people
                for kind, value, end in (
                    ("user_id", "u", ""),
                    ("client_id", "c", ""),
                    ("email", "a", "@example.com"),
                    ("email", "b", "@example.com"),
                    ("phone", "+49", ""),
                )
            )
        }
        self.addresses = {
            (number, name): chance.choice(STATES)
            for (_, kind, _), number in self.identifiers.items()
            if kind in {"email", "phone"}
            for name in scoped
        }


def shards(folder: Path, policy: Policy, world: World) -> Sequence[bytes]:
    """Return the lines of the run's shards."""
    sql = DuckWarehouse(folder, memory_limit="1GB", threads=2)
    make_tables(sql)
    ids = world.identifiers
    rows(sql, "name", "cluster_id bigint, profile_id text", list(enumerate(world.people)))
    rows(
        sql,
        "identity",
        "identifier_id bigint, profile_id text, present bool",
        [(number, person, True) for (person, _, _), number in ids.items()],
    )
    seen = BEHAVIOUR["first_seen"]
    rows(
        sql,
        "identifier",
        "identifier_id bigint, type text, value text, last_seen timestamp",
        [(number, kind, value, seen) for (_, kind, value), number in ids.items()],
    )
    rows(
        sql,
        "client",
        "client_key text, client_id text",
        [(value, f"of {value}") for _, kind, value in ids if kind == "client_id"],
    )
    kinds = {int: "bigint", float: "double", str: "text", datetime: "timestamp"}
    columns = ", ".join(f"{name} {kinds[type(value)]}" for name, value in BEHAVIOUR.items())
    given = [(person, *BEHAVIOUR.values()) for person in world.people[1:]]
    rows(sql, "behaviour", f"profile_id text, {columns}", given)
    told = [
        (person, name, state, None if state == "unknown" else seen, state and "cmp")
        for (person, name), state in world.person.items()
        if state
    ]
    columns = "profile_id text, purpose text, state text, since timestamp, source text"
    rows(sql, "person_consent", columns, told)
    who = {number: person for (person, _, _), number in ids.items()}
    said = [
        (f"value|{who[number]}|{number}", name, state, seen, "cmp")
        for (number, name), state in world.addresses.items()
        if state
    ]
    rows(
        sql,
        "word",
        "subject text, purpose text, state text, since timestamp, source text",
        said,
    )
    parameters = {**policy_parameters(policy), "now": NOW, "full": True, "seq": 7}
    names = ("52_value", "54_permit", "61_profile_identifier", "62_payload", "70_export_row")
    for name in names:
        sql.run(statements()[name], parameters)
    file = folder / "shard.json"
    bounds = {"from_bucket": 0, "to_bucket": 10_000, "seq": 7}
    sql.export(statements()["72_shard"], bounds, file)
    sql.close()
    return file.read_bytes().splitlines()


def paths(fields: Mapping[str, Any]) -> set[str]:
    return {
        f"{group}.{name}" for group, below in fields.items() if group != "consent" for name in below
    }


@pytest.mark.parametrize("number", range(5))
def test_every_row_sets_what_its_consent_permits_and_all_of_it(tmp_path: Path, number: int) -> None:
    chance = random.Random(number)
    policy = policy_of(chance)
    world = World(policy, chance)
    permission = policy.permission()
    gate = Gate(7, True, "", permission)
    lines = shards(tmp_path, policy, world)
    sets: set[str] = set()
    for line in lines:
        row = parse_row(line, run="r1", at=timestamp(NOW))
        assert gate.refusal(row) is None
        consent, found = row.set["consent"], paths(row.set)
        assert consent.keys() == policy.purposes.keys(), "consent comes whole"
        wanted = {path for path in FIELDS if not forbidden(permission, path, consent)}
        if row.id == "p_0":  # who has no events
            wanted = {path for path in wanted if path.startswith(("identifiers.", "contact."))}
        assert found <= wanted
        assert wanted - found <= set(ADDRESSES), "these are weighed one by one"
        for path in sorted(found & set(ADDRESSES) - {"contact.email_valid"}):
            group, name = path.split(".")
            purpose = policy.purpose_of(path)
            values = [row.set[group][name]] if group == "contact" else row.set[group][name]
            if policy.purposes[purpose].scope == "value":
                own = {world.addresses[world.identifiers[row.id, name, v], purpose] for v in values}
                assert own <= {"granted", *(("unknown", None) if purpose in policy.silent else ())}
        sets |= found
    assert len(lines) > PROFILES / 2
    assert len(sets) > len(FIELDS) / 2, json.dumps(sorted(FIELDS.keys() - sets))

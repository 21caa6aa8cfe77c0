"""The rule of consent in SQL, beside the pure one: the same of many random worlds at once."""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cdp.domain.consent import (
    Resolved,
    Statement,
    Word,
    closes,
    of_person,
    of_value,
    of_values,
    word,
)
from cdp.warehouse.duckdb import DuckWarehouse
from cdp.warehouse.statements import statements
from tests.tables import make_tables

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=100)
WORLDS = 800
# Each purpose with its scope, and after how many months its grants lapse.
PURPOSES: Mapping[str, tuple[str, int | None]] = {
    "analytics": ("person", None),
    "ads": ("person", 1),
    "marketing": ("value", None),
    "post": ("value", 1),
}
SOURCES = {"ga4": False, "cmp": False, "support": True, "desk": True}
SILENT = ("post",)
"""Purposes that silence permits."""
RULES = [f"{name}|{scope}|{months or ''}" for name, (scope, months) in PURPOSES.items()]


class World:
    """One profile: its identifiers, those that it is bound by, and what all of them said."""

    def __init__(self, number: int) -> None:
        # Few moments, so that many things happen at one.
        chance = random.Random(number)
        self.profile_id = f"p_{number}"
        types = ("user_id", "client_id", "email", "phone")
        self.members = [
            (chance.choice(types), f"{number}-{place}") for place in range(chance.randint(1, 4))
        ]
        self.bound = [
            (chance.choice(types), f"{number}-bound-{place}")
            for place in range(chance.randint(0, 2))
        ]
        moments = [*(chance.randint(0, 99) for _ in range(4)), 101]
        self.said = {
            (who, purpose): [
                Statement(
                    *who,
                    chance.choice(["granted", "denied"]),
                    START + timedelta(days=chance.choice(moments)),
                    source := chance.choice(list(SOURCES)),
                    SOURCES[source],
                )
                for _ in range(chance.choice([0, 0, 1, 1, 2, 3, 5]))
            ]
            for who in (*self.members, *self.bound)
            for purpose in PURPOSES
        }

    def words(self, who: Sequence[tuple[str, str]], purpose: str) -> list[tuple[str, Word]]:
        months = PURPOSES[purpose][1]
        found = [(one[0], word(self.said[one, purpose], NOW, months)) for one in who]
        return [(kind, told) for kind, told in found if told is not None]

    def values(self, purpose: str) -> dict[tuple[str, str], Resolved]:
        months = PURPOSES[purpose][1]
        return {
            who: of_value(self.said[who, purpose], self.person(purpose), NOW, months)
            for who in self.members
            if who[0] in {"email", "phone"}
        }

    def person(self, purpose: str) -> list[Statement]:
        own = [s for who in self.members for s in self.said[who, purpose]]
        # Of who is bound only the No counts.
        bound = [s for who in self.bound for s in self.said[who, purpose] if s.state == "denied"]
        return [s for s in (*own, *bound) if s.type in {"user_id", "client_id"}]

    def resolved(self, purpose: str) -> Resolved:
        scope, months = PURPOSES[purpose]
        if scope == "person":
            return of_person(self.words(self.members, purpose), self.words(self.bound, purpose))
        silence = "granted" if purpose in SILENT else "denied"
        return of_values(
            list(self.values(purpose).values()), self.person(purpose), NOW, months, silence=silence
        )


def rows(sql: DuckWarehouse, table: str, columns: str, values: Sequence[tuple[Any, ...]]) -> None:
    """Fill the tables that the statements read, and that others make."""
    sql._db.execute(f"create or replace table {table} ({columns})")
    marks = ", ".join("?" * len(columns.split(",")))
    sql._db.executemany(f"insert into {table} values ({marks})", values)


@pytest.fixture(scope="module")
def worlds() -> list[World]:
    return [World(number) for number in range(WORLDS)]


@pytest.fixture(scope="module")
def warehouse(
    tmp_path_factory: pytest.TempPathFactory, worlds: list[World]
) -> Iterator[DuckWarehouse]:
    made = DuckWarehouse(tmp_path_factory.mktemp("consent"), memory_limit="1GB", threads=2)
    make_tables(made)
    identities, identifiers, bounds, told = [], [], [], []
    number = 0
    for world in worlds:
        of_world = {who: (number := number + 1) for who in (*world.members, *world.bound)}
        identifiers += [(id, *who) for who, id in of_world.items()]
        identities += [(of_world[who], world.profile_id, True) for who in world.members]
        identities += [(of_world[who], f"of {who[1]}", True) for who in world.bound]
        bounds += [(of_world[who], of_world[world.members[0]]) for who in world.bound]
        told += [
            (s.type, s.value, purpose, s.state, s.at.replace(tzinfo=None), s.source, s.explicit)
            for (_, purpose), said in world.said.items()
            for s in said
        ]
    random.Random(0).shuffle(told)
    rows(made, "identity", "identifier_id bigint, profile_id text, present bool", identities)
    rows(made, "identifier", "identifier_id bigint, type text, value text", identifiers)
    rows(made, "bound", "identifier_id bigint, other_id bigint", bounds)
    columns = "type text, value text, purpose text, state text, said_at timestamp, source text"
    rows(made, "statement", f"{columns}, explicit bool", told)
    given = {"now": NOW, "purpose_rules": RULES, "unknown_granted": list(SILENT)}
    for name in ("16_said", "17_word", "50_consent", "51_said", "17_word", "52_value"):
        made.run(statements()[name], given)
    yield made
    made.close()


def utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


def test_every_identifiers_word_is_the_pure_rules(
    warehouse: DuckWarehouse, worlds: list[World]
) -> None:
    found = {
        (row["subject"], row["purpose"]): Word(
            state=row["state"],
            since=utc(row["since"]),
            source=row["source"],
            explicit=row["explicit"],
            at=utc(row["said_at"]),
            denied_at=utc(row["denied_at"]),
            yes_at=utc(row["yes_at"]),
            asked_at=utc(row["asked_at"]),
        )
        for row in warehouse.query("select * from word", {}).to_dicts()
        if not row["subject"].startswith(("value|", "person|"))
    }
    wanted = {
        ("|".join(who), purpose): told
        for world in worlds
        for (who, purpose), said in world.said.items()
        if (told := word(said, NOW, PURPOSES[purpose][1])) is not None
    }
    assert found == wanted


@pytest.mark.parametrize("purpose", PURPOSES)
def test_every_profiles_state_is_the_pure_rules(
    warehouse: DuckWarehouse, worlds: list[World], purpose: str
) -> None:
    asked = "select profile_id, state, since, source from profile_consent where purpose = @purpose"
    told = warehouse.query(asked, {"purpose": purpose}).rows()
    found = {row[0]: Resolved(row[1], utc(row[2]), row[3]) for row in told}
    assert len(found) == len(told)
    wanted = {world.profile_id: world.resolved(purpose) for world in worlds}
    silent = Resolved("unknown")
    assert {id: found.get(id, silent) for id in wanted} == wanted
    assert {told.state for told in wanted.values()} == {"granted", "denied", "unknown"}


@pytest.mark.parametrize("purpose", ["marketing", "post"])
def test_every_address_has_the_state_of_the_pure_rule(
    warehouse: DuckWarehouse, worlds: list[World], purpose: str
) -> None:
    asked = (
        "select i.type, i.value, v.state, v.since, v.source from value_consent as v "
        "join identifier as i on i.identifier_id = v.identifier_id "
        "where v.purpose = @purpose and v.profile_id like 'p_%'"
    )
    told = warehouse.query(asked, {"purpose": purpose}).rows()
    found = {(row[0], row[1]): Resolved(row[2], utc(row[3]), row[4]) for row in told}
    wanted = {who: one for world in worlds for who, one in world.values(purpose).items()}
    assert {who: found[who] for who in wanted} == wanted


# --- who is kept out of the graph -----------------------------------------------------------------


def test_who_denies_to_be_joined_is_kept_out_but_binds_whom_it_would_join(
    warehouse: DuckWarehouse, worlds: list[World]
) -> None:
    """Of each world every two identifiers were seen together, but for a hub among them."""
    ids = {
        (kind, value): id
        for id, kind, value in warehouse.query("select * from identifier", {}).rows()
    }
    pairs, hubs, wanted, bound = [], [], set(), set()
    for world in worlds:
        people = [*world.members, *world.bound]
        hub = people[0] if len(people) > 3 else None
        hubs += [(ids[hub],)] if hub else []
        pairs += [
            (min(a, b), max(a, b), None)
            for n, one in enumerate(people)
            for other in people[n + 1 :]
            for a, b in [(ids[one], ids[other])]
        ]
        open_ = [who for who in people if who != hub]
        for who in people:
            told = word(world.said[who, "analytics"], NOW, None)
            beside = [one for one in open_ if who not in {one, hub} and one[0] == "user_id"]
            yeses = [word(world.said[one, "analytics"], NOW, None) for one in beside]
            standing = max((yes.yes_at for yes in yeses if yes and yes.yes_at), default=None)
            if closes(told, who[0], standing):
                wanted.add(ids[who])
                if who != hub:
                    bound |= {(ids[who], ids[one]) for one in open_ if one != who}
    rows(warehouse, "hub", "identifier_id bigint", hubs)
    rows(warehouse, "link", "a_id bigint, b_id bigint, kept_out text", pairs)
    warehouse.run(statements()["28_closed"], {"linking": "analytics"})
    assert {
        id for (id,) in warehouse.query("select identifier_id from closed", {}).rows()
    } == wanted
    found = warehouse.query("select identifier_id, other_id from bound", {}).rows()
    assert set(found) == bound
    assert wanted

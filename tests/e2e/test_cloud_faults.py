"""Whatever goes wrong between Pub/Sub and Firestore, no row is lost, and none is written twice.

Real messages reach the deployed `ingest` function on emulators; each test counts documents and
receipts afterwards.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from cdp.executions.port import State
from cdp.profiles.port import PROFILES, Delete, Document, Put
from cdp.queue.port import Dead
from tests.cloud.front import Front
from tests.cloud.project import Function, Project, project
from tests.e2e.support import Cdp, event
from tests.faulty import BURSTS, Faulty
from tests.runs import GRANTED, begin
from tests.waiting import wait

PATIENCE = 120
PEOPLE = 30
THEIRS = {"crm": {"tier": "gold", "a.b": None}, "ga4": {"theirs": 1, "x.y": {}}}
"""Fields of others, in a map of their own and in one of the platform's."""


@dataclass
class Cloud:
    """The project, whose shards are pushed through a front of ours."""

    project: Project
    front: Front
    firestore: str

    @property
    def first(self) -> str:
        return self.project.functions["ingest"].url

    def shard(
        self, run_id: str, rows: Iterable[Any], number: int = 0, *, seq: int = 1
    ) -> dict[str, Any]:
        """Store rows as a shard of a run; return the message that names it."""
        begin(self.project.platform.documents, run_id, seq=seq, state="partial")
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        name = f"runs/{run_id}/part-{number:05}-000000000000.json"
        stored = self.project.platform.objects.put(name, b"".join(line + b"\n" for line in lines))
        return {
            "run_id": run_id,
            "shard": number,
            "name": name,
            "generation": stored.generation,
            "rows": len(lines),
        }

    def publish(self, *messages: Mapping[str, Any]) -> list[str]:
        platform = self.project.platform
        return platform.queue.publish(platform.settings.topic, messages)

    def receipts(self, run_id: str, shards: int = 1) -> list[dict[str, Any]]:
        """Wait for the receipts of a run; return them, each of which adds up."""
        ids = [f"{run_id}.{number}" for number in range(shards)]
        documents = self.project.platform.documents
        until(lambda: len(documents.get_many("receipts", ids)) == shards)
        found = documents.get_many("receipts", ids)
        bodies = [found[id].body for id in ids]
        for body in bodies:
            assert body["rows"] == sum(counts(body))
        return bodies

    def ingested(self, *messages: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Publish the messages of a run; return its receipts."""
        self.publish(*messages)
        return self.receipts(messages[0]["run_id"], len(messages))

    def rejected(self, run_id: str) -> list[dict[str, Any]]:
        with self.project.platform.objects.open(f"runs/{run_id}/rejected/0.ndjson") as file:
            return [json.loads(line) for line in file]

    def dead(self, run_id: str | None = None) -> list[Dead]:
        platform = self.project.platform
        return platform.dead_letters.dead(platform.settings.topic, run_id)

    def entries(self, *names: str) -> list[dict[str, Any]]:
        """Return what instances have logged."""
        lines = [line for name in names for line in self.project.log(name).splitlines()]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def stored(self, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the documents of some profiles, without the time of their writing."""
        found: dict[str, Document] = self.project.platform.documents.get_many(PROFILES, ids)
        for document in found.values():
            document.body.get("sync", {}).pop("at", None)
        return {id: document.body for id, document in found.items()}

    def load(self, *days: str) -> None:
        """Let GA4's dataset hold those days, in each of which every person comes once."""
        here = Cdp(self.project.folder / "home", {"CDP_DEPLOYMENT": "embedded"})
        for day in days:
            visits = [event(day, f"person.{n}", at=n, session=int(day)) for n in range(PEOPLE)]
            file = self.project.folder / f"events_{day}.ndjson"
            file.write_text("".join(json.dumps(visit) + "\n" for visit in visits))
            here.platform.load_ga4([file])
        self.project.load_export(here.home / "raw")

    def forget(self) -> None:
        """Remove the profiles that other tests left: a refresh would, and tell of it."""
        documents = self.project.platform.documents
        while found := documents.page(PROFILES, limit=400).documents:
            documents.commit([Delete(PROFILES, document.id) for document in found])

    def start(self) -> str:
        return self.project.platform.executions.start({}, by="ada")

    def result(self, run_id: str) -> dict[str, Any]:
        """Wait for the end of a refresh; return its outcome."""
        run = wait(self.project.platform.executions, run_id, PATIENCE)
        assert run.state is State.SUCCEEDED, run.error
        outcome: dict[str, Any] = run.result
        return outcome

    def pushed(self, run_id: str) -> dict[str, dict[str, Any]]:
        """Return the messages of a run that were pushed, by id."""
        pushes = [push for push in self.front.pushes if push.data["run_id"] == run_id]
        return {push.id: push.data for push in pushes}

    def visits(self) -> Counter[int]:
        """Return how many people's profiles show so many sessions."""
        found = self.project.documents().values()
        people = [body for body in found if "client_id" in body.get("identifiers", {})]
        return Counter(body["ga4"]["sessions"] for body in people)

    def profiles(self) -> int:
        return self.project.platform.documents.count(PROFILES)


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.02)


def row(id: str, *, seq: int = 1, **ga4: Any) -> dict[str, Any]:
    email = [f"{id}@example.com"]
    fields = {"ga4": {"sessions": str(seq), **ga4}, "identifiers": {"email": email}}
    told = {**fields, "consent": GRANTED}
    return {"profile_id": id, "seq": seq, "hash": f"h{seq}", "set": told}


def body(id: str, run_id: str, *, seq: int = 1) -> dict[str, Any]:
    """Return the document that such a row ends in."""
    return {
        "ga4": {"sessions": seq},
        "identifiers": {"email": [f"{id}@example.com"]},
        "consent": GRANTED,
        "sync": {"run": run_id, "seq": seq, "hash": f"h{seq}", "state": "live"},
    }


def with_theirs(body: Mapping[str, Any]) -> dict[str, Any]:
    return {**THEIRS, **body, "ga4": {**THEIRS["ga4"], **body["ga4"]}}


def names(prefix: str, number: int, start: int = 0) -> list[str]:
    return [f"{prefix}{n:05}" for n in range(start, start + number)]


def counts(receipt: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(receipt[name] for name in ("written", "unchanged", "stale", "rejected"))


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    firestore_emulator: str,
    pubsub_emulator: str,
    strict_storage_emulator: str,
) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("faults")
    hosts = {
        "FIRESTORE_EMULATOR_HOST": firestore_emulator,
        "PUBSUB_EMULATOR_HOST": pubsub_emulator,
        "STORAGE_EMULATOR_HOST": strict_storage_emulator,
    }
    with project(folder, hosts, salt="s" * 32, shard_rows="10") as cloud, Front() as front:
        cloud.push(front.url)
        yield Cloud(cloud, front, firestore_emulator)


@pytest.fixture
def cloud(whole: Cloud) -> Iterator[Cloud]:
    """The project with one instance of the function."""
    whole.front.instances = [whole.first]
    yield whole
    whole.front.instances = []


@pytest.fixture(scope="module")
def second(whole: Cloud) -> Iterator[Function]:
    """Another instance."""
    with whole.project.serve("ingest", "ingest-2") as function:
        yield function


def test_delivered_twice_at_once_a_shard_is_written_once(cloud: Cloud, second: Function) -> None:
    ids = names("twice", 1000)
    theirs = ids[::10]
    cloud.project.platform.documents.commit([Put(PROFILES, id, THEIRS) for id in theirs])
    before = cloud.profiles()
    cloud.front.instances = [cloud.first, second.url]
    shards = [cloud.shard("twice", map(row, ids[n::4]), n) for n in range(4)]
    receipts = cloud.ingested(*shards)
    until(lambda: len([push for push in cloud.front.pushes if push.data in shards]) == 4)
    for receipt in receipts:
        assert counts(receipt)[2:] == (0, 0)
    for name in ("ingest", "ingest-2"):
        told = [line for line in cloud.entries(name) if line.get("run_id") == "twice"]
        assert [line["message"] for line in told] == ["ingested"] * 4
        for line in told:  # who was slower tells the receipt of who was quicker
            assert counts(line) == counts(receipts[line["shard"]])
    expected = {id: body(id, "twice") for id in ids}
    expected |= {id: with_theirs(expected[id]) for id in theirs}
    assert cloud.stored(ids) == expected
    assert cloud.profiles() - before == len(ids) - len(theirs)


def test_an_older_shard_after_a_newer_one_changes_nothing_newer(cloud: Cloud) -> None:
    ids = names("late", 300)
    newer = cloud.shard("late2", [row(id, seq=2) for id in ids[:200]], seq=2)
    older = cloud.shard("late1", [row(id, seq=1) for id in ids[100:]])
    assert counts(cloud.ingested(newer)[0]) == (200, 0, 0, 0)
    assert counts(cloud.ingested(older)[0]) == (100, 0, 100, 0)
    expected = {id: body(id, "late2", seq=2) for id in ids[:200]}
    assert cloud.stored(ids) == expected | {id: body(id, "late1") for id in ids[200:]}


def test_of_an_older_and_a_newer_shard_at_once_the_newer_wins(
    cloud: Cloud, second: Function
) -> None:
    ids = names("race", 600)
    cloud.front.instances = [cloud.first, second.url]
    newer = cloud.shard("race2", [row(id, seq=2) for id in ids[:500]], seq=2)
    older = cloud.shard("race1", [row(id, seq=1) for id in ids[100:]])
    cloud.publish(older, newer)
    [late], [new] = cloud.receipts("race1"), cloud.receipts("race2")
    assert new["written"] + new["unchanged"] == 500
    assert late["written"] + late["unchanged"] + late["stale"] == 500
    assert late["written"] + late["unchanged"] >= 100
    until(lambda: sum(push.data in (older, newer) for push in cloud.front.pushes) == 2)
    expected = {id: body(id, "race2", seq=2) for id in ids[:500]}
    assert cloud.stored(ids) == expected | {id: body(id, "race1") for id in ids[500:]}


def test_killed_half_way_through_a_shard_the_next_instance_does_the_rest(
    cloud: Cloud, second: Function
) -> None:
    ids = names("kill", 3000)
    before = cloud.profiles()
    message = cloud.shard("kill", map(row, ids))
    with (
        Faulty(cloud.firestore) as firestore,
        cloud.project.serve(
            "ingest", "ingest-killed", FIRESTORE_EMULATOR_HOST=firestore.address
        ) as killed,
    ):
        cloud.front.instances = [killed.url]
        firestore.hold(after=500)
        [sent] = cloud.publish(message)
        until(lambda: firestore.held.is_set() and cloud.profiles() - before == 500)
        cloud.front.instances = [second.url]
        killed.kill()
        assert cloud.project.platform.documents.get("receipts", "kill.0") is None
        firestore.release()  # what the dead instance had sent may arrive all the same
        [receipt] = cloud.receipts("kill")
    until(lambda: cloud.front.answers(sent) == [503, 200])
    assert counts(receipt)[2:] == (0, 0)
    assert receipt["unchanged"] >= 500
    assert cloud.stored(ids) == {id: body(id, "kill") for id in ids}
    assert cloud.profiles() - before == len(ids)


def test_errors_of_firestore_in_bursts_lose_and_double_nothing(cloud: Cloud) -> None:
    theirs = names("burst0-", 50)
    cloud.project.platform.documents.commit([Put(PROFILES, id, THEIRS) for id in theirs])
    before, made = cloud.profiles(), 0
    with (
        Faulty(cloud.firestore, whole=0.15, single=0.1) as firestore,
        cloud.project.serve(
            "ingest", "ingest-faulty", FIRESTORE_EMULATOR_HOST=firestore.address
        ) as function,
    ):
        cloud.front.instances = [function.url]
        for number in range(4):
            ids = names(f"burst{number}-", 500)
            [receipt] = cloud.ingested(cloud.shard(f"burst{number}", map(row, ids)))
            assert counts(receipt) == (500, 0, 0, 0)
            expected = {id: body(id, f"burst{number}") for id in ids}
            if number == 0:
                expected |= {id: with_theirs(expected[id]) for id in theirs}
            assert cloud.stored(ids) == expected
            made += len(ids)
        assert cloud.profiles() - before == made - len(theirs)
        assert all(firestore.failed[kind] for kind in (*BURSTS, "before", "after"))


def test_of_a_shard_with_a_bad_line_in_a_hundred_the_rest_is_written(cloud: Cloud) -> None:
    ids, bad = names("bad", 500), range(50, 500, 100)
    rows: list[Any] = list(map(row, ids))
    wrong = (
        b'{"profile_id": "jane@ex',
        {**rows[150], "set": {"contact": {"email": ["jane@example.com"]}}},
        {**rows[250], "set": {"crm": {"tier": "jane@example.com"}}},
        {**rows[350], "seq": "soon"},
        {key: value for key, value in rows[450].items() if key != "profile_id"},
    )
    for n, line in zip(bad, wrong, strict=True):
        rows[n] = line
    before = cloud.profiles()
    [receipt] = cloud.ingested(cloud.shard("bad", rows))
    assert counts(receipt) == (495, 0, 0, 5)
    assert cloud.rejected("bad") == [
        {"line": 51, "profile_id": None, "reason": "not JSON"},
        {"line": 151, "profile_id": ids[150], "reason": "contact.email takes a string, not list"},
        {
            "line": 251,
            "profile_id": ids[250],
            "reason": "set holds a field the platform does not own",
        },
        {"line": 351, "profile_id": ids[350], "reason": "seq takes an integer of 0 or more"},
        {"line": 451, "profile_id": None, "reason": "no profile_id"},
    ]
    assert cloud.stored(ids) == {id: body(id, "bad") for n, id in enumerate(ids) if n not in bad}
    assert cloud.profiles() - before == 495
    assert "jane@" not in cloud.project.log("ingest")


def test_what_a_row_does_not_say_stays_as_it_was(cloud: Cloud) -> None:
    ids = names("maps", 6)
    held = {"sessions": 7, "country": "DE", "theirs": 1, "x.y": {}, "country.code": "de"}
    theirs = {"crm": {"a.b": None}, "ga4": held, "ads": {}, "contact.email": "theirs"}
    cloud.project.platform.documents.commit([Put(PROFILES, id, theirs) for id in ids[:-1]])
    sets = [
        {"ga4": {"sessions": "8", "country": None}},  # a null
        {"ga4": {}, "ads": {}, "contact": {}},  # empty maps
        {"ga4": {"sessions": 8, "country.code": "fr"}},  # a dotted key
        {"ga4": {"sessions": 8, "country": "x" * 1_258_291}},  # 1.2 MiB
        {"ga4": {"sessions": 8}},
        {"ga4": {"sessions": 8}},
    ]
    sets = [{**fields, "consent": GRANTED} for fields in sets]
    rows = [{**row(id), "set": fields} for id, fields in zip(ids, sets, strict=True)]
    rows[4]["unset"] = ["ga4", "ads", "contact.email"]
    [receipt] = cloud.ingested(cloud.shard("maps", rows))
    assert counts(receipt) == (4, 0, 0, 2)
    assert cloud.rejected("maps") == [
        {
            "line": 3,
            "profile_id": ids[2],
            "reason": "set.ga4 holds a field the platform does not own",
        },
        {"line": 4, "profile_id": None, "reason": "over 1 MiB"},
    ]
    sync = {"sync": body("", "maps")["sync"], "consent": GRANTED}
    unset = {name: value for name, value in held.items() if name != "country"}
    assert cloud.stored(ids) == {
        ids[0]: {**theirs, "ga4": {**held, "sessions": 8}, **sync},
        ids[1]: {**theirs, **sync},
        ids[2]: theirs,
        ids[3]: theirs,
        ids[4]: {**theirs, "ga4": {**unset, "sessions": 8}, **sync},
        ids[5]: {"ga4": {"sessions": 8}, **sync},
    }


def test_a_message_that_names_what_is_not_its_own_is_refused_and_taken(cloud: Cloud) -> None:
    mail = "jane@example.com"
    good = cloud.shard("mine", [row("refused")])
    other = cloud.shard("theirs", [row("refused")])
    messages: list[Any] = [
        {**good, "bucket": "mine"},
        {**good, "collection": "accounts"},
        {**good, "mail": mail, "rows": mail, "run_id": mail},
        {**good, "name": other["name"]},
        {**good, "name": "runs/mine/../theirs/part-00000-000000000000.json"},
        {**good, "name": f"gs://mine/{good['name']}"},
        {**good, "run_id": "mine/0"},
        {"run_id": "mine"},
        {**good, "generation": -1},
    ]
    before = cloud.profiles()
    sent = cloud.publish(*messages)
    until(lambda: set(sent) <= {dead.id for dead in cloud.dead()})
    until(lambda: [cloud.front.answers(id) for id in sent] == [[200]] * len(sent))
    exactly = "the message must hold exactly run_id, shard, name, generation, rows"
    below = "name must be below the run's own folder"
    dead = {dead.id: dead for dead in cloud.dead()}
    assert [dead[id].reason for id in sent] == [
        *[exactly] * 3,
        below,
        "name must go on with part- and up to 250 of letters, digits and . _ -",
        below,
        "run_id must be up to 100 letters, digits, - and _",
        exactly,
        "generation must be a number of 0 or more",
    ]
    for id in sent:
        assert dead[id].attempts == 1
        assert "jane" not in json.dumps(dead[id].data)
        assert dead[id].data.keys() <= good.keys()
    told = [line for line in cloud.entries("ingest") if line.get("message_id") in sent]
    assert [line["message"] for line in told] == ["refused"] * len(sent)
    assert "jane@" not in cloud.project.log("ingest")
    assert cloud.stored(["refused"]) == {}
    assert cloud.profiles() == before
    assert cloud.project.platform.documents.get("receipts", "mine.0") is None
    assert counts(cloud.ingested(good)[0]) == (1, 0, 0, 0), "the genuine message still counts"


def test_an_object_that_changed_after_it_was_listed_is_not_ingested(cloud: Cloud) -> None:
    listed = cloud.shard("changed", map(row, names("changed", 5)))
    now = cloud.shard("changed", map(row, names("changed", 5, start=5)))
    assert now["generation"] != listed["generation"]
    before = cloud.profiles()
    [sent] = cloud.publish(listed)
    until(lambda: cloud.dead("changed"))
    [dead] = cloud.dead("changed")
    assert (dead.data, dead.attempts) == (listed, 5)
    assert "the log of the function ingest says why" in dead.reason
    assert cloud.front.answers(sent) == [500] * 5
    told = [line for line in cloud.entries("ingest") if line.get("message_id") == sent]
    assert [line["message"] for line in told] == ["failed"] * 5
    wrong = f"is generation {now['generation']}, not {listed['generation']}"
    assert all(wrong in line["reason"] for line in told)
    assert cloud.project.platform.documents.get("receipts", "changed.0") is None
    assert cloud.profiles() == before


def test_a_refresh_succeeds_though_nobody_took_its_messages_at_first(cloud: Cloud) -> None:
    cloud.forget()
    cloud.load("20261001")
    before = cloud.profiles()
    cloud.front.instances = []
    run_id = cloud.start()
    until(lambda: cloud.pushed(run_id))
    [foreign] = cloud.publish({"run_id": run_id})  # refused, and no message of the run's own
    until(lambda: cloud.front.answers(foreign))
    cloud.front.instances = [cloud.first]
    outcome = cloud.result(run_id)
    assert (outcome["state"], outcome["written"], outcome["undelivered"]) == ("succeeded", 30, 0)
    until(lambda: all(cloud.front.answers(id)[-1] == 200 for id in cloud.pushed(run_id)))
    answers = [cloud.front.answers(id) for id in cloud.pushed(run_id)]
    assert len(answers) == outcome["shards"] + 1
    assert [503 in told for told in answers].count(True) > 1
    receipts = cloud.receipts(run_id, outcome["shards"])
    assert sum(receipt["written"] for receipt in receipts) == outcome["exported"] == PEOPLE
    assert cloud.profiles() - before == PEOPLE
    assert cloud.visits() == {1: PEOPLE}


def test_what_a_refresh_could_not_deliver_is_told_and_comes_with_the_next(cloud: Cloud) -> None:
    cloud.forget()
    cloud.load("20261001")
    assert cloud.result(cloud.start())["state"] == "succeeded"  # alone, or after other tests
    cloud.load("20261001", "20261002")
    before = cloud.profiles()
    cloud.front.instances = []
    run_id = cloud.start()
    until(lambda: {0, 1, 2} <= {data["shard"] for data in cloud.pushed(run_id).values()})
    changed, lost = sorted(cloud.pushed(run_id).values(), key=lambda data: data["shard"])[:2]
    objects = cloud.project.platform.objects
    objects.put(changed["name"], b"{}\n" * changed["rows"])
    objects.delete(lost["name"])
    cloud.front.instances = [cloud.first]
    partial = cloud.result(run_id)
    missing = changed["rows"] + lost["rows"]
    assert partial["state"] == "partial"
    assert (partial["written"], partial["undelivered"]) == (PEOPLE - missing, missing)
    gave_up = "gave up after 5 attempts; the log of the function ingest says why"
    assert partial["dead_lettered"] == [{"shard": n, "reason": gave_up} for n in (0, 1)]
    dead = sorted((dead.data for dead in cloud.dead(run_id)), key=lambda data: data["shard"])
    assert dead == [changed, lost]
    assert cloud.project.platform.runs.get(run_id)["state"] == "partial"
    told = [line for line in cloud.entries("ingest") if line.get("run_id") == run_id]
    why = {line["shard"]: line["reason"] for line in told if line["message"] == "failed"}
    assert why.keys() == {0, 1}
    assert "is generation" in why[0]
    assert "there is no object" in why[1]
    assert cloud.visits() == {1: missing, 2: PEOPLE - missing}

    outcome = cloud.result(cloud.start())
    assert (outcome["state"], outcome["undelivered"]) == ("succeeded", 0)
    assert outcome["written"] >= missing
    assert outcome["written"] + outcome["unchanged"] == outcome["exported"]
    assert cloud.visits() == {2: PEOPLE}
    assert cloud.profiles() == before

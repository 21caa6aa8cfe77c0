"""What the workflow asks of Python, step by step: the lease, the plan, the shards, the end.

Each step is called by name with the run's id, may be called twice (the workflow retries), and
answers with a JSON map. Nothing here grows with the number of events or people.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cdp.domain import days
from cdp.domain.errors import CdpError, describe
from cdp.domain.identifiers import AROUND, INVISIBLE, identifier_key
from cdp.domain.payload import FIELDS, timestamp
from cdp.domain.policy import Policy
from cdp.domain.redaction import PIECES, SHAPE, SUSPECT, TOKEN
from cdp.insight import reports
from cdp.insight.erasure import number
from cdp.insight.overview import freshness
from cdp.objects.port import ObjectStore
from cdp.profiles.decisions import FIRST
from cdp.profiles.port import (
    DocumentStore,
)
from cdp.queue.port import DeadLetters, Queue
from cdp.refresh import decided, gate, schema
from cdp.refresh.erasing import Erasing
from cdp.refresh.pending import Pending
from cdp.refresh.runs import Runs
from cdp.refresh.shards import SHARDS_AT_MOST, TOPIC, Shards
from cdp.refresh.store import Store
from cdp.warehouse.port import Value, Warehouse
from cdp.warehouse.rest import parameter_values, query_parameter
from cdp.warehouse.spelling import spell_some
from cdp.warehouse.statements import statements

BATCHES_AT_MOST: Final = 250
"""Roughly: a batch ends with its day, so that there may be twice as many."""
_IDS_A_STATEMENT: Final = 10_000
_CLEANING: Final = ("00_tables", "10_events", "11_days", "12_signals")
_CLEANING_PARAMETERS: Final = (
    *("blocked", "not_user_id", "invisible", "around", "lead_events", "purchase_events", "signals"),
    *("parameters", "suspect", "shape", "token", "pieces"),
    *("gpc_parameter", "gpc_purposes", "denied_row", "ads_states", "linking_signal"),
)


class UnknownStep(CdpError):  # noqa: N818 - reads as the sentence it is
    """There is no step of this name."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a run; see the settings of the same names."""

    shard_rows: int
    batch_events: int
    delivery_timeout: int
    shard_days: int


class Steps:
    """The steps of one deployment.

    Args:
        salt: secret; profile ids are made with it.
        free_dead_lease: ends the run that holds the lease though its execution has ended, and
            returns its id; None where there is none.
        clock: returns the time, aware.
    """

    def __init__(
        self,
        *,
        warehouse: Warehouse,
        documents: DocumentStore,
        runs: Runs,
        objects: ObjectStore,
        queue: Queue,
        dead_letters: DeadLetters,
        policy: Policy,
        property: str,
        zone: ZoneInfo,
        salt: str,
        limits: Limits,
        free_dead_lease: Callable[[], str | None] = lambda: None,
        topic: str = TOPIC,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._warehouse = warehouse
        self._documents = documents
        self._runs = runs
        self._objects = objects
        self._store = Store(documents, salt)
        self._shards = Shards(
            warehouse=warehouse,
            documents=documents,
            objects=objects,
            queue=queue,
            dead_letters=dead_letters,
            topic=topic,
        )
        self._erasing = Erasing(
            warehouse=warehouse,
            documents=documents,
            objects=objects,
            speller=policy.speller,
            property=property,
            salt=salt,
            clock=clock,
        )
        self._policy = policy
        self._property = property
        self._zone = zone
        self._salt = salt
        self._limits = limits
        self._free_dead_lease = free_dead_lease
        self._clock = clock

    def call(self, name: str, run_id: str, body: Any) -> dict[str, Any]:
        """Answer the step *name* of the run *run_id*.

        Raises:
            UnknownStep: there is none of this name.
            CdpError: what the step says.
        """
        known: dict[str, Callable[[str, Any], dict[str, Any]]] = {
            "lease": self.lease,
            "schema": self.schema,
            "erase": self.erase,
            "plan": self.plan,
            "recall": self.recall,
            "spell": self.spell,
            "batch": self.batch,
            "salt": self.salt,
            "manifest": self._shards.manifest,
            "deliver": self._shards.deliver,
            "receipts": self._shards.receipts,
            "publish": self.publish,
            "settle": self.settle,
            "fail": self.fail,
        }
        if name not in known:
            raise UnknownStep(f"no step {name!r}; there are {', '.join(known)}")
        if name in {"erase", "plan", "settle"} and (outcome := self._told(run_id)):
            return outcome if name == "settle" else {"nothing_new": True, "outcome": outcome}
        if name != "lease":
            self._runs.renew(run_id)
        return known[name](run_id, body)

    def _told(self, run_id: str) -> dict[str, Any] | None:
        """Return the outcome of a run that ended well, whose answer was lost and is asked again."""
        found = self._documents.get("runs", run_id)
        if found is None or found.body["state"] not in {"succeeded", "partial"}:
            return None
        kept = {"started_at", "ended_at", "arguments", "days", "outnumbered"}
        beside = kept | {"decisions", "permission"}
        return {name: value for name, value in found.body.items() if name not in beside}

    def lease(self, run_id: str, body: Any) -> dict[str, Any]:
        """Let one refresh run at a time; answer the second start with the run that holds the lease.

        Returns:
            `granted: true`, or `granted: false` with `state: held`, `held_by` and `since`.
        """
        if dead := self._free_dead_lease():
            # What it left at work would write over what this run makes.
            self._warehouse.stop(dead)
            self._shards.discard(dead)
        held = self._runs.take(run_id, dict(body or {}))
        if held is None:
            return {"granted": True}
        return {
            "granted": False,
            "state": "held",
            "run_id": run_id,
            "held_by": held["run_id"],
            "since": held["taken_at"],
        }

    def schema(self, run_id: str, body: Any) -> dict[str, Any]:
        """Say which `migrations` are still to be applied; once there are none, let it be planned.

        Args:
            body: `since`, `until` (YYYY-MM-DD or null).
        """
        del run_id
        arguments = dict(body or {})
        every_day = not (arguments.get("since") or arguments.get("until"))
        left = schema.pending(self._warehouse, self._documents, every_day=every_day)
        return {"migrations": left}

    def erase(self, run_id: str, body: Any) -> dict[str, Any]:
        """Carry out the erasures that wait, before anything is planned over what they take away.

        Args:
            body: `erase`: the run is for that alone.

        Returns:
            `nothing_new` with the run's `outcome`, where the run ends here.
        """
        carried_out = self._erasing.carry_out(run_id, self._runs.get(run_id)["seq"])
        if carried_out:
            self._runs.note(run_id, erased=len(carried_out))
        if not (body or {}).get("erase"):
            return {"nothing_new": False}
        outcome = self._outcome(run_id, "succeeded", {"erased": len(carried_out)})
        self._runs.end(run_id, "succeeded", outcome)
        return {"nothing_new": True, "outcome": outcome}

    # --- plan -------------------------------------------------------------------------------------

    def plan(self, run_id: str, body: Any) -> dict[str, Any]:
        """Say what there is to do, with the parameters of every statement.

        Args:
            body: `since`, `until` (YYYY-MM-DD or null), `full`.

        Returns:
            `nothing_new` with the run's `outcome`, or `parameters`, how many `batches` of days
            there are to clean, and limits; `recall`: see there.

        Raises:
            CdpError: the document store's profile ids were made with another salt.
        """
        arguments = dict(body or {})
        full = bool(arguments.get("full"))
        store = self._store.told()
        asked: dict[str, Value] = {
            "store_run": str(store.get("run_id", "")),
            "now": self._clock(),
        }
        state = self._warehouse.query(statements()["90_state"], asked).to_dicts()[0]
        decisions = decided.copy(self._documents, self._warehouse, after=state["decision"])
        run = self._runs.outnumber(run_id, state["seq"])
        doubt = self._store.is_another(state, run)
        cleaned = {
            row["event_date"]: f"{row['suffix']}@{row['version']}"
            for row in self._warehouse.query(statements()["91_cleaned_days"], {}).to_dicts()
        }
        rules = self._cleaning_digest()
        tables = [
            replace(table, version=f"{table.version}-{rules}")
            for table in self._warehouse.export_tables()
        ]
        work = days.plan_days(
            tables,
            cleaned,
            today=self._clock().astimezone(self._zone).date(),
            since=_day(arguments, "since"),
            until=_day(arguments, "until"),
            full=full,
        )
        for day in work:
            cleaned[day.table.day] = days.version_of(day.table)
        fingerprint = self._fingerprint(cleaned, decisions)
        recall = full or doubt or self._store.miscounts(state)
        nothing_new = (
            not work
            and not recall
            and not state["due"]
            and state["unsettled"] == 0
            and state["fingerprint"] == fingerprint
            and state["run_id"] == self._warehouse.published_run()
        )
        if nothing_new:
            outcome = self._outcome(run_id, "succeeded", {"nothing_new": True})
            self._expire()
            self._runs.end(run_id, "succeeded", outcome)
            return {"nothing_new": True, "outcome": outcome}
        self._runs.note(
            run_id,
            decisions=decisions,
            days=[
                {
                    "day": day.table.day.isoformat(),
                    "table": f"events_{day.table.suffix}",
                    "rows": day.table.rows,
                    "state": day.state.value,
                    "restated": day.restated,
                }
                for day in work
            ],
            **gate.noted(self._policy.permission()),
        )
        # Years of days are more than the workflow's variables hold: it asks for each batch.
        batches = [
            {
                "suffixes": query_parameter("suffixes", [day.table.suffix for day in batch]),
                "dates": query_parameter("dates", [day.table.day for day in batch]),
                "days": query_parameter("days", [_day_row(day) for day in batch]),
            }
            for batch in days.batches(work, self._batch_events(work))
        ]
        self._objects.put(_plan_name(run_id), json.dumps(batches).encode())
        return {
            "nothing_new": False,
            "recall": recall,
            "doubt": query_parameter("doubt", doubt),
            "parameters": _rest(self._parameters(run, full, fingerprint, str(store["id"]))),
            "batches": len(batches),
            "seq": query_parameter("seq", int(run["seq"])),
            "shard_rows": self._limits.shard_rows,
            "shards_at_most": SHARDS_AT_MOST,
            "delivery_timeout": self._limits.delivery_timeout,
        }

    def _batch_events(self, work: Sequence[days.DayWork]) -> int:
        """Return how many events a batch has, so that there are not too many batches."""
        return max(
            self._limits.batch_events, sum(day.table.rows for day in work) // BATCHES_AT_MOST
        )

    def _parameters(
        self, run: Mapping[str, Any], full: bool, fingerprint: str, store_id: str
    ) -> dict[str, Value]:
        policy = self._policy
        return {
            **policy_parameters(policy),
            "property": self._property,
            "policy": policy.digest,
            "seq": int(run["seq"]),
            "run_id": str(run["run_id"]),
            "now": self._clock(),
            "full": full,
            "fingerprint": fingerprint,
            "store_id": store_id,
            "erased": number(self._documents) > 0,
        }

    def _cleaning_digest(self) -> str:
        """Name the rules by which days are cleaned; other rules clean every day again."""
        parts = [statements()[name] for name in _CLEANING]
        rules = policy_parameters(self._policy)
        parts += [self._property, *(str(rules[name]) for name in _CLEANING_PARAMETERS)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]

    def _fingerprint(self, cleaned: Mapping[date, str], decisions: str) -> str:
        """Name all input of a run: equal fingerprints end in equal profiles."""
        parts = [decisions, *(f"{day}={version}" for day, version in sorted(cleaned.items()))]
        parts += self._warehouse.loaded_versions()
        parts += [self._policy.digest, *statements().values()]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    def recall(self, run_id: str, body: Any) -> dict[str, Any]:
        """Tell the warehouse which live profiles the document store has, some at a time.

        What it has and nobody knows of is to be removed, and what it has lost to be brought again.

        Args:
            body: `cursor` of the call before; null at the start.

        Returns:
            `done`, and the `cursor` to go on from.
        """
        del run_id
        ids, cursor = self._store.live((body or {}).get("cursor"))
        for start in range(0, len(ids), _IDS_A_STATEMENT):
            some = ids[start : start + _IDS_A_STATEMENT]
            self._warehouse.run(statements()["83_store"], {"ids": some})
        return {"done": cursor is None, "cursor": cursor}

    def spell(self, run_id: str, body: Any) -> dict[str, Any]:
        """Spell identifiers of loaded links and decisions that were not yet, many at a time.

        Returns:
            `done`.
        """
        del run_id, body
        return {"done": spell_some(self._warehouse, self._policy.speller())}

    def batch(self, run_id: str, body: Any) -> dict[str, Any]:
        """Let the next statements read the export's tables of one batch of the plan.

        Args:
            body: `number`, from 1.

        Returns:
            `suffixes`, `dates` and `days`: the batch's parameters.
        """
        with self._objects.open(_plan_name(run_id)) as file:
            batch: dict[str, Any] = json.load(file)[body["number"] - 1]
        suffixes = parameter_values([batch["suffixes"]])["suffixes"]
        assert isinstance(suffixes, list)
        self._warehouse.show_export(suffixes)
        return batch

    def salt(self, run_id: str, body: Any) -> dict[str, Any]:
        """Hand out what profile ids and keyed identifiers are made with, to a statement each.

        Not in the plan: every job of the run would show it.
        """
        del run_id, body
        return {
            "salt": query_parameter("salt", self._salt),
            "key": query_parameter("key", identifier_key(self._salt)),
        }

    # --- the end ----------------------------------------------------------------------------------

    def publish(self, run_id: str, body: Any) -> dict[str, Any]:
        """Let pages see what the run made; before it counts as settled, or they might never.

        Returns:
            `totals` over everything.
        """
        del body
        run = self._runs.get(run_id)
        totals = self._warehouse.query(statements()["92_stats"], policy_parameters(self._policy))
        now = self._clock()
        reports.write(
            self._warehouse,
            self._documents,
            self._policy,
            today=now.astimezone(self._zone).date(),
            stamp={"run_id": run_id, "seq": run["seq"], "at": timestamp(now)},
        )
        self._warehouse.publish(run_id)
        return {"totals": totals.to_dicts()[0]}

    def settle(self, run_id: str, body: Any) -> dict[str, Any]:
        """End the run: succeeded when every shard's receipt adds up to the manifest, else partial.

        Partial is also a run that met rows of another writer: no number of a run is greater than
        that of the one that holds the lease.

        Args:
            body: `exported`, `shards`, `rounds`, `jumps`, `totals`.
        """
        Pending(self._documents, self._runs.get(run_id).get("decisions", FIRST)).settle()
        delivered = self._shards.delivered(run_id)
        complete = not any(delivered[name] for name in ("undelivered", "rejected", "stale"))
        self._shards.discard_delivered(run_id)
        if complete:
            self._store.settled(run_id)
        more = {**delivered, **body}
        outcome = self._outcome(run_id, "succeeded" if complete else "partial", more)
        self._runs.end(run_id, outcome["state"], outcome)
        return outcome

    def fail(self, run_id: str, body: Any) -> dict[str, Any]:
        """End the run as failed, with the error in words."""
        self._warehouse.stop(run_id)
        self._runs.end(run_id, "failed", {"error": describe((body or {}).get("error"))})
        self._shards.discard(run_id)  # its end is known, and what is delivered late refused
        self._expire()
        return {}

    def _expire(self) -> None:
        self._shards.expire(self._clock() - timedelta(days=self._limits.shard_days))

    # --- documents --------------------------------------------------------------------------------

    def _outcome(self, run_id: str, state: str, more: Mapping[str, Any]) -> dict[str, Any]:
        run = self._runs.get(run_id)
        started = datetime.fromisoformat(run["started_at"])
        zeros = dict.fromkeys(
            ("exported", "shards", "written", "unchanged", "stale", "rejected", "undelivered"), 0
        )
        return {
            "run_id": run_id,
            "seq": run["seq"],
            "state": state,
            **zeros,
            **self._complete(),
            **more,
            "days_cleaned": len(run.get("days", ())),
            "seconds": round((self._clock() - started).total_seconds(), 3),
        }

    def _complete(self) -> dict[str, Any]:
        """Say up to which day events are complete, and how many days ago that was.

        An alert looks for the days: where GA4 no longer exports, each run succeeds with nothing.
        """
        today = self._clock().astimezone(self._zone).date()
        cleaned = self._warehouse.query(statements()["91_cleaned_days"], {}).to_dicts()
        until = freshness(cleaned, today)["complete_until"]
        behind = (today - date.fromisoformat(until)).days if until else None
        return {"complete_until": until, "days_behind": behind}


def _plan_name(run_id: str) -> str:
    return f"runs/{run_id}/plan.json"


def policy_parameters(policy: Policy) -> dict[str, Value]:
    """Return the statements' parameters that the policy decides."""
    purposes = policy.purposes
    linking = policy.linking.purpose
    ads = policy.signalled("ads_storage")
    silent = bool(ads) and purposes[str(ads)].unknown == "granted"
    return {
        "blocked": policy.blocked_pattern(),
        "not_user_id": policy.not_a_user_id_pattern(),
        "invisible": INVISIBLE,
        "around": AROUND,
        "parameters": policy.parameters_pattern(),
        "suspect": SUSPECT,
        "shape": SHAPE,
        "token": TOKEN,
        "pieces": PIECES,
        "rules": policy.speller().digest,
        "lead_events": policy.events.leads,
        "purchase_events": policy.events.purchases,
        "signals": _signals(policy),
        "gpc_parameter": policy.gpc.parameter if policy.gpc else "",
        "gpc_purposes": policy.gpc.purposes if policy.gpc else (),
        "denied_row": policy.decisions.denied_row,
        "ads_states": ("granted", "unknown") if silent else ("granted",),
        "measuring": policy.measuring() or linking,
        "linking": linking,
        "linking_signal": purposes[linking].ga4_signal or "",
        "unstated": policy.linking.unstated,
        "silence": [
            f"{name}|{country}|{answer}"
            for name, purpose in purposes.items()
            for country, answer in {"": purpose.unknown, **purpose.unknown_in}.items()
        ],
        "limits": [f"{pair.replace('.', '|')}|{most}" for pair, most in policy.limits.items()],
        "explicit_sources": policy.decisions.explicit,
        "purposes": tuple(purposes),
        "purpose_rules": [
            f"{name}|{purpose.scope}|{purpose.months or ''}" for name, purpose in purposes.items()
        ],
        "value_purposes": [f"|{n}|" for n, purpose in purposes.items() if purpose.scope == "value"],
        "unknown_granted": policy.silent,
        "kept": policy.identifiers.kept,
        **{f"may_{path.replace('.', '_')}": f"|{policy.purpose_of(path)}|" for path in FIELDS},
    }


def _signals(policy: Policy) -> list[str]:
    return [
        f"{name}|{purpose.ga4_signal}"
        for name, purpose in policy.purposes.items()
        if purpose.ga4_signal
    ]


def _rest(parameters: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [query_parameter(name, value) for name, value in parameters.items()]


def _day(arguments: Mapping[str, Any], name: str) -> date | None:
    value = arguments.get(name)
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise CdpError(f"{name} is {value!r}; write a day as YYYY-MM-DD") from None


def _day_row(day: days.DayWork) -> str:
    table = day.table
    parts: Sequence[Any] = (
        f"{table.day:%Y%m%d}",
        table.suffix,
        table.version,
        day.state.value,
        table.rows,
    )
    return "|".join(map(str, parts))

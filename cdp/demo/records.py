"""Links, consent decisions and the truth: what the demo property says beside its events."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from cdp.demo import behaviour as does
from cdp.demo import vocabulary as words
from cdp.demo.behaviour import Events
from cdp.demo.export import user_values, without_client
from cdp.demo.population import NEVER, NO, NOBODY, YES, Array, Population
from cdp.domain.consent import Statement, closes, word

_STATES: Final = ("granted", "denied", "unknown")
_PURPOSES: Final = ("analytics", "ads", "marketing")
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
_DAY: Final = 86_400 * does.SECOND


@dataclass(frozen=True, slots=True)
class _Rows:
    """Columns of one length."""

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


@dataclass(frozen=True, slots=True)
class Observed(_Rows):
    """Moments when a device showed who uses it: a row with user_id, a form, a login."""

    device: Array
    actor: Array
    user: Array  # the row's user code
    at: Array
    kind: Array
    granted: Array


@dataclass(frozen=True, slots=True)
class Spoken(_Rows):
    """What rows said of analytics: of a device with its client id, or of the user without one."""

    device: Array
    user: Array  # NOBODY where the device speaks
    consent: Array
    first: Array
    last: Array


def speak(events: Events, *, final: bool) -> Spoken:
    """Keep when devices, and users on rows without a client, said what first and last."""
    alone = without_client(events, intraday=not final)
    speaks = np.isin(events.consent, (YES, NO)) & (~alone | (events.user >= 0))
    who = pl.DataFrame(
        {
            "device": np.where(alone, -1, events.device)[speaks],
            "user": np.where(alone, events.user, NOBODY)[speaks],
            "consent": events.consent[speaks],
            "at": events.at[speaks],
        }
    )
    kept = who.group_by("device", "user", "consent", maintain_order=True).agg(
        first=pl.col("at").min(), last=pl.col("at").max()
    )
    return Spoken(**{f.name: kept[f.name].to_numpy() for f in fields(Spoken)})


def observe(events: Events, *, final: bool) -> Observed:
    """Keep the first row of each (device, user, consent), every form and every login."""
    shown = ~without_client(events, intraday=not final)
    rows = np.flatnonzero(shown & ((events.user != NOBODY) | (events.kind == does.GENERATE_LEAD)))
    rows = rows[np.argsort(events.at[rows], kind="stable")]
    kept = np.isin(events.kind[rows], (does.GENERATE_LEAD, does.LOGIN))
    seen = np.stack([events.device[rows], events.user[rows], events.consent[rows]])
    _, first = np.unique(seen, axis=1, return_index=True)
    kept[first] = True
    rows = rows[kept]
    return Observed(
        device=events.device[rows],
        actor=events.actor[rows],
        user=events.user[rows],
        at=events.at[rows],
        kind=events.kind[rows],
        granted=events.consent[rows] == YES,
    )


def links(
    population: Population, observed: Observed, start: int, end: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Return the rows of both link files; canonical values beside the written ones."""
    frame = pl.concat(
        [
            _crm(population, start, end, rng),
            _lead_forms(population, observed, rng),
            _server_side(population, observed, rng),
        ]
    )
    # Some are told again later, never with less consent than before.
    again = frame.filter(pl.lit(rng.random(frame.height) < 0.03))
    later = pl.Series(rng.integers(1, 3 * 86_400, again.height)) * does.SECOND
    again = again.with_columns(at=(pl.col("at") + later).clip(upper_bound=end))
    frame = pl.concat([frame, again])
    return frame.with_columns(
        _written("a", frame, rng), _written("b", frame, rng), _instant("at").alias("instant")
    ).sort("at", "a", "b", maintain_order=True)


def _crm(population: Population, start: int, end: int, rng: np.random.Generator) -> pl.DataFrame:
    user_id, email, second, phone = (
        pl.Series(values)
        for values in (
            population.user_id,
            population.email,
            population.second_email,
            population.phone,
        )
    )
    people, known = population.people, population.logs_in

    def share(part: float) -> Array:
        return rng.random(people) < part

    has_phone = phone.is_not_null().to_numpy()
    has_second = second.is_not_null().to_numpy()
    parts = [
        ("user_id", user_id, "email", email, known & share(0.9)),
        ("user_id", user_id, "email", second, known & has_second & share(0.5)),
        ("email", email, "phone", phone, has_phone & ((known & share(0.7)) | share(0.08))),
    ]
    frame = pl.concat(
        [
            _links("crm", a_type, a.filter(pl.Series(who)), b_type, b.filter(pl.Series(who)))
            for a_type, a, b_type, b, who in parts
        ]
    )
    junk = pl.lit(rng.random(frame.height) < 0.006)
    spoiled = pl.Series(rng.choice(words.JUNK_VALUES, frame.height))
    return frame.with_columns(
        pl.when(junk).then(spoiled).otherwise("a").alias("a"),
        at=pl.Series(rng.integers(start - 400 * _DAY, end, frame.height)),
        consent=pl.Series(_drawn(rng, frame.height, (0.80, 0.09, 0.11))),
    )


def _lead_forms(
    population: Population, observed: Observed, rng: np.random.Generator
) -> pl.DataFrame:
    rows = np.flatnonzero(observed.kind == does.GENERATE_LEAD)
    rows = rows[rng.random(len(rows)) < 0.85]
    actor = observed.actor[rows]
    first = pl.Series(population.email.take(actor))
    second = pl.Series(population.second_email.take(actor))
    draw = pl.Series(rng.random(len(rows)))
    device = pl.Series(population.pseudo_id.take(observed.device[rows]))
    frame = _links("lead_form", "client_id", device, "email", first)
    typed = pl.when(second.is_not_null() & (draw < 0.3)).then(second).otherwise(pl.col("b"))
    typed = pl.when(draw > 0.94).then(pl.lit(words.JUNK_EMAIL)).otherwise(typed)
    client = pl.when(pl.lit(rng.random(len(rows)) < 0.005)).then(pl.lit("(not set)"))
    return frame.with_columns(client.otherwise("a").alias("a"), b=typed).with_columns(
        at=pl.Series(observed.at[rows] + does.SECOND),
        consent=pl.Series(_consent_at(observed.granted[rows], rng)),
    )


def _server_side(
    population: Population, observed: Observed, rng: np.random.Generator
) -> pl.DataFrame:
    real = (observed.user >= 0) & (observed.user < population.people)
    rows = np.flatnonzero((observed.kind == does.LOGIN) & real)
    rows = rows[rng.random(len(rows)) < 0.4]
    device = pl.Series(population.pseudo_id.take(observed.device[rows]))
    user = pl.Series(population.user_id.take(observed.actor[rows]))
    junk = pl.when(pl.lit(rng.random(len(rows)) < 0.005)).then(pl.lit("null")).otherwise("b")
    return (
        _links("sgtm", "client_id", device, "user_id", user)
        .with_columns(b=junk)
        .with_columns(
            at=pl.Series(observed.at[rows] + does.SECOND // 4),
            consent=pl.Series(_consent_at(observed.granted[rows], rng)),
        )
    )


def _links(source: str, a_type: str, a: pl.Series, b_type: str, b: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"a": a, "b": b}).select(
        pl.lit(a_type).alias("a_type"),
        "a",
        pl.lit(b_type).alias("b_type"),
        "b",
        pl.lit(source).alias("source"),
    )


def _drawn(rng: np.random.Generator, count: int, shares: Sequence[float]) -> Array:
    return np.array(_STATES)[rng.choice(len(shares), size=count, p=shares)]


def _consent_at(granted: Array, rng: np.random.Generator) -> Array:
    """Return the consent to link, as a site would know it from the state of its tags."""
    yes = _drawn(rng, len(granted), (0.92, 0.05, 0.03))
    maybe = _drawn(rng, len(granted), (0.15, 0.15, 0.70))
    return np.where(granted, yes, maybe)


def _written(side: str, frame: pl.DataFrame, rng: np.random.Generator) -> pl.Expr:
    """Write e-mails and phones as people type them: other case, stray spaces, grouped digits."""
    value, draw = pl.col(side), pl.lit(pl.Series(rng.random(frame.height)))
    mail = (
        pl.when(draw < 0.10)
        .then(value.str.to_titlecase())
        .when(draw < 0.13)
        .then(value.str.to_uppercase())
        .when(draw < 0.16)
        .then(pl.lit(" ") + value)
        .when(draw < 0.18)
        .then(value + pl.lit("  "))
        .otherwise(value)
    )
    grouped = value.str.replace(r"^(\+\d{2})(\d{3})(\d+)$", "$1 $2 $3")
    phone = pl.when(draw < 0.3).then(grouped).otherwise(value)
    type_ = pl.col(f"{side}_type")
    return (
        pl.when(type_ == "email")
        .then(mail)
        .when(type_ == "phone")
        .then(phone)
        .otherwise(value)
        .alias(f"{side}_value")
    )


def _instant(column: str) -> pl.Expr:
    return pl.from_epoch(pl.col(column), time_unit="us").dt.strftime(_INSTANT)


def decisions(
    population: Population, start: int, end: int, rng: np.random.Generator
) -> pl.DataFrame:
    """Return what people decided outside the events: banner, preferences, CRM, support."""
    email = pl.Series(population.email)
    known = np.flatnonzero(population.logs_in)

    def some(rows: Array, part: float) -> Array:
        picked: Array = rows[rng.random(len(rows)) < part]
        return picked

    def decided(
        type_: str,
        values: Any,
        purpose: str,
        source: str,
        *,
        yes: float,
        at: Array | None = None,
    ) -> pl.DataFrame:
        count = len(values)
        state = np.where(rng.random(count) < yes, "granted", "denied")
        when = rng.integers(start - 30 * _DAY, end, count) if at is None else at
        return pl.DataFrame({"value": pl.Series(values), "state": state, "at": when}).select(
            pl.lit(type_).alias("type"),
            "value",
            pl.lit(purpose).alias("purpose"),
            "state",
            "at",
            pl.lit(source).alias("source"),
        )

    changed = np.flatnonzero((population.changed_at < end) & (population.change_day > 0))
    parts = []
    for state, yes in ((YES, 1.0), (NO, 0.0)):
        rows = changed[population.after[changed] == state]
        clients = population.pseudo_id.take(rows)
        at = population.changed_at[rows]
        parts += [
            decided("client_id", clients, purpose, "preference_centre", yes=yes, at=at)
            for purpose in ("analytics", "ads")
        ]
    asked = some(known, 0.05)
    parts += [
        decided("user_id", population.user_id.take(asked), p, "preference_centre", yes=0.6)
        for p in _PURPOSES
    ]
    everyone = np.arange(population.people)
    parts += [
        decided("email", email[some(everyone, 0.25)], "marketing", "crm", yes=0.7),
        decided("email", email[some(everyone, 0.01)].str.to_titlecase(), "ads", "support", yes=0.1),
        decided("email", email[some(everyone, 0.01)], "marketing", "support", yes=0.1),
    ]
    return (
        pl.concat(parts)
        .sort("at", "type", "value", "purpose", maintain_order=True)
        .with_columns(at=_instant("at"))
    )


def write(
    out: Path,
    population: Population,
    observed: Observed,
    spoken: Spoken,
    *,
    links: pl.DataFrame,
    decisions: pl.DataFrame,
) -> int:
    """Write links, decisions and truth; return how many devices are shared."""
    (out / "links").mkdir(parents=True, exist_ok=True)
    (out / "consent").mkdir(parents=True, exist_ok=True)
    columns = ["a_type", "a_value", "b_type", "b_value", "at", "source", "consent"]
    told = links.with_columns(at=pl.col("instant")).select(columns)
    crm = pl.col("source") == "crm"
    told.filter(crm).write_ndjson(out / "links" / "crm_links.ndjson")
    told.filter(~crm).write_csv(out / "links" / "web_links.csv")
    decisions.write_csv(out / "consent" / "decisions.csv")
    evidence = _evidence(population, observed, links)
    closed = _closed(population, spoken, decisions, evidence)
    evidence = evidence.with_columns(
        closed=pl.any_horizontal(
            pl.concat_str(f"{end}_type", f"{end}_value", separator="|").is_in(closed)
            for end in ("a", "b")
        )
    )
    evidence.write_parquet(out / "truth_evidence.parquet")
    truth = _truth(population, observed)
    truth.write_parquet(out / "truth.parquet")
    return int(truth["shared"].sum())


def _truth(population: Population, observed: Observed) -> pl.DataFrame:
    """Say whose each identifier is; a device that showed two people is nobody's."""
    shows = (observed.user >= 0) | (observed.kind == does.GENERATE_LEAD)
    device, actor = np.unique(np.stack([observed.device, observed.actor])[:, shows], axis=1)
    user = population.owner.copy()
    user[device] = actor
    shared = pl.Series(np.bincount(device, minlength=len(user)) > 1)
    everyone = pl.Series(np.arange(population.people))
    known = pl.Series(population.logs_in)
    columns = [
        ("client_id", pl.Series(population.pseudo_id), pl.Series(user), shared),
        ("user_id", pl.Series(population.user_id).filter(known), everyone.filter(known), False),
        ("email", pl.Series(population.email), everyone, False),
        ("email", pl.Series(population.second_email), everyone, False),
        ("phone", pl.Series(population.phone), everyone, False),
    ]
    frame = pl.concat(
        [
            pl.DataFrame({"value": value, "person": person}).select(
                pl.lit(type_).alias("type"), "value", "person", pl.lit(alone).alias("shared")
            )
            for type_, value, person, alone in columns
        ]
    )
    mine = pl.when(~pl.col("shared")).then("person").alias("person")
    return frame.with_columns(mine).drop_nulls("value")


def _evidence(population: Population, observed: Observed, links: pl.DataFrame) -> pl.DataFrame:
    """Return every pair that events or links showed, once for each state of consent."""
    rows = np.flatnonzero(observed.user != NOBODY)
    spelled = user_values(population)
    seen = _links(
        "events",
        "client_id",
        pl.Series(population.pseudo_id.take(observed.device[rows])),
        "user_id",
        pl.Series(spelled.take(observed.user[rows] % len(spelled))),
    ).with_columns(at=pl.Series(observed.at[rows]), granted=pl.Series(observed.granted[rows]))
    told = links.with_columns(granted=pl.col("consent") == "granted").select(seen.columns)
    pair = {"a_type": "a_type", "a": "a_value", "b_type": "b_type", "b": "b_value"}
    return (
        pl.concat([seen, told])
        .rename(pair)
        .group_by(*pair.values(), "granted", maintain_order=True)
        .agg(
            pl.from_epoch(pl.col("at").min(), time_unit="us")
            .dt.replace_time_zone("UTC")
            .alias("observed_at")
        )
    )


def _closed(
    population: Population, spoken: Spoken, decisions: pl.DataFrame, evidence: pl.DataFrame
) -> list[str]:
    """Return who denies to be joined in the end, as type|value: their evidence joins nobody."""
    beside: dict[str, set[str]] = defaultdict(set)  # the user ids that each was seen with
    seen = evidence.filter("granted").select("a_type", "a_value", "b_type", "b_value")
    for a_type, a, b_type, b in seen.iter_rows():
        for end, other_type, other in ((f"{a_type}|{a}", b_type, b), (f"{b_type}|{b}", a_type, a)):
            if other_type == "user_id":
                beside[end].add(other)
    said = [
        *_said_by_events(population, spoken, beside),
        *(
            _said(type_, value, state == "granted", _micros(at), source)
            for type_, value, state, at, source in decisions.filter(purpose="analytics")
            .select("type", "value", "state", "at", "source")
            .iter_rows()
        ),
    ]
    of: dict[tuple[str, str], list[Statement]] = defaultdict(list)
    for one in said:
        of[one.type, one.value].append(one)
    weighed = {who: word(rows, _LATER, None) for who, rows in of.items()}
    closed = []
    for (type_, value), found in weighed.items():
        yeses = [weighed.get(("user_id", user)) for user in beside[f"{type_}|{value}"]]
        standing = max((yes.yes_at for yes in yeses if yes and yes.yes_at), default=None)
        if closes(found, type_, standing):
            closed.append(f"{type_}|{value}")
    return closed


def _said_by_events(
    population: Population, spoken: Spoken, beside: Mapping[str, set[str]]
) -> Iterator[Statement]:
    """Yield what devices say, and users on rows without a client."""
    pings: dict[str, list[int]] = defaultdict(list)
    devices: dict[int, dict[int, tuple[int, int]]] = defaultdict(dict)
    for device, user, consent, first, last in zip(
        *(getattr(spoken, f.name).tolist() for f in fields(Spoken)), strict=True
    ):
        if user == NOBODY:
            known = devices[device].get(consent, (first, last))
            devices[device][consent] = (min(first, known[0]), max(last, known[1]))
        elif consent == NO and user < population.people:  # what is no user id says nothing
            pings[population.user_id[user].as_py()] += [first, last]
    for device, answers in devices.items():
        client = population.pseudo_id[device].as_py()
        for consent, (first, last) in answers.items():
            other = answers.get(NO if consent == YES else YES)
            # The answer in force began after the last of the other; an earlier one began first.
            at = first if other is None or other[1] > last else max(first, other[1] + 1)
            yield _said("client_id", client, consent == YES, at)
        began = answers.get(YES, (NEVER, 0))[0]
        if began < answers.get(NO, (NEVER, 0))[0]:  # a device that had not spoken before
            for user in beside[f"client_id|{client}"] & pings.keys():
                if began > min(pings[user]):
                    yield _said("user_id", user, yes=True, at=began)
    for user, moments in pings.items():
        for moment in moments:
            yield _said("user_id", user, yes=False, at=moment)


def _said(type_: str, value: str, yes: bool, at: int, source: str = "ga4") -> Statement:
    moment = _EPOCH + timedelta(microseconds=at)
    explicit = source in {"preference_centre", "support"}
    return Statement(type_, value, "granted" if yes else "denied", moment, source, explicit)


def _micros(at: str) -> int:
    return (datetime.fromisoformat(at) - _EPOCH) // timedelta(microseconds=1)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATER: Final = datetime(9999, 1, 1, tzinfo=UTC)

"""Links, consent decisions and the truth: what the demo property says beside its events."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import polars as pl

from cdp.demo import behaviour as does
from cdp.demo import vocabulary as words
from cdp.demo.behaviour import Events
from cdp.demo.export import user_values, without_client
from cdp.demo.population import NO, NOBODY, YES, Array, Population

_STATES: Final = ("granted", "denied", "unknown")
_PURPOSES: Final = ("analytics", "ads", "marketing")
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
_DAY: Final = 86_400 * does.SECOND


@dataclass(frozen=True, slots=True)
class Observed:
    """Moments when a device showed who uses it: a row with user_id, a form, a login."""

    device: Array
    actor: Array
    user: Array  # the row's user code
    at: Array
    kind: Array
    granted: Array

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


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
    _evidence(population, observed, links).write_parquet(out / "truth_evidence.parquet")
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

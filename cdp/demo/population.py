"""Who lives in the demo property: people, their devices, and what they allow."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cdp.demo import vocabulary as words

Array = npt.NDArray[Any]

# Consent as privacy_info spells it; a null is a site without consent mode.
YES, NO, UNSET, NULL = range(4)
PRIVACY: Final = ("Yes", "No", "Unset", None)

NEVER: Final = np.iinfo(np.int64).max
NOBODY: Final = -1  # a user code: the row carries no user_id
FIRST_TRAP: Final = -2  # user codes from here down: a value that means nobody

_SESSIONS_A_DAY: Final = 0.52  # a person, on average: about 3.6 events
_SPREAD: Final = 1.2  # of the log-normal rate: a few people make a large part of the events
_HEAVIEST: Final = 23.0  # times the average
_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Population:
    """Columns: one entry a person (`user_id` … `phone`) or a device (`owner` … `source`).

    Devices of one person are neighbours: person p owns `first_device[p]` up to
    `first_device[p + 1]`. The last four columns change while the days pass.
    """

    user_id: Any
    email: Any
    second_email: Any  # null: has one address
    phone: Any  # null: has none
    logs_in: Array
    first_device: Array

    owner: Array
    partner: Array  # the second person of a shared device, or NOBODY
    stream: Array
    pseudo_id: Any
    rate: Array  # sessions a day
    before: Array  # consent before and after `changed_at`
    after: Array
    change_day: Array  # the first session on or after this day changes it
    ads_refused: Array
    model: Array
    city: Array
    source: Array  # of the first visit
    changed_at: Array
    sessions: Array  # consented ones so far
    first_touch: Array  # microseconds, UTC; NEVER until the first consented session
    revenue: Array

    @property
    def people(self) -> int:
        return len(self.logs_in)


def populate(people: int, days: int, start: int, rng: np.random.Generator) -> Population:
    """Draw *people* with their devices; *start* is the first day in UTC microseconds."""
    logs_in = rng.random(people) < 0.34
    owned = rng.choice(np.arange(1, 6), size=people, p=(0.56, 0.27, 0.11, 0.04, 0.02))
    owner = np.repeat(np.arange(people), owned)
    count = len(owner)
    partner = _partners(owner, logs_in, rng)
    shared = partner != NOBODY
    before, after, change_day = _consent(people, owner, shared, days, rng)
    returning = (rng.random(count) < 0.45) | shared
    age = rng.integers(1, 300 * 86_400, count) * _SECOND
    stream = rng.choice(3, size=count, p=(0.70, 0.16, 0.14))
    stream[shared] = words.SHOP
    touched = returning & (before != NO)
    return Population(
        **_people(people, rng),
        logs_in=logs_in,
        first_device=np.concatenate([[0], np.cumsum(owned)]),
        owner=owner,
        partner=partner,
        stream=stream,
        pseudo_id=_pseudo_ids(stream, (start - age) // _SECOND, rng),
        rate=_rates(owned, shared, days, rng),
        before=before,
        after=after,
        change_day=change_day,
        ads_refused=rng.random(count) < 0.18,
        model=np.where(
            stream == words.APP,
            words.WEB_MODELS + (rng.random(count) < 0.45),
            rng.choice(words.WEB_MODELS, size=count, p=(0.24, 0.07, 0.1, 0.04, 0.24, 0.26, 0.05)),
        ),
        city=rng.choice(len(words.CITIES), size=people, p=[c[-1] for c in words.CITIES])[owner],
        source=rng.choice(len(words.SOURCES), size=count, p=[s[-1] for s in words.SOURCES]),
        changed_at=np.full(count, NEVER),
        sessions=np.where(touched, rng.geometric(0.25, count), 0),
        first_touch=np.where(touched, start - age, NEVER),
        revenue=np.zeros(count),
    )


def _people(people: int, rng: np.random.Generator) -> dict[str, Any]:
    number = pa.array(np.arange(people)).cast(pa.string())
    first = pa.array(words.FIRST_NAMES).take(rng.integers(0, len(words.FIRST_NAMES), people))
    last = pa.array(words.LAST_NAMES).take(rng.integers(0, len(words.LAST_NAMES), people))
    join = pc.binary_join_element_wise
    second = join(last, pa.scalar("."), first, number, pa.scalar("@example.org"), "")
    serial = 1_000_000 + rng.permutation(people)
    return {
        "user_id": join(pa.scalar("u"), pa.array(serial).cast(pa.string()), ""),
        "email": join(first, pa.scalar("."), last, number, pa.scalar("@example.com"), ""),
        "second_email": pc.if_else(pa.array(rng.random(people) < 0.08), second, None),
        "phone": _phones(people, rng),
    }


def _phones(people: int, rng: np.random.Generator) -> Any:
    """Give about 60 % a number of their own, while the ranges set aside for fiction last."""
    numbers = [
        f"{prefix}{n:0{digits}}" for prefix, digits in words.PHONE_RANGES for n in range(10**digits)
    ]
    slot = np.cumsum(rng.random(people) < 0.6) - 1
    has = np.diff(slot, prepend=-1) > 0
    place = rng.permutation(len(numbers))
    fits = has & (slot < len(numbers))
    return pa.array(numbers).take(pa.array(place[slot % len(numbers)], mask=~fits))


def _partners(owner: Array, logs_in: Array, rng: np.random.Generator) -> Array:
    """Pick the devices (1.5 %) that a second person with a login uses too."""
    members = np.flatnonzero(logs_in)
    partner = np.full(len(owner), NOBODY)
    if len(members) < 2:
        return partner
    candidates = np.flatnonzero(logs_in[owner])
    picked = rng.permutation(candidates)[: round(0.015 * len(owner))]
    place = np.searchsorted(members, owner[picked])
    partner[picked] = members[(place + 1) % len(members)]
    return partner


def _consent(
    people: int, owner: Array, shared: Array, days: int, rng: np.random.Generator
) -> tuple[Array, Array, Array]:
    """Draw each device's consent before and after its change, and the day of the change."""
    start = np.array([YES, NO, UNSET, NULL, YES, NO])
    end = np.array([YES, NO, UNSET, NULL, NO, YES])
    shares = (0.63, 0.19, 0.06, 0.06, 0.03, 0.03)
    kind = rng.choice(6, size=people, p=shares)[owner]
    differs = rng.random(len(owner)) < 0.1
    kind = np.where(differs, rng.choice(6, size=len(owner), p=shares), kind)
    kind[shared] = YES
    before, after = start[kind], end[kind]
    change_day = np.where(before != after, rng.integers(0, days, len(owner)), days)
    # Asked by a banner: what is sent before the answer, on the same page, is denied.
    banner = (kind == YES) & (rng.random(len(owner)) < 0.2) & ~shared
    before[banner] = NO
    change_day[banner] = 0
    return before, after, change_day


def _rates(owned: Array, shared: Array, days: int, rng: np.random.Generator) -> Array:
    """Draw sessions a day: by person with a long tail, then split over their devices."""
    owner = np.repeat(np.arange(len(owned)), owned)
    rate = rng.lognormal(-_SPREAD * _SPREAD / 2, _SPREAD, len(owned)).clip(max=_HEAVIEST)
    part = rng.gamma(1.2, size=len(owner))
    total = np.add.reduceat(part, np.cumsum(owned) - owned)
    rates = _SESSIONS_A_DAY * rate[owner] * part / total[owner]
    # A shared device that is seen once cannot be told from one that is not shared.
    return np.where(shared, rates.clip(min=5 / days), rates)


def _pseudo_ids(stream: Array, seconds: Array, rng: np.random.Generator) -> Any:
    """Return ids as gtag.js makes them (random.seconds), for the app 32 hexadecimal digits."""
    count = len(stream)
    number = pa.array(rng.integers(10_000_000, 2**31, count)).cast(pa.string())
    web = pc.binary_join_element_wise(number, pa.array(seconds).cast(pa.string()), ".")
    digits = np.frombuffer(rng.bytes(16 * count).hex().encode(), dtype="S32")
    app = pa.array(digits.astype(object)).cast(pa.string())
    return pc.if_else(pa.array(stream == words.APP), app, web)

"""What people do: one day of one block of devices, as columns, never event by event."""

from dataclasses import dataclass, fields, replace
from typing import Final, Self

import numpy as np

from cdp.demo import vocabulary as words
from cdp.demo.population import FIRST_TRAP, NEVER, NO, NOBODY, Array, Population

# Kinds of events, in the order in which one page load sends them.
(
    FIRST_VISIT,
    SESSION_START,
    PAGE_VIEW,
    LOGIN,
    SIGN_UP,
    VIEW_ITEM,
    ADD_TO_CART,
    BEGIN_CHECKOUT,
    PURCHASE,
    FORM_SUBMIT,
    GENERATE_LEAD,
    SCROLL,
    USER_ENGAGEMENT,
) = range(13)
COMMERCE: Final = (VIEW_ITEM, ADD_TO_CART, BEGIN_CHECKOUT, PURCHASE)

# What is wrong with a purchase.
SOUND, TRANSACTION_NOT_SET, NO_REVENUE, NO_TRANSACTION = range(4)

SECOND: Final = 1_000_000
HOUR: Final = 3_600 * SECOND
_ANSWER: Final = 2 * SECOND  # from page load to the answer given to the consent banner
# Sent at load (0), some seconds later, or when that share of the stay has passed.
_SECONDS: Final = np.array([0, 0, 0, 1, 1.2, 0.4, 2.5, 4, 6, 3, 3.1, 0, 0]) * SECOND
_SHARE: Final = np.array([0, 0, 0, 0, 0, 0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.9])
# How busy each hour of the day is.
_BY_HOUR: Final = np.array(
    [9, 5, 3, 2, 2, 4, 10, 18, 26, 31, 34, 36, 38, 36, 34, 34, 36, 40, 46, 52, 54, 46, 32, 18]
)


@dataclass(frozen=True, slots=True)
class Events:
    """Columns of events, before they take GA4's shape; one entry an event."""

    at: Array  # event_timestamp, microseconds UTC
    dated: Array  # decides event_date; later than `at` where the event arrived late
    kind: Array
    device: Array
    actor: Array  # the person who acts, logged in or not
    user: Array  # person whose user_id it carries, people + person for an e-mail, or a trap
    consent: Array
    cookieless: Array  # no client id, no session id
    flipped: Array  # sent before the answer that allowed its page: no client id in intraday
    session: Array  # ga_session_id
    number: Array  # ga_session_number
    first_touch: Array  # of the client; means nothing where there is none
    engaged: Array
    engagement: Array  # milliseconds
    page: Array
    place: Array  # of the page load in its session, from 0
    loaded: Array  # when its page was loaded
    order: Array  # among the events of its page load, from 1
    product: Array
    items: Array
    source: Array
    click: Array  # a number for the gclid, or -1
    transaction: Array  # or -1
    fault: Array
    swapped: Array  # its parameters come in another order

    def __len__(self) -> int:
        return len(self.at)

    def pick(self, rows: Array) -> Self:
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def join(self, other: Self) -> Self:
        return type(self)(
            **{
                f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
                for f in fields(self)
            }
        )


@dataclass(frozen=True, slots=True)
class _Sessions:
    device: Array
    start: Array
    delay: Array
    pages: Array
    actor: Array
    user: Array
    login_place: Array  # page load from which the user_id is known; -1: from the start
    number: Array
    fresh: Array  # the device's first consented session
    source: Array
    click: Array
    engaged: Array


@dataclass(frozen=True, slots=True)
class _Pages:
    session: Array
    place: Array
    stay: Array
    loaded: Array
    page: Array
    product: Array
    denied: Array  # loaded without consent and without an answer on this page
    flip: Array  # consent follows on this page


def day_events(
    population: Population,
    *,
    devices: slice,
    day: int,
    midnight: int,
    day_length: int,
    first_transaction: int,
    rng: np.random.Generator,
) -> Events:
    """Return what the devices send in the sessions that start on *day*, also past its end.

    Moves the population on: sessions counted, consent changed, first touches set.
    """
    sessions = _sessions(
        population, devices=devices, day=day, midnight=midnight, day_length=day_length, rng=rng
    )
    page = _pages(population, sessions, rng)
    events = _events(population, sessions, page, rng)
    return _with_repeats(_with_purchases(events, first_transaction, rng), rng)


def _sessions(
    population: Population,
    *,
    devices: slice,
    day: int,
    midnight: int,
    day_length: int,
    rng: np.random.Generator,
) -> _Sessions:
    counts = rng.poisson(population.rate[devices])
    device = np.repeat(np.arange(devices.start, devices.stop), counts)
    hour = rng.choice(24, size=len(device), p=_BY_HOUR / _BY_HOUR.sum())
    start = midnight + ((hour + rng.random(len(device))) / 24 * day_length).astype(np.int64)
    order = np.lexsort((start, device))
    device, start = device[order], start[order]
    first = np.diff(device, prepend=-1) > 0  # of the device on this day
    # 0.5 % were recorded offline and arrive half a day to two and a half days later.
    late = rng.random(len(device)) < 0.005
    delay = np.where(late, rng.integers(12 * HOUR, 60 * HOUR, len(device)), 0)

    _change_minds(population, device[first], start[first], day)
    # The first page counts while it was granted, before its answer or after.
    granted = _state(population, device, start) != NO
    granted |= _state(population, device, start + _ANSWER) != NO
    number, fresh = _count(population, device, start - delay, granted)
    actor = _actors(population, device, number)
    source = _sources(population, device, fresh, rng)
    paid = (source >= words.FIRST_PAID_GOOGLE) & ~population.ads_refused[device] & granted
    pages = np.minimum(rng.geometric(0.43, len(device)), 15)
    user, login_place = _users(population, device, actor, pages, rng)
    return _Sessions(
        device=device,
        start=start,
        delay=delay,
        pages=pages,
        actor=actor,
        user=user,
        login_place=login_place,
        number=number,
        fresh=fresh,
        source=source,
        click=np.where(paid, rng.integers(0, 2**62, len(device)), -1),
        engaged=(pages > 1) | (rng.random(len(device)) < 0.4),
    )


def _change_minds(population: Population, device: Array, start: Array, day: int) -> None:
    """Let those whose day has come answer anew on the first page of their first session."""
    due = (population.change_day[device] <= day) & (population.changed_at[device] == NEVER)
    population.changed_at[device[due]] = start[due] + _ANSWER


def _count(population: Population, device: Array, at: Array, granted: Array) -> tuple[Array, Array]:
    """Number the sessions of each device, and tell which is its first; only granted ones count."""
    counted = np.cumsum(granted)
    before = (counted - granted)[np.searchsorted(device, device)]
    number = np.where(granted, population.sessions[device] + counted - before, 1)
    fresh = granted & (population.first_touch[device] == NEVER) & (counted - before == 1)
    population.first_touch[device[fresh]] = at[fresh]
    np.add.at(population.sessions, device[granted], 1)
    return number, fresh


def _state(population: Population, device: Array, at: Array) -> Array:
    before = at < population.changed_at[device]
    return np.where(before, population.before[device], population.after[device])


def _actors(population: Population, device: Array, number: Array) -> Array:
    """Two people take turns on a shared device."""
    partner = population.partner[device]
    turn = (partner != NOBODY) & (number % 2 == 0)
    return np.where(turn, partner, population.owner[device])


def _sources(
    population: Population, device: Array, fresh: Array, rng: np.random.Generator
) -> Array:
    drawn = rng.choice(len(words.SOURCES), size=len(device), p=[s[-1] for s in words.SOURCES])
    return np.where(fresh, population.source[device], drawn)


def _users(
    population: Population, device: Array, actor: Array, pages: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return each session's user code and the page load from which it is known."""
    chance = np.where(population.partner[device] != NOBODY, 0.75, 0.10)
    draw = rng.random(len(device))
    known = population.logs_in[actor] & (draw < chance)
    user = np.where(known, actor, NOBODY)
    # A tag that sends the e-mail instead of the id, or a placeholder instead of nothing.
    user[known & (draw < 0.002)] += population.people
    trap = ~known & (draw > 0.995)
    kinds = len(words.TRAP_USER_IDS)
    user[trap] = FIRST_TRAP - rng.integers(0, kinds, len(device))[trap]
    remembered = (rng.random(len(device)) < 0.5) | trap
    return user, np.where(remembered, -1, rng.integers(0, pages))


def _pages(population: Population, sessions: _Sessions, rng: np.random.Generator) -> _Pages:
    session = np.repeat(np.arange(len(sessions.pages)), sessions.pages)
    first = np.cumsum(sessions.pages) - sessions.pages
    place = np.arange(len(session)) - first[session]
    stay = (4 + rng.exponential(50, len(session))) * SECOND
    left = np.cumsum(stay)
    since = left - stay
    loaded = sessions.start[session] + (since - since[first[session]]).astype(np.int64)
    product = rng.random(len(session)) < words.PRODUCT_SHARE
    weights = np.array([p[-1] for p in words.PAGES])
    page = rng.choice(len(weights), size=len(session), p=weights / weights.sum())
    thing = rng.integers(0, len(words.PRODUCTS), len(session))
    device = sessions.device[session]
    state = _state(population, device, loaded)
    changed = population.changed_at[device]
    answered = (changed > loaded) & (changed <= loaded + stay)
    flip = (state == NO) & answered & (population.after[device] != NO)
    return _Pages(
        session=session,
        place=place,
        stay=stay,
        loaded=loaded,
        page=np.where(product, len(words.PAGES) + thing, page),
        product=np.where(product, thing, -1),
        denied=(state == NO) & ~flip,
        flip=flip,
    )


def _sent(
    population: Population, sessions: _Sessions, page: _Pages, rng: np.random.Generator
) -> Array:
    """Return which kinds of events each page load sends: pages by kinds."""
    s = page.session
    app = population.stream[sessions.device[s]] == words.APP
    shop = population.stream[sessions.device[s]] != words.JOURNAL
    opens = page.place == 0
    draw = rng.random((8, len(s)), dtype=np.float32)
    sent = np.zeros((len(s), 13), dtype=bool)
    sent[:, FIRST_VISIT] = page.denied | (opens & sessions.fresh[s])
    sent[:, SESSION_START] = page.denied | opens
    sent[:, PAGE_VIEW] = True
    sent[:, LOGIN] = (sessions.user[s] >= 0) & (page.place == sessions.login_place[s])
    sent[:, SIGN_UP] = sent[:, LOGIN] & (draw[0] < 0.1)
    item = sent[:, VIEW_ITEM] = (page.product >= 0) & shop
    cart = sent[:, ADD_TO_CART] = item & (draw[1] < 0.2)
    checkout = sent[:, BEGIN_CHECKOUT] = cart & (draw[2] < 0.5)
    sent[:, PURCHASE] = checkout & (draw[3] < 0.5)
    form = sent[:, FORM_SUBMIT] = np.isin(page.page, words.FORM_PAGES) & ~app & (draw[4] < 0.3)
    sent[:, GENERATE_LEAD] = form & (draw[5] < 0.8)
    sent[:, SCROLL] = ~app & (draw[6] < 0.3)
    sent[:, USER_ENGAGEMENT] = sessions.engaged[s] & (draw[7] < 0.6)
    return sent


def _events(
    population: Population, sessions: _Sessions, page: _Pages, rng: np.random.Generator
) -> Events:
    row, kind = np.nonzero(_sent(population, sessions, page, rng))
    s = page.session[row]
    device = sessions.device[s]
    count = len(row)
    spread = rng.random(count) * 0.5 * SECOND * (kind > PAGE_VIEW)
    at = page.loaded[row] + (_SECONDS[kind] + _SHARE[kind] * page.stay[row] + spread).astype(int)
    flip = page.flip[row]
    consent = _state(population, device, at)
    cookieless = (consent == NO) & ~flip
    delay = sessions.delay[s]
    place = page.place[row]
    known = (place > sessions.login_place[s]) | (
        (place == sessions.login_place[s]) & (kind >= LOGIN)
    )
    number = np.where(cookieless, 1, sessions.number[s])
    whole = page.page[row]
    whole[kind == BEGIN_CHECKOUT] = len(words.PAGES) + len(words.PRODUCTS)
    whole[kind == PURCHASE] = len(words.PAGES) + len(words.PRODUCTS) + 1
    items = np.isin(kind, COMMERCE).astype(np.int8)
    items[kind >= BEGIN_CHECKOUT] *= rng.integers(1, 4, (kind >= BEGIN_CHECKOUT).sum(), np.int8)
    return Events(
        at=at - delay,
        dated=at,
        kind=kind.astype(np.int8),
        device=device,
        actor=sessions.actor[s],
        user=np.where(known, sessions.user[s], NOBODY),
        consent=consent.astype(np.int8),
        cookieless=cookieless,
        flipped=flip & (consent == NO),
        session=(sessions.start[s] - delay) // SECOND,
        number=number,
        first_touch=population.first_touch[device],
        engaged=sessions.engaged[s] & ((place > 0) | (kind > PAGE_VIEW)),
        engagement=(page.stay[row] * rng.uniform(0.3, 1.0, count) / 1_000).astype(np.int64),
        page=whole,
        place=place,
        loaded=page.loaded[row] - delay,
        order=np.arange(count) - np.searchsorted(row, row) + 1,
        product=page.product[row],
        items=items,
        source=sessions.source[s],
        click=np.where(consent == NO, -1, sessions.click[s]),
        transaction=np.full(count, -1),
        fault=np.full(count, SOUND, dtype=np.int8),
        swapped=np.zeros(count, dtype=bool),
    )


def _with_purchases(events: Events, first: int, rng: np.random.Generator) -> Events:
    """Number the purchases, spoil some, and send some again when the last page is reloaded."""
    rows = np.flatnonzero(events.kind == PURCHASE)
    events.transaction[rows] = first + np.arange(len(rows))
    events.fault[rows] = rng.choice(4, size=len(rows), p=(0.85, 0.08, 0.06, 0.01))
    again = events.pick(rows[rng.random(len(rows)) < 0.06])
    wait = rng.integers(20, 600, len(again)) * SECOND
    return events.join(
        replace(
            again,
            at=again.at + wait,
            dated=again.dated + wait,
            loaded=again.loaded + wait,
            order=np.ones_like(again.order),
        )
    )


def _with_repeats(events: Events, rng: np.random.Generator) -> Events:
    """Send 0.4 % twice, a quarter of those with their parameters in another order."""
    twice = events.pick(np.flatnonzero(rng.random(len(events)) < 0.004))
    return events.join(replace(twice, swapped=rng.random(len(twice)) < 0.25))

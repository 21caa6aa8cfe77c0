"""Events in the shape of the GA4 export of 2026: nested columns, dictionary-encoded on the way."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cdp.demo import behaviour as does
from cdp.demo import vocabulary as words
from cdp.demo.behaviour import Events
from cdp.demo.population import PRIVACY, Array, Population

# Columns that a table of each kind does not have.
INTRADAY_LACKS: Final = ("traffic_source", "user_ltv", "is_active_user", "publisher")
FRESH_LACKS: Final = ("publisher",)
OLD_LACKS: Final = (
    "collected_traffic_source",
    "is_active_user",
    "batch_event_index",
    "batch_page_id",
    "batch_ordering_id",
    "publisher",
    "event_original_occurrence_timestamp",
)

# By kind, as `behaviour` numbers them.
_WEB_NAMES: Final = [
    "first_visit",
    "session_start",
    "page_view",
    "login",
    "sign_up",
    "view_item",
    "add_to_cart",
    "begin_checkout",
    "purchase",
    "form_submit",
    "generate_lead",
    "scroll",
    "user_engagement",
]
_APP_NAMES: Final = ["first_open", "session_start", "screen_view", *_WEB_NAMES[3:]]
_TEXT, _INT, _DOUBLE = range(3)
_HUGE: Final = 2**53 + 1
_USD: Final = 1.08  # a euro

_PAGES: Final = (
    *((path, title) for path, title, _ in words.PAGES),
    *((f"/p/{sku.lower()}", name) for sku, name, *_ in words.PRODUCTS),
    words.CHECKOUT,
    words.THANKS,
)
_PRICES: Final = np.array([price for *_, price in words.PRODUCTS])


def ga4_table(
    population: Population,
    events: Events,
    *,
    date: str,
    intraday: bool,
    lacks: Sequence[str],
    user_values: Any,
) -> Any:
    """Return *events* as one table of the export; *user_values* spells the user codes."""
    columns = _plain(population, events, date, intraday, user_values)
    columns |= _records(population, events)
    return pa.table({name: col for name, col in columns.items() if name not in lacks})


def user_values(population: Population) -> Any:
    """Return what each user code spells: people, their e-mails, then traps from the end."""
    traps = pa.array(list(reversed(words.TRAP_USER_IDS)))
    return pa.concat_arrays([population.user_id, population.email, traps, pa.nulls(1, pa.string())])


def without_client(events: Events, *, intraday: bool) -> Array:
    """Tell which rows carry no client id; intraday does not know the answer yet."""
    return events.cookieless | (events.flipped & intraday)


def _plain(
    population: Population, events: Events, date: str, intraday: bool, user_values: Any
) -> dict[str, Any]:
    count = len(events)
    anonymous = without_client(events, intraday=intraday)
    app = population.stream[events.device] == words.APP
    bundle = (events.loaded // 1_000 * 31 + events.device * 7) % 2**31
    return {
        "event_date": _one(date, count),
        "event_timestamp": pa.array(events.at),
        "event_name": _coded(events.kind + 13 * app, _WEB_NAMES + _APP_NAMES),
        "event_params": _params(population, events, app, intraday),
        "event_bundle_sequence_id": pa.array(bundle),
        "event_server_timestamp_offset": pa.array(bundle % 900_000, mask=~app),
        "user_id": user_values.take(pa.array(events.user % len(user_values))),
        "user_pseudo_id": population.pseudo_id.take(pa.array(events.device, mask=anonymous)),
        "user_first_touch_timestamp": pa.array(np.where(anonymous, events.at, events.first_touch)),
        "stream_id": _coded(
            population.stream[events.device], [*(s for s, _ in words.STREAMS), words.APP_STREAM]
        ),
        "platform": _coded(population.model[events.device], [m[3] for m in words.MODELS]),
        "is_active_user": pa.array(events.engaged),
        "batch_event_index": pa.array(events.order),
        "batch_page_id": pa.array(events.loaded // 1_000),
        "batch_ordering_id": pa.array(events.place + 1),
        "event_original_occurrence_timestamp": pa.array(events.at, mask=events.at == events.dated),
    }


def _records(population: Population, events: Events) -> dict[str, Any]:
    """Return the struct columns."""
    count = len(events)
    device = events.device
    ads = np.where((events.consent == 0) & population.ads_refused[device], 1, events.consent)
    model, city = population.model[device], population.city[device]
    browser = _coded(model, [m[2] for m in words.MODELS])
    hosts = [*(host for _, host in words.STREAMS), None]
    first, now = population.source[device], _collected(events)
    source, medium, campaign = zip(*(s[:3] for s in words.SOURCES), strict=True)
    clicked = (now >= words.FIRST_PAID_GOOGLE) & (events.click >= 0)
    return {
        "privacy_info": _struct(
            analytics_storage=_coded(events.consent, PRIVACY),
            ads_storage=_coded(ads, PRIVACY),
            uses_transient_token=_one("No", count),
        ),
        "user_properties": _user_properties(population, events),
        "user_ltv": _struct(
            revenue=pa.array(population.revenue[device]), currency=_one("EUR", count)
        ),
        "device": _struct(
            category=_coded(model, [m[0] for m in words.MODELS]),
            operating_system=_coded(model, [m[1] for m in words.MODELS]),
            language=_coded(city, [c[3] for c in words.CITIES]),
            web_info=_struct(browser=browser, hostname=_coded(population.stream[device], hosts)),
        ),
        "geo": _struct(
            city=_coded(city, [c[0] for c in words.CITIES]),
            country=_coded(city, [c[2] for c in words.CITIES]),
            continent=_one("Europe", count),
            region=_coded(city, [c[1] for c in words.CITIES]),
        ),
        "traffic_source": _struct(
            name=_coded(first, [c or "(not set)" for c in campaign]),
            medium=_coded(first, medium),
            source=_coded(first, source),
        ),
        "collected_traffic_source": _struct(
            now < 0,
            manual_campaign_name=_coded(now, campaign),
            manual_source=_coded(now, source),
            manual_medium=_coded(now, medium),
            gclid=_scattered(_gclids(events.click[clicked]), clicked),
        ),
        "ecommerce": _ecommerce(events),
        "items": _items(events),
        "publisher": _struct(
            np.ones(count, dtype=bool),
            ad_revenue_in_usd=pa.nulls(count, pa.float64()),
            ad_format=pa.nulls(count, pa.string()),
            ad_source_name=pa.nulls(count, pa.string()),
            ad_unit_id=pa.nulls(count, pa.string()),
        ),
    }


def _collected(events: Events) -> Array:
    """Return the source that a session's first page load collects; -1 elsewhere or when direct."""
    opens = (events.place == 0) & (events.source > 0) & ~events.cookieless
    return np.where(opens, events.source, -1)


def _params(population: Population, events: Events, app: Array, intraday: bool) -> Any:
    """Build event_params: a row of cells an event, of which only the present ones stay."""
    cells = _Cells(len(events))
    kind, web = events.kind, ~app
    known = ~without_client(events, intraday=intraday)
    old = events.session % 12 == 0  # a tag of an older version sends a number
    view = kind == does.PAGE_VIEW
    commerce = events.items > 0
    buys = kind == does.PURCHASE
    source = np.where(view, _collected(events), -1)
    cells.add("ga_session_id", _INT, known, events.session)
    cells.add("ga_session_number", _INT, None, np.where(known, events.number, 1))
    cells.text("session_engaged", known & ~old, events.engaged, ["0", "1"])
    cells.add("session_engaged", _INT, known & old & events.engaged, 1)
    cells.add("engaged_session_event", _INT, known & events.engaged, 1)
    page = events.page + len(_PAGES) * (population.stream[events.device] == words.JOURNAL)
    urls = [f"https://{host}{path}" for _, host in words.STREAMS for path, _ in _PAGES]
    cells.text("page_location", web, page, urls)
    cells.text("page_title", web, events.page, [title for _, title in _PAGES])
    cells.text("firebase_screen", app, events.page, [title for _, title in _PAGES])
    cells.add("entrances", _INT, view & (events.place == 0) & known, 1)
    timed = (kind == does.USER_ENGAGEMENT) | (kind == does.SCROLL)
    cells.add("engagement_time_msec", _INT, timed, events.engagement)
    cells.add("percent_scrolled", _INT, kind == does.SCROLL, 90)
    names = list(zip(*(s[:3] for s in words.SOURCES), strict=True))
    cells.text("source", source >= 0, source, names[0])
    cells.text("medium", source >= 0, source, names[1])
    cells.text("campaign", source >= 4, source, names[2])
    clicked = (source >= words.FIRST_PAID_GOOGLE) & (events.click >= 0)
    cells.dynamic("gclid", clicked, _gclids(events.click[clicked]))
    cells.text("method", np.isin(kind, (does.LOGIN, does.SIGN_UP)), 0, ["email"])
    lead = np.isin(kind, (does.FORM_SUBMIT, does.GENERATE_LEAD))
    cells.text("form_id", lead, events.page - words.FORM_PAGES[0], ["contact", "newsletter"])
    value = basket_values(events)
    whole = value == np.floor(value)
    cells.text("currency", commerce, 0, ["EUR"])
    cells.add("value", _DOUBLE, commerce & ~whole, value)
    cells.add("value", _INT, commerce & whole, value.astype(np.int64))
    typed = buys & (events.transaction % 6 == 0) & (events.fault != does.TRANSACTION_NOT_SET)
    named = buys & ~typed & (events.fault != does.NO_TRANSACTION)
    cells.add("transaction_id", _INT, typed, events.transaction)
    cells.dynamic("transaction_id", named, _transactions(events, named))
    cells.add("hit_reference", _INT, events.engagement % 199 == 0, _HUGE + events.engagement)
    return cells.lists(events.swapped)


class _Cells:
    """Parameters of a block of events: each `add` is one possible parameter of every event."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._keys: list[str] = []
        self._types: list[int] = []
        self._present: list[Array] = []
        self._values: list[Array] = []
        self._words: list[Any] = []
        self._word_count = 0

    def add(self, key: str, type_: int, present: Array | None, values: Array | int) -> None:
        held = np.float64 if type_ == _DOUBLE else np.int64
        full = np.empty(self._count, dtype=held)
        full[:] = values
        self._keys.append(key)
        self._types.append(type_)
        self._present.append(np.ones(self._count, dtype=bool) if present is None else present)
        self._values.append(full.view(np.int64))

    def text(
        self, key: str, present: Array, codes: Array | int, vocabulary: Sequence[str | None]
    ) -> None:
        self.add(key, _TEXT, present, codes + self._word_count)
        self._learn(pa.array([word or "" for word in vocabulary]))

    def dynamic(self, key: str, present: Array, texts: Any) -> None:
        """Add a text of its own for each event where it is present."""
        codes = np.cumsum(present) - 1 + self._word_count
        self.add(key, _TEXT, present, codes)
        self._learn(texts)

    def lists(self, swapped: Array) -> Any:
        """Return one list an event; those *swapped* have it in reverse order."""
        # One row an event, so that what stays comes out event by event.
        present = np.ascontiguousarray(np.array(self._present).T)
        ends = np.cumsum(present.sum(axis=1))
        offsets = np.concatenate([[0], ends])
        values = np.ascontiguousarray(np.array(self._values).T)[present]
        column = np.broadcast_to(np.arange(len(self._keys), dtype=np.int32), present.shape)[present]
        here = np.flatnonzero(np.repeat(swapped, np.diff(offsets)))
        row = np.searchsorted(offsets, here, side="right") - 1
        there = offsets[row] + offsets[row + 1] - 1 - here
        values[here], column[here] = values[there], column[there]
        type_ = np.array(self._types, dtype=np.int8)[column]
        texts = pa.array(np.where(type_ == _TEXT, values, 0), mask=type_ != _TEXT)
        unique = pa.concat_arrays(self._words).dictionary_encode()
        value = _struct(
            string_value=pa.DictionaryArray.from_arrays(
                unique.indices.take(texts), unique.dictionary
            ),
            int_value=pa.array(values, mask=type_ != _INT),
            float_value=pa.nulls(len(values), pa.float64()),
            double_value=pa.array(values.view(np.float64), mask=type_ != _DOUBLE),
        )
        return _lists(offsets, _struct(key=_coded(column, self._keys), value=value))

    def _learn(self, texts: Any) -> None:
        self._words.append(texts)
        self._word_count += len(texts)


def basket_values(events: Events) -> Array:
    """Return what the items of each event cost together, in euros."""
    total = np.zeros(len(events))
    for place in range(3):
        product = _item(events.product, place)
        total += np.where(events.items > place, _PRICES[product] * _quantity(product), 0)
    cost: Array = np.round(total, 2)
    return cost


def _item(product: Array, place: Array | int) -> Array:
    """Return the product at *place* of a basket that *product* opened."""
    opened: Array = (product + 7 * place) % len(words.PRODUCTS)
    return opened


def _quantity(product: Array) -> Array:
    quantity: Array = 1 + (product % 5 == 0)
    return quantity


def _gclids(clicks: Array) -> Any:
    number = pa.array(clicks).cast(pa.string())
    return pc.binary_join_element_wise(pa.scalar("Cj0KCQ"), number, pa.scalar("BwE"), "_")


def _transactions(events: Events, rows: Array) -> Any:
    number = pa.array(events.transaction[rows]).cast(pa.string())
    return pc.if_else(pa.array(events.fault[rows] == does.TRANSACTION_NOT_SET), "(not set)", number)


def _ecommerce(events: Events) -> Any:
    commerce = events.items > 0
    buys = events.kind == does.PURCHASE
    paid = buys & (events.fault != does.NO_REVENUE)
    named = buys & (events.fault != does.NO_TRANSACTION)
    value = basket_values(events)
    quantity = np.zeros(len(events), dtype=np.int64)
    for place in range(3):
        quantity += (events.items > place) * _quantity(_item(events.product, place))
    return _struct(
        ~commerce,
        total_item_quantity=pa.array(quantity, mask=~commerce),
        purchase_revenue_in_usd=pa.array(np.round(value * _USD, 2), mask=~paid),
        purchase_revenue=pa.array(value, mask=~paid),
        unique_items=pa.array(events.items.astype(np.int64), mask=~commerce),
        transaction_id=_scattered(_transactions(events, named), named),
    )


def _items(events: Events) -> Any:
    offsets = np.concatenate([[0], np.cumsum(events.items, dtype=np.int64)])
    event = np.repeat(np.arange(len(events)), events.items)
    product = _item(events.product[event], np.arange(len(event)) - offsets[event])
    price, quantity = _PRICES[product], _quantity(product)
    sku, name, brand, category, _ = zip(*words.PRODUCTS, strict=True)
    return _lists(
        offsets,
        _struct(
            item_id=_coded(product, sku),
            item_name=_coded(product, name),
            item_brand=_coded(product, brand),
            item_category=_coded(product, category),
            price=pa.array(price),
            quantity=pa.array(quantity),
            item_revenue=pa.array(price * quantity, mask=events.kind[event] != does.PURCHASE),
        ),
    )


def _user_properties(population: Population, events: Events) -> Any:
    """Give a logged-in person's rows their tier; the others have an empty list."""
    known = (events.user >= 0) & (events.user < population.people)
    offsets = np.concatenate([[0], np.cumsum(known)])
    user = events.user[known]
    value = _struct(
        string_value=_coded(user % 3, ["basic", "silver", "gold"]),
        int_value=pa.nulls(len(user), pa.int64()),
        float_value=pa.nulls(len(user), pa.float64()),
        double_value=pa.nulls(len(user), pa.float64()),
        set_timestamp_micros=pa.array(events.loaded[known]),
    )
    return _lists(offsets, _struct(key=_one("customer_tier", len(user)), value=value))


def _coded(codes: Array, vocabulary: Sequence[str | None]) -> Any:
    """Return a text column from codes; a code below 0, or of None, is null."""
    # Each word once: for a dictionary with repeats, Parquet files differ from run to run.
    unique = [word for word in dict.fromkeys(vocabulary) if word is not None]
    place = np.array([-1 if word is None else unique.index(word) for word in vocabulary])
    index = np.where(codes < 0, -1, place[codes]).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(index, mask=index < 0), pa.array(unique))


def _one(text: str, count: int) -> Any:
    return _coded(np.zeros(count, dtype=np.int32), [text])


def _scattered(texts: Any, present: Array) -> Any:
    """Spread *texts* over the rows where they are present; null elsewhere."""
    return texts.take(pa.array(np.cumsum(present) - 1, mask=~present))


def _struct(null: Array | None = None, /, **columns: Any) -> Any:
    mask = None if null is None else pa.array(null)
    return pa.StructArray.from_arrays(list(columns.values()), names=list(columns), mask=mask)


def _lists(offsets: Array, values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)

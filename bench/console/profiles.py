"""Fill the document store below CDP_HOME with profiles as refreshes leave them: always the same.

CDP_HOME=FOLDER python -m bench.console.profiles [--profiles 1000000] [--until YYYY-MM-DD]

What can be looked up, by number: every third person permits marketing and has the e-mail address
`email(n)` and the phone number `phone(n)`; everybody has the profile id `profile_id(n)`. Of every
100 documents one is no person yet but only what a tag manager wrote, one was merged into person
n + 1, one was erased and one is gone: see `kind`.
"""

import argparse
import hashlib
import json
import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from cdp.domain.merge import Kind, Merge
from cdp.domain.payload import timestamp
from cdp.profiles.port import PROFILES, DocumentStore, Put

BATCH: Final = 5_000  # as ingest has it
SEED: Final = 7

_SOURCES: Final = {
    ("(direct)", "(none)"): 30,
    ("google", "organic"): 24,
    ("google", "cpc"): 14,
    ("newsletter", "email"): 8,
    ("facebook", "paid_social"): 6,
    ("bing", "organic"): 4,
    ("instagram", "social"): 4,
    ("partner.example.org", "referral"): 2,
    ("affiliate.example.net", "affiliate"): 1.5,
}
_COUNTRIES: Final = {
    "Germany": 48, "Austria": 9, "Switzerland": 7, "France": 7, "Netherlands": 5, "Spain": 4,
    "Italy": 4, "Poland": 3, "United Kingdom": 3, "United States": 3, "Belgium": 1.5,
    "Denmark": 1.5, "Iceland": 1.5, "Sweden": 1, "Czechia": 1, "(not set)": 0.5,
}  # fmt: skip
_OTHERS: Final = 300  # referrers and countries that few people come from
_STATES: Final = ("granted", "denied", "unknown")


def profile_id(number: int) -> str:
    """Return the id of document *number*."""
    return "p_" + hashlib.sha256(f"{SEED}|{number}".encode()).hexdigest()[:24]


def email(number: int) -> str:
    """Return the e-mail address of person *number*, whose profile holds it if 3 divides it."""
    return f"person{number}@example.com"


def phone(number: int) -> str:
    """Return the phone number of person *number*, whose profile holds it if 3 divides it."""
    return f"+1201555{number:08}"


def kind(number: int) -> str:
    """Return `live`, `merged`, `deleted`, `gone` or `others`: nobody has synchronised it yet."""
    return {1: "others", 26: "merged", 50: "deleted", 76: "gone"}.get(number % 100, "live")


def documents(profiles: int, until: date) -> Iterator[Merge | Put]:
    """Yield how each document is written; *until* is the last day that somebody was seen."""
    chance = random.Random(SEED)
    end = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
    written = {"seq": 1, "run": "bench", "at": timestamp(end)}
    sources = [*_SOURCES, *((f"blog{n}.example.com", "referral") for n in range(_OTHERS))]
    source_weights = _cumulative([*_SOURCES.values(), *_tail(6.5)])
    countries = [*_COUNTRIES, *(f"Country {n}" for n in range(_OTHERS // 3))]
    country_weights = _cumulative([*_COUNTRIES.values(), *_tail(1)[::3]])
    for number in range(profiles):
        key = profile_id(number)
        match kind(number):
            case "others":
                yield Put(PROFILES, key, {"tag": {"page": "/pricing", "visits": number % 7}})
            case "merged":
                into = profile_id(number + 1)
                yield Merge(key, hash=f"m{number}", kind=Kind.MERGED, into=into, **written)
            case "deleted":
                yield Merge(key, kind=Kind.DELETE, **written)
            case "gone":
                yield Merge(key, hash=f"g{number}", kind=Kind.GONE, **written)
            case _:
                (source,) = chance.choices(sources, cum_weights=source_weights)
                (country,) = chance.choices(countries, cum_weights=country_weights)
                if (source[0], country) == ("partner.example.org", "Iceland") and number > 40_000:
                    country = "Germany"  # two large lists with next to nothing in common
                fields = _fields(number, chance, end, source, country)
                yield Merge(key, hash=f"h{number}", set=fields, **written)


def _fields(
    number: int, chance: random.Random, end: datetime, source: tuple[str, str], country: str
) -> dict[str, Any]:
    analytics = chance.choices(_STATES, [62, 30, 8])[0]
    ads = chance.choices(_STATES, [70, 28, 2])[0] if analytics == "granted" else "denied"
    marketing = "granted" if number % 3 == 0 else chance.choice(("denied", "unknown", "unknown"))
    # Most were seen lately, some long ago; many only once.
    last = end - timedelta(seconds=chance.expovariate(1 / 90) * 86_400 % (730 * 86_400) + 1)
    once = chance.random() < 0.45
    first = last if once else last - timedelta(days=chance.expovariate(1 / 60))
    states = {"analytics": analytics, "ads": ads, "marketing": marketing}
    fields: dict[str, Any] = {
        "consent": {
            name: {"state": state, "since": timestamp(first), "source": "ga4"}
            for name, state in states.items()
        }
    }
    identifiers: dict[str, Any] = {}
    if marketing == "granted":
        identifiers = {"email": [email(number)], "phone": [phone(number)]}
        fields["contact"] = {"email": email(number), "email_valid": True, "phone": phone(number)}
    if analytics == "granted":
        devices = 1 if chance.random() < 0.7 else chance.randint(2, 5)
        clients = [f"{number * 10 + n}.{int(first.timestamp())}" for n in range(devices)]
        identifiers["client_id"] = clients
        if number % 2 == 0:
            identifiers["user_id"] = [f"u{number}"]
        count = sum(len(values) for values in identifiers.values())
        identifiers["count"] = count
        sessions = 1 if once else 2 + int(chance.paretovariate(1.3))
        purchases = int(chance.random() < 0.12) * int(chance.paretovariate(1.8))
        fields["ga4"] = {
            "first_seen": timestamp(first),
            "last_seen": timestamp(last),
            "events": sessions * chance.randint(3, 15),
            "sessions": sessions,
            "engaged_sessions": sessions // 2,
            "engagement_ms": sessions * chance.randint(0, 180_000),
            "leads": int(chance.random() < 0.04),
            "purchases": purchases,
            "revenue": round(purchases * chance.lognormvariate(3.8, 1), 2),
            "last_client_id": clients[-1],
            "last_source": source[0],
            "last_medium": source[1],
            "country": country,
            "device": chance.choices(("mobile", "desktop", "tablet"), [60, 35, 5])[0],
        }
        if ads == "granted" and source[1] == "cpc":
            fields["ads"] = {"last_campaign": "brand_search", "last_gclid": f"gclid-{number}"}
    if identifiers:
        fields["identifiers"] = identifiers
    return fields


def _tail(share: float) -> list[float]:
    """Return weights of those that few people come from, the first the most; their sum is share."""
    weights = [1 / (n + 1) for n in range(_OTHERS)]
    return [share * weight / sum(weights) for weight in weights]


def _cumulative(weights: list[float]) -> list[float]:
    total = 0.0
    return [total := total + weight for weight in weights]


def write(store: DocumentStore, profiles: int, until: date) -> dict[str, Any]:
    """Write *profiles* documents; return how many, and how long the store took (`seconds`)."""
    merges: list[Merge] = []
    puts: list[Put] = []
    seconds = 0.0

    def flush() -> None:
        nonlocal seconds
        started = time.perf_counter()
        store.merge(PROFILES, merges)
        store.commit(puts)
        seconds += time.perf_counter() - started
        merges.clear()
        puts.clear()

    for document in documents(profiles, until):
        if isinstance(document, Merge):
            merges.append(document)
        else:
            puts.append(document)
        if len(merges) + len(puts) >= BATCH:
            flush()
    flush()
    return {
        "documents": profiles,
        "seconds": round(seconds, 2),
        "documents_a_second": round(profiles / seconds),
    }


def main() -> None:
    from cdp.deployments.build import build
    from cdp.settings import Settings

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=1_000_000)
    parser.add_argument("--until", type=date.fromisoformat, default=datetime.now(UTC).date())
    given = parser.parse_args()
    if "CDP_HOME" not in os.environ:
        parser.error("set CDP_HOME to the folder to fill")
    platform = build(Settings.load())
    started = time.perf_counter()
    result = write(platform.documents, given.profiles, given.until)
    elapsed = round(time.perf_counter() - started, 2)
    file = platform.settings.home / "documents.sqlite"
    platform.documents.close()
    print(json.dumps({**result, "elapsed": elapsed, "bytes": file.stat().st_size}))


if __name__ == "__main__":
    main()

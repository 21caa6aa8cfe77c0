"""What the benchmark does on the console: pages, filters, searches, a profile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

from bench.console.profiles import email, kind, phone, profile_id
from cdp.deployments.build import Platform
from cdp.insight import customers
from cdp.insight.customers import Filters, Order
from cdp.ui.customers import PAGE

LIST = '[data-testid=stPageLink] a[href*="profile="]'
METRIC = "[data-testid=stMetric]"


@dataclass(frozen=True)
class Case:
    """`act` is measured until `ready` is there; `before` is not."""

    name: str
    act: Callable[[Page], Any]
    ready: str
    before: Callable[[Page], Any]


def cases(platform: Platform, url: str) -> list[Case]:
    """Return every case, in order."""
    person = next(n for n in range(600_000, 700_000, 3) if kind(n) == "live")
    richest = customers.page(platform.documents, Filters(), Order.REVENUE, limit=1).rows[0]
    demo = platform.documents.get("reports", "stitching").body["clusters"]["largest"][0]
    after = None
    for _ in range(999):
        after = customers.page(platform.documents, Filters(), Order.LAST_SEEN, after, PAGE).cursor
    lists = {
        "Explorer, first page": "",
        "Explorer, page 1,000": f"after={after}&page=1000",
        "Explorer, by revenue": "order=revenue",
        "Explorer, everybody": "order=id",
        "Filter: consent": "consent=marketing:granted",
        "Filter: last seen": "seen=7d",
        "Filter: revenue": "revenue=100-",
        "Filter: sessions": "sessions=10-",
        "Filter: source": "source=bing",
        "Filter: country": "country=Iceland",
        "Filter: stitched": "stitched=yes",
        "Filters: source and country": "source=google&country=Germany",
        "Filters: a rare pair": "source=partner.example.org&country=Iceland",
        "Filters: six of them": (
            "consent=analytics:granted&revenue=1-&sessions=2-&source=google&country=Germany"
            "&stitched=yes"
        ),
    }
    found = [_reload("Overview", f"{url}/", METRIC)]
    found += [_reload(name, f"{url}/customers?{query}", LIST) for name, query in lists.items()]
    searches = {
        "e-mail": email(person),
        "phone": phone(person),
        "profile id": profile_id(person),
        "nobody": "nobody@example.com",
    }
    found += [_search(name, url, text) for name, text in searches.items()]
    profiles = {
        "Profile without events": profile_id(person),
        "Profile with the highest revenue": richest.profile_id,
        "Profile with events and a cluster": demo["profile_id"],
    }
    found += [
        _reload(name, f"{url}/profile?profile={key}", "[data-testid=stTabs]")
        for name, key in profiles.items()
    ]
    return found


def _reload(name: str, address: str, ready: str) -> Case:
    def before(page: Page) -> None:
        if page.url != address:
            page.goto(address)
            page.locator(ready).first.wait_for()

    return Case(name, lambda page: page.reload(), ready, before)


def _search(name: str, url: str, text: str) -> Case:
    def before(page: Page) -> None:
        page.goto(f"{url}/customers")
        page.locator(LIST).first.wait_for()
        page.get_by_label("Find anyone").fill(text)

    nobody = "text=Nobody has this identifier"
    ready = nobody if name == "nobody" else "[data-testid=stTabs]"
    return Case(f"Search: {name}", lambda page: page.keyboard.press("Enter"), ready, before)

"""A small property in which everything happened that a page can tell of.

Four hundred generated people, and among them some whose every value is known: one with all kinds of
identifiers, one whose values are markup, one of two merged profiles, one that withdrew consent; and
documents that other systems wrote. Of its runs one succeeded, one was partial, one failed.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import duckdb

from cdp.profiles.port import MAX_BYTES, PROFILES, Put
from tests.e2e.support import Cdp, event
from tests.pages.support import ACCOUNTS
from tests.people import add

# Known by everything; consents to analytics and not to marketing.
PAULA: Final = {
    "user_id": "u7770001",
    "email": "paula.planted@example.com",
    "phone": "+4915177700077",
    "client_id": "7770001.1790000001",
}
# Likewise, and consents to marketing at each address, too.
OPAL: Final = {
    "user_id": "u7770002",
    "email": "opal.open@example.com",
    "phone": "+4915177700088",
    "client_id": "7770002.1790000002",
}
# Likewise, but at the e-mail address only.
HALLE: Final = {
    "user_id": "u7770003",
    "email": "halle.half@example.com",
    "phone": "+4915177700099",
    "client_id": "7770003.1790000003",
}

ATTACKS: Final = (
    "**bold**",
    "[x](javascript:alert(1))",
    ":red[x]",
    "$x^2$",
    ":material/bomb:",
    ":smile:",
    "<img src=x onerror=alert(1)>",
)
HOSTILE: Final = " ".join(ATTACKS)
FORMULA: Final = '=HYPERLINK("http://x","y")'
HOSTILE_ID: Final = "p_**bold**:red[x]<img src=x onerror=alert(1)>"

OTHERS: Final[Mapping[str, dict[str, Any]]] = {
    "crm-1": {"crm": {"tier": "gold"}, "identifiers": {"email": ["crm.only@example.com"]}},
    "malformed-1": {"identifiers": "x", "consent": 3, "ga4": [], "contact": None, "sync": "y"},
    "malformed-2": {
        "identifiers": {"email": [1, None, {"a": []}], "phone": "text", "count": "many"},
        "consent": {
            "marketing": {"state": 5, "since": 1},
            "ads": "granted",
            "analytics": {"state": "granted", "since": "whenever!!"},
            "new": {"state": "x"},
        },
        "ga4": {"revenue": "many", "first_seen": "yesterday!", "last_seen": "x", "country": ["a"]},
        "sync": {"state": ["live"], "run": 3},
    },
    "malformed-3": {"sync": {"state": "merged", "merged_into": "malformed-3"}},
    "erased-1": {"sync": {"state": "deleted"}},
    "gone-1": {"sync": {"state": "gone", "seq": 1}, "crm": {"tier": "gold"}},
    HOSTILE_ID: {
        "identifiers": {"user_id": [HOSTILE, FORMULA], "email": ["a@x.de", HOSTILE]},
        "consent": {
            name: {"state": "granted", "source": HOSTILE}
            for name in ("analytics", "marketing", "ads", "_i_")
        },
        "ga4": {"country": HOSTILE, "last_source": HOSTILE, "last_seen": "2026-10-30T00:00:00Z"},
        HOSTILE: {HOSTILE: HOSTILE},
    },
}


def make(folder: Path) -> Cdp:
    """Generate, load and refresh the property."""
    cdp = Cdp(folder / "home", {"CDP_DELIVERY_BACKOFF": "0.1"})
    platform = cdp.platform
    for role, username in ACCOUNTS.items():
        add(platform.documents, username, role, email=f"{username}@example.com")
    cdp.run("generate", folder / "in", "--people", "400", "--days", "10")
    rows, links, decisions = _planted()
    for kind, written in (
        ("ga4", _file(folder / "in" / "ga4" / "events_20261021.ndjson", rows)),
        ("links", _file(folder / "in" / "links" / "planted.ndjson", links)),
        ("consent", _file(folder / "in" / "consent" / "planted.ndjson", decisions)),
    ):
        cdp.run("load", kind, written.parent)
    assert cdp.refresh()["state"] == "succeeded"

    (big,) = platform.documents.find("big.1")
    held = platform.documents.get(PROFILES, big)
    assert held is not None
    filled = {**held.body, "crm": {"notes": ""}}
    filled["crm"]["notes"] = "x" * (MAX_BYTES - len(json.dumps(filled, separators=(",", ":"))))
    platform.documents.commit([Put(PROFILES, big, filled)])
    more = [event("20261020", "big.1", session=9, user="bigger")]
    joined = [
        _link(("client_id", client), ("email", "merged@example.com"))
        for client in ("merged.1", "merged.2")
    ]
    withdrawn = [_decision("client_id", "gone.1", "analytics", "denied", "support")]
    cdp.run("load", "ga4", _file(folder / "more" / "events_20261020.ndjson", more))
    cdp.run("load", "links", _file(folder / "more" / "joined.ndjson", joined))
    cdp.run("load", "consent", _file(folder / "more" / "withdrawn.ndjson", withdrawn))
    assert cdp.refresh(code=2)["state"] == "partial"
    platform.documents.commit([Put(PROFILES, big, {**held.body, "crm": {"notes": "short"}})])
    with duckdb.connect(str(cdp.home / "warehouse.duckdb")):
        assert cdp.refresh(code=1)["state"] == "failed"
    platform.documents.commit([Put(PROFILES, id, body) for id, body in OTHERS.items()])
    return cdp


def _planted() -> tuple[list[dict[str, Any]], list[dict[str, str]], list[dict[str, str]]]:
    """Return events, links and decisions of those whose every value is known."""
    day = "20261021"
    rows = [event(day, client, at=n) for n, client in enumerate(("merged.1", "merged.2", "gone.1"))]
    rows.append(event(day, "big.1"))
    links, decisions = [], []
    for someone in (PAULA, OPAL, HALLE):
        address = f"https://www.example.com/?email={someone['email']}&id={someone['user_id']}"
        for at in range(3):
            told = event(day, someone["client_id"], user=someone["user_id"], at=at, session=at + 1)
            told["event_params"][0]["value"]["string_value"] = address
            told["event_params"].append(
                {"key": "page_title", "value": {"string_value": f"Hello {someone['phone']}"}}
            )
            rows.append(told)
        links += [
            _link(("user_id", someone["user_id"]), (kind, someone[kind]))
            for kind in ("email", "phone")
        ]
    decisions += [
        _decision(kind, someone[kind], "marketing", "granted", "crm")
        for someone, kind in ((OPAL, "email"), (OPAL, "phone"), (HALLE, "email"))
    ]

    markup = event(
        day,
        f"client {HOSTILE}",
        user=f"user {HOSTILE}",
        geo={"country": HOSTILE},
        device={"category": HOSTILE},
        traffic_source={"source": HOSTILE, "medium": HOSTILE},
    )
    markup["event_params"] += [
        {"key": "page_title", "value": {"string_value": HOSTILE}},
        {"key": "source", "value": {"string_value": HOSTILE}},
    ]
    markup["event_params"][0]["value"]["string_value"] = f"https://x/{HOSTILE}"
    rows += [markup, {**markup, "event_name": HOSTILE, "event_timestamp": "1792584010000000"}]
    rows += [event(day, client, user=FORMULA, at=30) for client in ("formula.1", "formula.2")]
    hostile = [(f"user {HOSTILE}", '<b onclick="x">@example.com'), (FORMULA, "+49-1@example.com")]
    for user, email in hostile:
        links.append(_link(("user_id", user), ("email", email), source=HOSTILE))
        decisions.append(_decision("user_id", user, "marketing", "granted", HOSTILE))
        decisions.append(_decision("email", email, "marketing", "denied", "crm"))
    # What the devices of the same person grant.
    decisions.append(_decision("user_id", FORMULA, "ads", "denied", "support"))
    return rows, links, decisions


def _link(a: tuple[str, str], b: tuple[str, str], source: str = "crm") -> dict[str, str]:
    names = {"a_type": a[0], "a_value": a[1], "b_type": b[0], "b_value": b[1]}
    return {**names, "at": "2026-10-01T10:00:00Z", "source": source, "consent": "granted"}


def _decision(type: str, value: str, purpose: str, state: str, source: str) -> dict[str, str]:
    who = {"type": type, "value": value, "purpose": purpose, "state": state}
    return {**who, "at": "2026-10-21T12:00:00Z", "source": source}


def _file(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file

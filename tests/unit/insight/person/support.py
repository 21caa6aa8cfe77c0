"""One person who tells of everything, and the documents of a generated property."""

from typing import Any

from cdp.domain.policy import Policy
from cdp.insight.person import Field, Person, fields
from cdp.profiles.port import PROFILES, Where

POLICY = Policy.load(None)
SYNC = {"run": "r1", "seq": 1, "hash": "h", "at": "2026-10-31T00:00:00.000000Z", "state": "live"}
GRANTED = {"state": "granted", "since": "2026-10-01T08:00:00.000000Z", "source": "ga4"}
ADA = {
    "identifiers": {
        "client_id": ["1.2", "3.4"],
        "user_id": ["ada-1815"],
        "email": ["ada@example.com"],
        "phone": ["+491711234567"],
    },
    "contact": {"email": "ada@example.com", "phone": "+491711234567"},
    "consent": {
        "analytics": GRANTED,
        "ads": {"state": "denied", "since": "2026-10-20T08:00:00.000000Z", "source": "ga4"},
        "marketing": GRANTED,
    },
    "ga4": {"revenue": 12.5, "last_client_id": "3.4", "first_seen": "2026-10-01T08:00:00.000000Z"},
    "sync": SYNC,
}


def all_documents(platform) -> list[Any]:
    live = [Where("sync.state", "==", "live")]
    return list(platform.documents.page(PROFILES, where=live, limit=10_000).documents)


def by_path(of: Person, policy: Policy = POLICY) -> dict[str, Field]:
    return {field.path: field for field in fields(of, policy)}

"""The truth table of docs/policy.md is what the rule says."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cdp.domain.consent import Resolved, Statement, Word, of_person, of_value, word

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "policy.md"
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = ("Monday", "Tuesday", "Wednesday")

# Who says what, Monday first: (whom it is said for, state, explicit).
Said = tuple[str, str, bool]
PERSON: dict[str, list[Said | None]] = {
    "a device says Yes": [("client_id", "granted", False)],
    "a device says Yes, then another No": [
        ("client_id", "granted", False),
        ("other device", "denied", False),
    ],
    "a device says No, then another Yes": [
        ("client_id", "denied", False),
        ("other device", "granted", False),
    ],
    "a device says No, then the same one Yes": [
        ("client_id", "denied", False),
        ("client_id", "granted", False),
    ],
    "a device says No, then an import Yes for the user id": [
        ("client_id", "denied", False),
        ("user_id", "granted", False),
    ],
    "a device says No, then the person Yes, signed in": [
        ("client_id", "denied", False),
        ("user_id", "granted", True),
    ],
    "the person says Yes, signed in, then a device No": [
        ("user_id", "granted", True),
        ("client_id", "denied", False),
    ],
    "the person says No, signed in, then a device Yes": [
        ("user_id", "denied", True),
        ("client_id", "granted", False),
    ],
    "the person says No, then an import Yes, for the user id": [
        ("user_id", "denied", True),
        ("user_id", "granted", False),
    ],
    "a device says No, the person Yes, then an import No for the user id": [
        ("client_id", "denied", False),
        ("user_id", "granted", True),
        ("user_id", "denied", False),
    ],
    "Yes and No of one device at one instant": [None],
}
VALUE: dict[str, list[Said]] = {
    "an import says Yes for it": [("email", "granted", False)],
    "an import says Yes for another address": [("other address", "granted", False)],
    "the person says Yes, signed in": [("user_id", "granted", True)],
    "an import says Yes for the user id": [("user_id", "granted", False)],
    "an import says Yes for it, then the person No, signed in": [
        ("email", "granted", False),
        ("user_id", "denied", True),
    ],
    "the person says No, signed in, then an import Yes for it": [
        ("user_id", "denied", True),
        ("email", "granted", False),
    ],
    "the person says No, signed in, then Yes for it": [
        ("user_id", "denied", True),
        ("email", "granted", True),
    ],
    "an import says No for it, then the person Yes, signed in": [
        ("email", "denied", False),
        ("user_id", "granted", True),
    ],
    "an import says Yes for it, then a device No": [
        ("email", "granted", False),
        ("client_id", "denied", False),
    ],
    "a device says No, then an import Yes for it": [
        ("client_id", "denied", False),
        ("email", "granted", False),
    ],
    "an import says Yes for it, then No for another address": [
        ("email", "granted", False),
        ("other address", "denied", False),
    ],
}


def statements(said: list[Any]) -> list[Statement]:
    if said == [None]:
        same = [("client_id", "granted", False), ("client_id", "denied", False)]
        return [Statement(who, who, state, MONDAY, "x", known) for who, state, known in same]  # type: ignore[arg-type]
    return [
        Statement(who, who, state, MONDAY + timedelta(days=n), "x", explicit)
        for n, (who, state, explicit) in enumerate(said)
    ]


def person(said: list[Any]) -> Resolved:
    told = statements(said)
    words: list[tuple[str, Word]] = []
    for who in dict.fromkeys(one.type for one in told):
        found = word([one for one in told if one.type == who], MONDAY + timedelta(days=9), None)
        assert found is not None
        words.append(("client_id" if who == "other device" else who, found))
    return of_person(words)


def address(said: list[Any]) -> Resolved:
    told = statements(said)
    own = [one for one in told if one.type == "email"]
    rest = [one for one in told if one.type in {"user_id", "client_id"}]
    return of_value(own, rest, MONDAY + timedelta(days=9), None)


def table() -> str:
    """Return the table as the document has it."""
    lines = []
    for title, cases, resolve in (
        ("scope `person`: what is said, a day each", PERSON, person),
        ("scope `value`: what is said, a day each, of one address", VALUE, address),
    ):
        lines += [f"| {title} | state | since |", "|---|---|---|"]
        for words, said in cases.items():
            found = resolve(list(said))
            since = DAYS[(found.since - MONDAY).days] if found.since else ""
            lines.append(f"| {words} | {found.state} | {since} |")
        lines.append("")
    return "\n".join(lines)


def test_the_document_says_what_the_rule_does() -> None:
    assert table() in DOCUMENT.read_text("utf-8")

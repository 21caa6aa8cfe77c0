"""What a denial takes out of a profile at once, beside a slow rule that walks every field."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.merge import Merge, Outcome, merged, outcome, withdrawal
from cdp.domain.payload import FIELDS, FieldType
from cdp.domain.policy import Policy
from cdp.domain.withdrawal import Denial, withdrawn

POLICY = Policy.load(None)
PEOPLE = {
    "user_id": ["ada", "bob"],
    "email": ["ada@example.com", "bob@example.com", "eve@example.com"],
    "phone": ["+4915100000001", "+4915100000002"],
    "client_id": ["1.1", "2.2"],
}
AT = "2026-11-05T08:00:00.000000Z"


def _value(path: str) -> st.SearchStrategy[Any]:
    name = path.rpartition(".")[2]
    if name in PEOPLE and path.startswith("identifiers."):
        return st.lists(st.sampled_from(PEOPLE[name]), min_size=1, max_size=3, unique=True)
    if name in PEOPLE:
        return st.sampled_from(PEOPLE[name])
    if path == "ga4.last_client_id":
        return st.sampled_from(PEOPLE["client_id"])
    return st.booleans() if FIELDS[path] is FieldType.BOOLEAN else st.integers(0, 3)


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for path, value in flat.items():
        *above, last = path.split(".")
        at = body
        for name in above:
            at = at.setdefault(name, {})
        at[last] = value
    return body


FLAT = st.fixed_dictionaries(
    {},
    optional={
        **{path: _value(path) for path in FIELDS},
        **{
            f"consent.{purpose}.{name}": st.sampled_from(values)
            for purpose in POLICY.purposes
            for name, values in {
                "state": ["granted", "denied", "unknown"],
                "since": ["2026-01-01T00:00:00.000000Z"],
                "source": ["crm", "ga4"],
            }.items()
        },
        # Of others, among ours and beside.
        "contact.nickname": st.just("ada@example.com"),
        "crm.email": st.just("ada@example.com"),
        "sync.state": st.sampled_from(["live", "live", "live", "gone", "merged", "deleted"]),
        "sync.seq": st.integers(1, 3),
    },
)
DENIALS = st.builds(
    lambda who, purpose, known: replace(
        Denial.under(POLICY, *who, purpose, at=AT, source="admin"), profiles=known
    ),
    st.sampled_from([(type_, value) for type_, values in PEOPLE.items() for value in values]),
    st.sampled_from([*POLICY.purposes]),
    st.sampled_from([(), ("p_1",), ("p_2",)]),
)


def leaves(body: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(body, dict):
        yield at, body
        return
    for name, below in body.items():
        yield from leaves(below, f"{at}.{name}" if at else name)


def reference(flat: Mapping[str, Any], denial: Denial) -> dict[str, Any]:
    """Field by field, from the words of docs/policy.md."""

    def holds(path: str) -> bool:
        held = flat.get(path)
        return held == denial.value or (isinstance(held, list) and denial.value in held)

    where = {"user_id": (), "email": ("contact.email",), "phone": ("contact.phone",)}
    theirs = "p_1" in denial.profiles or any(
        holds(path)
        for path in (
            f"identifiers.{denial.type}",
            *where.get(denial.type, ("ga4.last_client_id",)),
        )
    )
    if not theirs or flat.get("sync.state") in {"gone", "merged", "deleted"}:
        return dict(flat)
    permitted = [path for path in FIELDS if POLICY.purpose_of(path) == denial.purpose]
    after: dict[str, Any] = {}
    by_value = POLICY.purposes[denial.purpose].scope == "value"
    alone = by_value and denial.type in {"email", "phone"}
    for path, value in flat.items():
        if path not in permitted:
            after[path] = value
        elif alone:
            if path == "contact.email_valid" and denial.type == "email" and holds("contact.email"):
                continue
            if not path.endswith(f".{denial.type}"):
                after[path] = value
            elif isinstance(value, list):
                rest = [one for one in value if one != denial.value]
                after |= {path: rest} if rest else {}
            elif value != denial.value:
                after[path] = value
    if alone and any(p.endswith((".email", ".phone")) and p in permitted for p in after):
        return after
    after = {path: value for path, value in after.items() if path not in permitted}
    told = f"consent.{denial.purpose}"
    if after.get(f"{told}.state") != "denied":
        after |= {f"{told}.state": "denied", f"{told}.since": AT, f"{told}.source": "admin"}
    return after


@given(FLAT, DENIALS)
def test_the_rule_is_what_the_words_say(flat: dict[str, Any], denial: Denial) -> None:
    after = withdrawn("p_1", _nested(flat), denial)
    assert dict(leaves(after)) == reference(flat, denial)


@given(FLAT, DENIALS)
def test_it_only_takes_away_and_never_grants(flat: dict[str, Any], denial: Denial) -> None:
    before, after = (
        dict(leaves(_nested(flat))),
        dict(leaves(withdrawn("p_1", _nested(flat), denial))),
    )
    about = f"consent.{denial.purpose}."
    for path, value in after.items():
        if path.startswith(about):
            continue
        assert path in before
        assert value == before[path] or set(value) < set(before[path])
    assert after.get(f"{about}state") in {before.get(f"{about}state"), "denied"}
    # What other purposes permit, and what is others', stays to the letter.
    for path, value in before.items():
        ours = path in denial.fields or path.startswith(about)
        assert ours or after[path] == value


@given(FLAT, DENIALS, DENIALS)
def test_denials_come_to_the_same_in_any_order_and_twice(
    flat: dict[str, Any], one: Denial, other: Denial
) -> None:
    # Known to be this profile's: what one takes out may be what tells the other whose it is.
    one, other = (replace(denial, profiles=("p_1",)) for denial in (one, other))
    body = _nested(flat)

    def after(*denials: Denial) -> dict[str, Any]:
        found: dict[str, Any] = body
        for denial in denials:
            found = withdrawn("p_1", found, denial)
        return found

    assert after(one, other, one) == after(one, other)
    assert after(one, other) == after(other, one)


@given(FLAT, DENIALS)
def test_a_row_that_withdraws_leaves_the_stamp_and_tells_whether_it_did_anything(
    flat: dict[str, Any], denial: Denial
) -> None:
    body = _nested(flat)
    row = withdrawal("p_1", denial)
    after = merged(body, row)
    assert after == withdrawn("p_1", body, denial)
    assert after.get("sync") == body.get("sync")
    assert outcome(body, row) is (Outcome.UNCHANGED if after == body else Outcome.WRITTEN)
    assert outcome(after, row) is Outcome.UNCHANGED
    assert outcome(None, row) is Outcome.UNCHANGED


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4))
def test_what_others_wrote_in_our_places_is_no_obstacle(junk: Any) -> None:
    denial = Denial.under(POLICY, "email", "ada@example.com", "marketing", at=AT, source="admin")
    for name in ("identifiers", "contact", "consent", "sync"):
        body = {name: junk, "crm": 1}
        assert withdrawn("p_1", body, denial) == body
        assert withdrawn(
            "p_1", {"identifiers": {"email": junk}, "contact": {"email": junk}}, denial
        )


def test_a_denial_is_the_same_once_it_was_kept() -> None:
    denial = Denial.under(POLICY, "phone", "+4915100000001", "marketing", at=AT, source="admin")
    denial = replace(denial, profiles=("p_1",))
    assert Denial.of(json.loads(json.dumps({**denial.body, "more": 1}))) == denial


def test_a_withdrawal_is_no_runs_row() -> None:
    denial = Denial.under(POLICY, "user_id", "ada", "analytics", at=AT, source="admin")
    row = withdrawal("p_1", replace(denial, profiles=("p_1",)))
    stored = {"ga4": {"events": 3}, "sync": {"seq": 9, "hash": "h", "state": "live"}}
    after = merged(stored, row)
    assert "ga4" not in after
    # The run that wrote the document may deliver it again: to it nothing has changed.
    again = Merge("p_1", 9, "r9", "t", "h", set={"ga4": {"events": 3}})
    assert outcome(after, again) is Outcome.UNCHANGED

"""The merge rule, as a pure function."""

import json

from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.merge import Kind, Merge, Outcome, merged, outcome
from cdp.domain.payload import FIELDS, field_type

KEYS = st.one_of(
    st.sampled_from(
        ["ga4", "country", "sessions", "consent", "ads", "state", "ga4.country", "a[0]"]
    ),
    st.text(min_size=1, max_size=4),
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3))
TREES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=2)),
    lambda below: st.dictionaries(KEYS, below, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(KEYS, TREES, max_size=5)
OWNED = [*FIELDS, "consent.ads.state", "consent.ads.since"]
MAPS = ["ga4", "ads", "contact", "identifiers", "consent", "consent.ads"]


def nested(flat):
    result = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        at = result
        for part in parents:
            at = at.setdefault(part, {})
        at[last] = value
    return result


SETS = st.dictionaries(st.sampled_from(OWNED), SCALARS, max_size=6).map(nested)
UNSETS = st.lists(st.sampled_from(OWNED + MAPS), max_size=3)


def row(seq=1, hash="h1", **more):
    return Merge(id="p1", seq=seq, run="r1", at="t1", hash=hash, **more)


def leaves(value, at=()):
    """Return (path, value) of everything that is not a map with something in it."""
    if isinstance(value, dict) and value:
        return {p: v for k, below in value.items() for p, v in leaves(below, (*at, k)).items()}
    return {at: json.dumps(value)}


def foreign(document):
    """Return the leaves that no field of the platform is at or above, `sync` aside."""
    return {
        path: value
        for path, value in leaves(document).items()
        if path
        and path[0] != "sync"
        and not any(
            all("." not in part for part in path[:end]) and field_type(".".join(path[:end]))
            for end in range(1, len(path) + 1)
        )
    }


@given(DOCUMENTS, SETS, UNSETS)
def test_no_upsert_touches_a_field_of_others(document, fields, unset):
    before = foreign(document)
    after = foreign(merged(document, row(set=fields, unset=unset)))
    # A map that owned fields move into is no longer the empty map or the scalar it was.
    replaced = {path for path in before if path[0] in fields and path not in after}
    assert {p: v for p, v in before.items() if p not in replaced} == after
    assert all(".".join(path) in MAPS for path in replaced)


@given(DOCUMENTS, SETS, UNSETS)
def test_a_row_applied_twice_is_a_row_applied_once(document, fields, unset):
    upsert = row(set=fields, unset=unset)
    once = merged(document, upsert)
    assert merged(once, upsert) == once
    assert outcome(once, upsert) is Outcome.UNCHANGED


@given(DOCUMENTS, SETS)
def test_every_value_that_is_set_is_there_afterwards(document, fields):
    after = leaves(merged(document, row(set=fields)))
    for path, value in leaves(fields).items():
        if value not in {"null", "{}"}:
            assert after[path] == value


@given(DOCUMENTS, SETS, UNSETS)
def test_the_document_given_is_not_changed(document, fields, unset):
    before = json.dumps(document)
    merged(document, row(set=fields, unset=unset))
    assert json.dumps(document) == before


@given(DOCUMENTS, SETS)
def test_merged_leaves_what_others_wrote_and_nothing_of_ours(document, fields):
    full = merged(document, row(set=fields))
    after = merged(full, row(seq=2, kind=Kind.MERGED, into="p2"))
    assert foreign(after) == foreign(full)
    assert not [p for p in leaves(after) if "." not in "".join(p) and field_type(".".join(p))]


@given(DOCUMENTS, SETS)
def test_an_erasure_leaves_the_stamp_alone(document, fields):
    after = merged(merged(document, row(set=fields)), row(seq=2, hash="", kind=Kind.DELETE))
    assert after == {"sync": {"run": "r1", "seq": 2, "hash": "", "at": "t1", "state": "deleted"}}


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Kind)), max_size=8))
def test_the_highest_seq_stands_whatever_the_order_of_arrival_until_an_erasure(arrivals):
    document, highest, erased = None, -1, False
    for seq, kind in arrivals:
        if not erased or kind is Kind.DELETE:
            highest = max(highest, seq)
        erased = erased or (kind is Kind.DELETE and seq >= highest)
        into = "p2" if kind is Kind.MERGED else None
        arrived = row(seq=seq, hash=f"{seq}{kind}", kind=kind, into=into)
        if outcome(document, arrived) is Outcome.WRITTEN:
            document = merged(document, arrived)
    assert document is None or document["sync"]["seq"] == highest


def stored(**fields):
    return merged(None, row(set=fields))


def test_maps_merge_deep_and_lists_replace():
    before = stored(ga4={"country": "DE", "sessions": 1}, identifiers={"email": ["a", "b"]})
    after = merged(before, row(2, "h2", set={"ga4": {"sessions": 2}, "identifiers": {"email": []}}))
    assert after["ga4"] == {"country": "DE", "sessions": 2}
    assert after["identifiers"] == {"email": []}


def test_a_null_overwrites_nothing_and_an_empty_map_removes_nothing():
    before = stored(ga4={"country": "DE"}, ads={"last_gclid": "g"})
    after = merged(before, row(2, "h2", set={"ga4": {"country": None}, "ads": {}, "contact": {}}))
    assert (after["ga4"], after["ads"]) == ({"country": "DE"}, {"last_gclid": "g"})
    assert "contact" not in after


def test_removing_the_last_key_of_a_map_removes_the_map():
    after = merged(stored(ga4={"country": "DE"}), row(2, "h2", unset=["ga4.country"]))
    assert "ga4" not in after


def test_unsetting_a_map_removes_only_owned_fields_below_it():
    before = stored(ga4={"country": "DE"}, consent={"ads": {"state": "granted"}})
    before["ga4"] |= {"custom_by_sgtm": 1, "country.x": 2}
    after = merged(before, row(2, "h2", unset=["ga4", "consent"]))
    assert after["ga4"] == {"custom_by_sgtm": 1, "country.x": 2}
    assert "consent" not in after


def test_unset_comes_before_set():
    before = stored(ga4={"country": "DE", "sessions": 1})
    after = merged(before, row(2, "h2", set={"ga4": {"country": "FR"}}, unset=["ga4"]))
    assert after["ga4"] == {"country": "FR"}


def test_a_key_with_a_dot_is_not_a_path():
    before = {"ga4.country": "mine", "ga4": {"country": "DE", "`a`[0].ü": 1}}
    after = merged(before, row(unset=["ga4.country"]))
    assert after["ga4.country"] == "mine"
    assert after["ga4"] == {"`a`[0].ü": 1}


def test_outcomes_by_seq_and_hash():
    document = stored()
    assert outcome(None, row()) is Outcome.WRITTEN
    assert outcome({"sync": "of others"}, row()) is Outcome.WRITTEN
    assert outcome(document, row(0, "h2")) is Outcome.STALE
    assert outcome(document, row(1, "h1")) is Outcome.UNCHANGED
    assert outcome(document, row(2, "h1")) is Outcome.UNCHANGED
    assert outcome(document, row(2, "h2")) is Outcome.WRITTEN


def test_a_newer_row_revives_a_profile_that_was_merged():
    gone = merged(stored(), row(2, "h1", kind=Kind.MERGED, into="p2"))
    assert outcome(gone, row(1, "h1")) is Outcome.STALE
    assert outcome(gone, row(3, "h1")) is Outcome.WRITTEN
    assert merged(gone, row(3, "h1"))["sync"]["state"] == "live"
    assert "merged_into" not in merged(gone, row(3, "h1"))["sync"]


def test_nothing_revives_a_profile_that_was_erased():
    erased = merged(stored(), row(2, "", kind=Kind.DELETE))
    for kind in (Kind.UPSERT, Kind.MERGED, Kind.GONE):
        for seq in (1, 2, 3, 10**9):
            assert outcome(erased, row(seq, "h9", kind=kind, confirm=True)) is Outcome.UNCHANGED
    assert outcome(erased, row(2, "", kind=Kind.DELETE)) is Outcome.UNCHANGED


def test_a_row_to_confirm_raises_the_stamp_and_so_keeps_an_older_one_out():
    held = merged(None, row(5, "a"))
    assert outcome(held, row(7, "a")) is Outcome.UNCHANGED
    assert outcome(held, row(6, "b")) is Outcome.WRITTEN, "what the run that died might still bring"
    assert outcome(held, row(7, "a", confirm=True)) is Outcome.WRITTEN
    confirmed = merged(held, row(7, "a", confirm=True))
    assert outcome(confirmed, row(6, "b")) is Outcome.STALE
    assert outcome(confirmed, row(7, "a", confirm=True)) is Outcome.UNCHANGED, "told twice"


def test_a_profile_of_which_nothing_is_known_keeps_what_others_wrote():
    held = merged({"crm": {"tier": 1}, "ga4": {"own": 2}}, row(1, set={"ga4": {"sessions": 3}}))
    gone = merged(held, row(2, "g", kind=Kind.GONE))
    assert gone["sync"]["state"] == "gone"
    assert {key: gone[key] for key in gone if key != "sync"} == {
        "crm": {"tier": 1},
        "ga4": {"own": 2},
    }

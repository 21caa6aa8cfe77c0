"""What a row's consent lets it set, beside the same rule written slowly and in other words."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.payload import FIELDS
from cdp.domain.permission import Permission
from cdp.domain.policy import Policy

SHIPPED = Policy.load(None).permission()
NAMES = ("analytics", "ads", "marketing")
STATES = ("granted", "denied", "unknown")

PERMISSIONS = st.builds(
    Permission,
    st.dictionaries(st.sampled_from(sorted(FIELDS)), st.sampled_from(NAMES)),
    st.frozensets(st.sampled_from(NAMES)),
)
CONSENT = st.dictionaries(
    st.sampled_from([*NAMES, "other"]),
    st.fixed_dictionaries({}, optional={"state": st.sampled_from(STATES), "source": st.just("x")}),
)
SETS = st.sets(st.sampled_from(sorted(FIELDS)), max_size=4)


def row(paths: set[str], consent: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {"consent": consent}
    for path in sorted(paths):
        group, name = path.split(".")
        fields.setdefault(group, {})[name] = "x"
    return fields


def forbidden(permission: Permission, path: str, consent: Mapping[str, Any]) -> bool:
    """Whether no sentence of the rule permits the field."""
    if path not in permission.purposes:
        return True
    said = consent.get(permission.purposes[path])
    if said is None or "state" not in said:
        return True
    if said["state"] == "unknown":
        return permission.purposes[path] not in permission.silent
    return bool(said["state"] == "denied")


@given(PERMISSIONS, CONSENT, SETS)
def test_a_row_is_refused_where_a_field_of_it_is_forbidden_and_only_there(
    permission: Permission, consent: Mapping[str, Any], paths: set[str]
) -> None:
    wrong = {path for path in paths if forbidden(permission, path, consent)}
    told = permission.refusal(row(paths, consent))
    assert (told is None) == (not wrong)
    assert told is None or told.split(" ")[0] in wrong


@pytest.mark.parametrize("silent", [(), ("marketing",), ("ads",)])
@pytest.mark.parametrize("state", [*STATES, None])
def test_of_every_state_and_silence_the_rule_is_the_one_in_words(
    state: str | None, silent: tuple[str, ...]
) -> None:
    permission = Permission({"contact.email": "marketing"}, silent)
    consent = {"marketing": {"state": state} if state else {}}
    may = state == "granted" or (state == "unknown" and silent == ("marketing",))
    assert (permission.refusal(row({"contact.email"}, consent)) is None) == may
    assert permission.refusal(row({"contact.email"}, {})) is not None


@given(PERMISSIONS, st.lists(st.tuples(CONSENT, SETS), max_size=4))
def test_what_was_asked_before_changes_no_answer(
    permission: Permission, asked: list[tuple[Mapping[str, Any], set[str]]]
) -> None:
    for consent, paths in asked:
        fresh = Permission(permission.purposes, permission.silent)
        assert permission.refusal(row(paths, consent)) == fresh.refusal(row(paths, consent))


@pytest.mark.parametrize(
    ("consent", "told"),
    [
        ({}, "contact.email needs consent to marketing, which the row does not state"),
        ({"ads": {"state": "granted"}}, "contact.email needs consent to marketing, which the row "),
        ({"marketing": {"since": "x"}}, "contact.email needs consent to marketing, which the row "),
        (
            {"marketing": {"state": "denied"}},
            "contact.email needs consent to marketing, which the row says is denied",
        ),
        (
            {"marketing": {"state": "unknown"}},
            "contact.email needs consent to marketing, which the row says is unknown, and the "
            "policy takes silence for No",
        ),
    ],
)
def test_the_reason_names_the_field_and_the_purpose_and_quotes_nobody(
    consent: Mapping[str, Any], told: str
) -> None:
    reason = SHIPPED.refusal({"consent": consent, "contact": {"email": "jane@example.com"}})
    assert reason is not None
    assert reason.startswith(told)
    assert "jane" not in reason


@pytest.mark.parametrize("state", ["Granted", "yes", "", "GRANTED "])
def test_a_state_that_is_none_is_refused_in_words_whatever_else_the_row_sets(state: str) -> None:
    reason = SHIPPED.refusal({"consent": {"ads": {"state": state}}})
    assert reason == "consent.ads.state takes one of granted, denied, unknown"


def test_a_field_that_the_run_knew_no_purpose_of_is_refused() -> None:
    everything = {name: {"state": "granted"} for name in NAMES}
    reason = Permission({}, NAMES).refusal({"consent": everything, "ga4": {"events": 1}})
    assert reason == "ga4.events has no purpose in the policy that the run was planned with"


def test_a_row_that_sets_nothing_needs_no_consent() -> None:
    assert SHIPPED.refusal({}) is None
    assert SHIPPED.refusal({"ga4": {}, "contact": {}}) is None


def test_every_field_of_a_policy_has_its_purpose() -> None:
    assert SHIPPED.purposes.keys() == FIELDS.keys()
    assert all(path.count(".") == 1 for path in FIELDS), "a row is asked group by group"


def test_of_a_group_the_field_that_is_forbidden_is_named() -> None:
    permission = Permission({"contact.email": "ads", "contact.phone": "marketing"}, ())
    fields = row({"contact.email", "contact.phone"}, {"ads": {"state": "granted"}})
    reason = permission.refusal(fields)
    assert reason == "contact.phone needs consent to marketing, which the row does not state"

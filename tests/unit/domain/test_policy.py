import re
from importlib import resources
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdp.domain.payload import FIELDS
from cdp.domain.policy import Policy, PolicyError

SHIPPED = resources.files("cdp.domain").joinpath("policy.toml").read_text("utf-8")
EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"


def changed(*changes):
    """Return the policy that ships, with each (old, new) replaced once."""
    text = SHIPPED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def parsed(*changes):
    return Policy.parse(changed(*changes), "p.toml")


def refused(*changes):
    """Return what is said of the changed policy, a line a wrong value."""
    with pytest.raises(PolicyError) as error:
        parsed(*changes)
    return str(error.value).splitlines()


def line_of(text, *changes):
    """Return the number of the first line that begins with *text*, after the changes."""
    lines = changed(*changes).splitlines()
    return next(n for n, line in enumerate(lines, start=1) if line.startswith(text))


# --- what loads -----------------------------------------------------------------------------------


def test_the_policy_that_ships_loads_and_fails_closed():
    policy = Policy.load(None)
    assert policy.source == "the policy that ships"
    assert {purpose.unknown for purpose in policy.purposes.values()} == {"denied"}
    assert policy.linking.unstated == "denied"
    assert {policy.purpose_of(field) for field in FIELDS} == {"analytics", "ads", "marketing"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_example_loads_and_says_where_it_is_from(path):
    assert Policy.load(path).source == str(path)


def test_without_consent_mode_only_analytics_may_be_assumed():
    policy = Policy.load(EXAMPLES / "no-consent-mode.toml")
    unknown = {name: purpose.unknown for name, purpose in policy.purposes.items()}
    assert unknown == {"analytics": "granted", "ads": "denied", "marketing": "denied"}


def test_a_field_s_own_line_stands_above_its_group_s():
    policy = parsed(('"ga4" = "analytics"', '"ga4" = "analytics"\n"ga4.revenue" = "ads"'))
    assert policy.purpose_of("ga4.revenue") == "ads"
    assert policy.purpose_of("ga4.sessions") == "analytics"


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "name", "says"),
    [
        ("kept = 200", "kept = 0", "identifiers.kept", "a whole number from 1 to 1000 (given: 0)"),
        ("kept = 200", "kept = 1001", "identifiers.kept", "from 1 to 1000"),
        ("kept = 200", 'kept = "200"', "identifiers.kept", "a whole number"),
        ("kept = 200", "kept = true", "identifiers.kept", "a whole number"),
        ("kept = 200", "kept = 2.5", "identifiers.kept", "a whole number"),
        ("kept = 200", "kept = 200\nkeep = 1", "identifiers.keep", "unknown key; known are prio"),
        ('"client_id.user_id" = 1', '"client_id.user_id" = 0', "limits.client_id.user_id", "1000"),
        ('"client_id.user_id" = 1', '"a.user_id" = 1', "limits.a.user_id", "two different ones"),
        ('"client_id.user_id" = 1', '"email.email" = 1', "limits.email.email", "two different"),
        ('"client_id.user_id" = 1', "client_id = 1", "limits.client_id", "no pair of types"),
        ("[purposes.ads]", "[purposes.Ads]", "purposes.Ads", "1 to 32 of a-z, 0-9 and _"),
        ('ga4_signal = "ads', 'ga4_signal = "x', "purposes.ads.ga4_signal", "'analytics_storage'"),
        ('unstated = "denied"', 'unstated = "no"', "linking.unstated", "'granted' or 'denied'"),
        ('unstated = "denied"', "unstated = false", "linking.unstated", "'granted' or 'denied'"),
        (
            'purpose = "analytics"',
            'purpose = "x"',
            "linking.purpose",
            "declared are analytics, ads",
        ),
        ('"contact" = "mark', '"contact" = "x', "fields.contact", "'xeting' is no purpose"),
        ('"contact" =', '"contacts" = "ads"\n"contact" =', "fields.contacts", "no such field"),
        ('priority = ["user_id", ', "priority = [", "identifiers.priority", "name each of user_id"),
        ("leads = [", "leads = [7, ", "events.leads.0", "text in quotes (given: 7)"),
        ('explicit = ["preference_centre", ', "explicit = [1, ", "decisions.explicit.0", "text"),
        ('leads = ["generate_lead"]', 'leads = "lead"', "events.leads", "takes a list"),
        (
            "query_parameters = [",
            'query_parameters = ["utm_*", ',
            "redaction.query_parameters.0",
            "'utm_*' names no query parameter; write what stands before its \"=\"",
        ),
        (
            "query_parameters = [",
            'query_parameters = ["", ',
            "redaction.query_parameters.0",
            'such as "utm_source"',
        ),
    ],
)
def test_a_wrong_value_is_refused_with_name_line_and_what_it_takes(old, new, name, says):
    (message,) = refused((old, new))
    where = new.splitlines()[-1] if name == "identifiers.keep" else new.splitlines()[0]
    assert message.startswith(f"p.toml, line {line_of(where, (old, new))}: {name}: "), message
    assert says in message


def test_a_missing_key_is_told_at_its_table_with_an_example():
    (message,) = refused(("kept = 200\n", ""))
    line = line_of("[identifiers]")
    assert message == f"p.toml, line {line}: identifiers.kept: missing; add it, e.g. kept = 200"


def test_a_missing_key_of_one_s_own_purpose_is_told_with_an_example():
    (message,) = refused(
        ('[purposes.marketing]\nscope = "value"\nunknown', "[purposes.sms]\nga4_signal")
    )[:1]
    assert "purposes.sms" in message


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ('expires = "13"', "purposes.ads.expires: '13' is no time that the policy knows; write"),
        ('expires = "0 months"', "purposes.ads.expires: '0 months' is no time that"),
        ('scope = "address"', "purposes.ads.scope: takes 'person' or 'value'"),
        ('unknown_in = { Germany = "yes" }', "purposes.ads.unknown_in.Germany: takes 'granted' or"),
    ],
)
def test_what_a_purpose_does_not_take_is_told_in_words(wrong, told):
    (message,) = refused(("[purposes.ads]", f"[purposes.ads]\n{wrong}"))
    assert told in message


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ('parameter = "gpc"', 'parameter = ""', "gpc.parameter: names no event parameter; write"),
        ('purposes = ["ads"]', 'purposes = ["all"]', "gpc.purposes: 'all' is no purpose; declared"),
        ('# "*" = "FR"', '"*" = "France"', "regions: * is from 'France'; name a country as ISO"),
        ('denied_row = "user_id"', 'denied_row = "x"', "decisions.denied_row: takes 'user_id' or"),
    ],
)
def test_other_wrong_values_of_consent_name_what_is_taken(right, wrong, told):
    (message,) = refused((right, wrong))
    assert told in message


def test_sources_and_regions_are_compared_without_case():
    policy = parsed(
        ('"support", "admin"', '"Support ", "SUPPORT", "admin"'),
        ('# crm = "DE"', 'CRM = "DE"'),
    )
    assert policy.decisions.explicit == ("preference_centre", "support", "admin", "gpc")
    assert policy.speller().spell("phone", "030 1234567", "Crm ").value == "+49301234567"


def test_a_misspelt_table_is_both_missing_and_unknown():
    missing, unknown = refused(("[linking]", "[linkage]"))
    assert missing.startswith("p.toml, line 1: linking: missing; add it, e.g. [linking]")
    assert unknown.startswith(f"p.toml, line {line_of('[linking]')}: linkage: unknown key; known ")
    assert (
        "identifiers, limits, purposes, linking, decisions, gpc, regions, redaction, events, fields"
        in unknown
    )


def test_source_is_no_key_of_the_file():
    (message,) = refused(("[identifiers]", 'source = "me"\n[identifiers]'))
    assert "source: unknown key" in message


def test_several_wrong_values_are_told_at_once():
    messages = refused(
        ("kept = 200", "kept = 0"),
        ('"user_id.email" = 3', '"user_id.email" = -1'),
        ('unstated = "denied"', 'unstated = "perhaps"'),
    )
    names = ["identifiers.kept", "limits.user_id.email", "linking.unstated"]
    assert [message.split(": ")[1] for message in messages] == names


def test_several_references_to_no_purpose_are_told_at_once():
    messages = refused(
        ('"ga4" = "analytics"', '"ga4" = "x"'), ('purpose = "analytics"', 'purpose = "y"')
    )
    assert [message.split(": ")[1] for message in messages] == ["fields.ga4", "linking.purpose"]


def test_a_field_without_a_purpose_is_refused_rather_than_delivered():
    (message,) = refused(('"ads" = "ads"', '"ads.last_gclid" = "ads"'))
    line = line_of("[fields]")
    assert message == (
        f'p.toml, line {line}: fields: no purpose permits ads.last_campaign; add "ads"'
    )


def test_a_pair_without_quotes_is_told_to_take_them():
    (message,) = refused(('"client_id.user_id" = 1', "client_id.user_id = 1"))[:1]
    assert "limits.client_id: " in message
    assert '"client_id.user_id"' in message


def test_a_policy_without_purposes_is_refused():
    start, end = SHIPPED.index("[purposes.analytics]"), SHIPPED.index("[linking]")
    messages = refused((SHIPPED[start:end], "[purposes]\n"))
    assert messages[0].endswith("purposes: declare at least one")


def test_a_comment_after_a_table_s_name_does_not_move_the_line():
    change = [("[limits]", "[limits] # of = joins"), ('"email.phone" = 3', '"email.phone" = 0')]
    (message,) = refused(*change)
    assert message.startswith(f"p.toml, line {line_of(chr(34) + 'email.phone', *change)}: ")


def test_a_file_that_is_not_toml_is_refused_with_its_line():
    (message,) = refused(("kept = 200", "kept = "))
    assert message.startswith("p.toml is not TOML: ")
    assert f"line {line_of('kept')}" in message


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(PolicyError, match="cannot be read"):
        Policy.load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(PolicyError, match="cannot be read"):
        Policy.load(tmp_path / "latin.toml")


def test_messages_are_free_of_the_validator_s_jargon():
    messages = refused(
        ("kept = 200", "keep = 200"), ("[linking]", "[x]"), ('unknown = "denied"', "unknown = 1")
    )
    jargon = re.compile(r"Extra inputs|Field required|Input should|valid (string|integer)|pydantic")
    assert not [message for message in messages if jargon.search(message)]


# --- regular expressions --------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["blocked_patterns", "not_a_user_id"])
@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(", "is not a regular expression"),
        ("[a", "is not a regular expression"),
        ("*a", "is not a regular expression"),
        ("a(?=b)", "look-around"),
        ("(?!a)b", "look-around"),
        ("(?<=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "a backreference"),
        ("(?P<x>a)(?P=x)", "a backreference"),
        ("(?>a)", "an atomic group"),
        ("(a)?(?(1)b)", "a condition"),
        ("a++", "a possessive repetition"),
        ("(?#note)a", "a comment"),
        ("(?x:a b)", "a flag"),
        (r"a\Z", "an escape"),
        (r"\u00e9", "an escape"),
        ("a{1001}", "1000 repetitions"),
        ("a{2,20000}", "1000 repetitions"),
    ],
)
def test_an_expression_that_the_warehouse_cannot_run_is_refused(key, pattern, why):
    old = next(line for line in SHIPPED.splitlines() if line.startswith(f"{key} ="))
    new = f"{key} = ['{pattern}']"
    (message,) = refused((old, new))
    assert message.startswith(f"p.toml, line {line_of(key, (old, new))}: identifiers.{key}: ")
    assert why in message
    assert pattern in message.replace(r"\\", "\\")


@pytest.mark.parametrize(
    "pattern",
    ["[0-]*", r"\(\?=x", "[(?=]", r"\\1", "a{1000}", "(?i:x)", "(?:a|b)+?", r"\d+\.\w", "(?P<n>a)"],
)
def test_an_expression_that_is_kept_runs_in_the_warehouse(pattern):
    policy = parsed(('blocked_patterns = ["[0-]*"]', f"blocked_patterns = ['{pattern}']"))
    sql = "SELECT regexp_matches('', ?)"
    duckdb.execute(sql, [policy.blocked_pattern()])


def blocked(policy, *values):
    """Return which of *values* the warehouse takes for blocked."""
    with duckdb.connect() as db:
        sql = "SELECT regexp_matches(lower(trim(?)), ?)"
        return [v for v in values if db.execute(sql, [v, policy.blocked_pattern()]).fetchone()[0]]


def test_every_listed_value_is_blocked_in_any_case_and_with_space_around_it():
    policy = Policy.load(None)
    for value in policy.identifiers.blocked:
        spellings = [value, value.upper(), f"  {value} "]
        assert blocked(policy, *spellings) == spellings


def test_a_value_is_blocked_as_a_whole_only():
    values = ["anonymous2", "my-guest", "nulls", "contest", "00a0", "10", "true story", "x\nnull"]
    assert blocked(Policy.load(None), *values) == []
    assert blocked(Policy.load(None), "00-00", "---", "[object Object]", "(not set)") == [
        "00-00",
        "---",
        "[object Object]",
        "(not set)",
    ]


def test_characters_with_a_meaning_in_expressions_mean_themselves_in_values():
    listed = ["a.b", "x|y", "q?", "a b", "50%", "#1", "é", "C:\\d", 'say "x"', "^$"]
    text = ", ".join("'''" + value + "'''" for value in listed)
    start, end = SHIPPED.index("blocked = ["), SHIPPED.index("# Regular expressions")
    policy = parsed((SHIPPED[start:end], f"blocked = [{text}]\n"))
    assert blocked(policy, *listed, "aXb", "x", "q", "c:5") == listed


def test_a_policy_that_blocks_nothing_matches_nothing():
    start, end = SHIPPED.index("blocked = ["), SHIPPED.index("# Regular expressions")
    policy = parsed((SHIPPED[start:end], "blocked = []\n"), ('["[0-]*"]', "[]"))
    assert blocked(policy, "", "0", "null", "a") == []


def test_an_alternative_in_a_pattern_stays_within_it():
    policy = parsed(('blocked_patterns = ["[0-]*"]', 'blocked_patterns = ["bot|crawler"]'))
    assert blocked(policy, "bot", "crawler", "robot", "crawlers") == ["bot", "crawler"]


@pytest.mark.parametrize(
    "told", ["id:jane@example.com", "jane%2540example.com", "+33612345678", "YUBiLmNvbQ=="]
)
def test_a_user_id_that_holds_an_address_or_a_number_is_none(told):
    speller = Policy.load(None).speller()
    assert speller.spell("user_id", told, "crm").problem == "not a user id"
    assert speller.spell("user_id", "33612345678", "crm").problem is None
    assert speller.spell("client_id", "1234567890.1234567890", "crm").problem is None


def test_what_is_not_a_user_id_is_matched_as_a_whole():
    pattern = Policy.load(None).not_a_user_id_pattern()
    sql = "SELECT regexp_matches(?, ?)"
    assert duckdb.execute(sql, ["a@b.c", pattern]).fetchone() == (True,)
    assert duckdb.execute(sql, ["id of a@b.c", pattern]).fetchone() == (False,)


@given(st.lists(st.text(max_size=8).filter(lambda t: "\0" not in t), max_size=4), st.text())
def test_the_blocked_expression_matches_exactly_the_listed_values(values, other):
    shipped = Policy.load(None)
    identifiers = shipped.identifiers.model_copy(
        update={"blocked": tuple(values), "blocked_patterns": ()}
    )
    pattern = shipped.model_copy(update={"identifiers": identifiers}).blocked_pattern()
    listed = {value.strip().lower() for value in values}
    for value in {*listed, other}:
        assert bool(re.fullmatch(pattern.removesuffix("$").removeprefix("^"), value)) == (
            value in listed
        )


# --- the digest -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        ("kept = 200", "kept = 201"),
        ('"phone.email" = 3', '"phone.email" = 4'),
        ('"phone.email" = 3\n', ""),
        ('unknown = "denied"', 'unknown = "granted"'),
        ('ga4_signal = "ads_storage"\n', ""),
        ('"support", ', ""),
        ('"guest", ', ""),
        ('priority = ["user_id", "email"', 'priority = ["email", "user_id"'),
        ('"ads" = "ads"', '"ads" = "marketing"'),
        ('unstated = "denied"', 'unstated = "granted"'),
        ('"utm_id", ', ""),
    ],
)
def test_the_digest_changes_with_what_the_policy_means(change):
    assert parsed(change).digest != Policy.load(None).digest


@pytest.mark.parametrize(
    "changes",
    [
        [("# Strongest first", "# The strongest first")],
        [('"support", "admin"', '"admin", "support"')],
        [('"anonymous", "guest"', '"guest", "anonymous", "guest"')],
        [('"utm_id", "utm_term"', '"utm_term", "UTM_Id"')],
        [('"user_id.email" = 3\n"user_id.phone" = 3', '"user_id.phone" = 3\n"user_id.email" = 3')],
        [('"ga4" = "analytics"\n"ads" = "ads"', '"ads" = "ads"\n"ga4" = "analytics"')],
        [("kept = 200", "kept   =   2_00")],
    ],
)
def test_the_digest_stays_where_only_the_wording_or_an_order_without_meaning_changes(changes):
    assert parsed(*changes).digest == Policy.load(None).digest


def test_the_digest_does_not_depend_on_where_the_policy_is_from():
    assert Policy.parse(SHIPPED, "elsewhere").digest == Policy.load(None).digest
    assert re.fullmatch("[0-9a-f]{16}", Policy.load(None).digest)

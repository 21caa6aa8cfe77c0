"""An execution in words."""

from cdp.deployments.embedded import WORKFLOW
from cdp.domain.policy import Policy
from cdp.refresh.follow import PHASES, why_no_profiles


def totals(**more: int) -> dict[str, int]:
    return {"profiles": 0, "events": 10, "unknown_events": 0, "denied_events": 0, **more}


def test_silence_that_counts_as_denied_is_told_with_the_way_out() -> None:
    told = why_no_profiles(totals(unknown_events=7), Policy.load(None))
    assert told is not None
    assert "7 of 10 events say nothing of analytics consent" in told
    assert "no-consent-mode.toml" in told


def test_denied_events_are_told() -> None:
    told = why_no_profiles(totals(denied_events=10), Policy.load(None))
    assert told == "No profiles: 10 of 10 events were sent without analytics consent."


def test_where_there_are_profiles_or_no_events_there_is_nothing_to_say() -> None:
    policy = Policy.load(None)
    assert why_no_profiles(totals(profiles=1), policy) is None
    assert why_no_profiles(totals(events=0), policy) is None


def test_every_phase_is_one_step_of_the_workflow() -> None:
    text = WORKFLOW.read_text("utf-8")
    refresh = text[text.index("\nrefresh:") : text.index("\n# Connected components")]
    for phase in PHASES:
        assert f"\n    - {phase}:\n" in refresh
        assert refresh.count(f"- {phase}:\n") == 1, "a step inside has the name of a phase"

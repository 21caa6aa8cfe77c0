"""One refresh at a time."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cdp.domain.errors import CdpError
from cdp.profiles.sqlite import SqliteDocuments
from cdp.refresh.runs import LeaseLost, Runs


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 10, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[[], Runs]:
    """Another process's view of the same store."""
    return lambda: Runs(SqliteDocuments(tmp_path / "d.sqlite"), lease_seconds=60, clock=clock)


def test_the_second_start_is_answered_with_the_run_that_holds_the_lease(
    make: Callable[[], Runs], clock: Clock
) -> None:
    assert make().take("one", {}) is None
    held = make().take("two", {})
    assert held is not None
    assert (held["run_id"], held["taken_at"]) == ("one", "2026-10-01T12:00:00.000000Z")
    with pytest.raises(CdpError, match="no run two"):
        make().get("two")


def test_asking_again_for_a_lease_one_holds_changes_nothing(make: Callable[[], Runs]) -> None:
    assert make().take("one", {"full": True}) is None
    assert make().take("one", {}) is None
    run = make().get("one")
    assert (run["seq"], run["arguments"]) == (1, {"full": True})


def test_of_many_starts_at_once_one_runs(make: Callable[[], Runs]) -> None:
    answers: dict[str, object] = {}
    start = threading.Barrier(8)

    def take(name: str) -> None:
        start.wait()
        answers[name] = make().take(name, {})

    threads = [threading.Thread(target=take, args=(f"run{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [name for name, held in answers.items() if held is None]
    assert len(winners) == 1
    assert make().holder() == winners[0]


def test_a_lease_that_nobody_renews_expires(make: Callable[[], Runs], clock: Clock) -> None:
    make().take("one", {})
    clock.pass_by(59)
    make().renew("one")
    clock.pass_by(59)
    assert make().take("two", {}) is not None
    clock.pass_by(2)
    assert make().take("two", {}) is None
    assert make().get("two")["seq"] == 2


def test_who_lost_the_lease_is_told(make: Callable[[], Runs], clock: Clock) -> None:
    make().take("one", {})
    clock.pass_by(61)
    make().take("two", {})
    with pytest.raises(LeaseLost, match="another refresh took over"):
        make().renew("one")


def test_the_end_frees_the_lease_and_the_first_end_stands(make: Callable[[], Runs]) -> None:
    make().take("one", {})
    make().end("one", "failed", {"error": "no disk"})
    make().end("one", "succeeded", {})
    assert (make().get("one")["state"], make().get("one")["error"]) == ("failed", "no disk")
    assert make().take("two", {}) is None


def test_ending_a_run_leaves_the_lease_of_another(make: Callable[[], Runs], clock: Clock) -> None:
    make().take("one", {})
    clock.pass_by(61)
    make().take("two", {})
    make().end("one", "failed", {})
    assert make().holder() == "two"

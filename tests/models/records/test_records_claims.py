"""Claims, beats, endings and fencing, on both databases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.records import Claim, ClaimLost, LeaseState, Outcome, Records, Run, State, Wanted
from tests.fixtures.versions import training_config


def claimed(records: Records, worker: str = "worker") -> Run:
    records.create_run(training_config(), {})
    run = records.claim_run(worker, 1)
    assert run is not None
    return run


def claimed_again(records: Records, worker: str = "another") -> tuple[Run, Run]:
    """Return a run as its first holder knew it, and as its second holder knows it."""
    first = claimed(records)
    assert records.take_back(LeaseState(first.claim, first.beat, first.worker), "silent") is not None
    second = records.claim_run(worker, 1)
    assert second is not None
    assert second.id == first.id
    return first, second


def want(records: Records, run: Run, wanted: Wanted | None) -> None:
    if wanted is not None:
        {"paused": records.pause, "cancelled": records.cancel}[wanted](run.id)


def test_a_claim_raises_the_token_and_names_the_worker(records: Records) -> None:
    run = claimed(records)
    assert (run.state, run.token, run.beat, run.worker) == ("running", 1, 0, "worker")
    assert run.started_at is not None
    assert records.leases() == [LeaseState(Claim("run", run.id, 1), 0, "worker")]


def test_nothing_to_claim_is_none(records: Records) -> None:
    assert records.claim_run("worker", 1) is None


def test_claims_go_by_age(records: Records) -> None:
    ids = [records.create_run(training_config(), {})[0].id for _ in range(3)]
    runs = [records.claim_run("worker", 1) for _ in range(4)]
    assert [run.id if run else None for run in runs] == [*ids, None]


def test_a_run_for_more_devices_waits_for_a_worker_that_has_them(records: Records) -> None:
    large, _ = records.create_run(training_config(devices=2), {})
    small, _ = records.create_run(training_config(devices=1), {})
    first, second, third = records.claim_run("small", 1), records.claim_run("small", 1), records.claim_run("large", 4)
    assert first is not None
    assert second is None
    assert third is not None
    assert (first.id, third.id) == (small.id, large.id)


def test_the_first_start_stays_the_start(records: Records) -> None:
    first, second = claimed_again(records)
    assert second.started_at == first.started_at
    assert (second.token, second.worker, second.failures) == (2, "another", 1)


def test_beats_are_counted(records: Records) -> None:
    run = claimed(records)
    for beat in (1, 2, 3):
        records.beat_run(run.claim)
        assert records.leases() == [LeaseState(run.claim, beat, "worker")]


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled", "paused", "queued"])
def test_a_released_run_is_what_it_was_released_as(records: Records, outcome: Outcome) -> None:
    held = claimed(records)
    run = records.release_run(held.claim, outcome, error="a reason")
    assert (run.state, run.worker, run.wanted, run.failures) == (outcome, None, None, 0)
    assert (run.ended_at is not None) == (outcome in ("succeeded", "failed", "cancelled"))
    assert run.error == ("a reason" if outcome == "failed" else None)
    assert records.leases() == []


@pytest.mark.parametrize(
    ("outcome", "wanted", "state"),
    [
        ("queued", "paused", "paused"),
        ("queued", "cancelled", "cancelled"),
        ("paused", "cancelled", "cancelled"),
        ("paused", "paused", "paused"),
        ("cancelled", "cancelled", "cancelled"),
        ("succeeded", "paused", "succeeded"),
        ("succeeded", "cancelled", "succeeded"),
        ("failed", "cancelled", "failed"),
        ("failed", "paused", "failed"),
    ],
)
def test_what_users_want_is_honoured_when_a_run_would_go_on(
    records: Records, outcome: Outcome, wanted: Wanted, state: State
) -> None:
    held = claimed(records)
    want(records, held, wanted)
    run = records.release_run(held.claim, outcome)
    assert (run.state, run.wanted) == (state, None)


def test_a_run_that_was_handed_over_keeps_its_place_in_the_queue(records: Records) -> None:
    held = claimed(records)
    other, _ = records.create_run(training_config(), {})
    run = records.release_run(held.claim, "queued")
    assert [records.queue_position(r) for r in (run, other)] == [1, 2]


def test_three_deaths_in_a_row_end_in_failed_with_the_reason(records: Records) -> None:
    deaths: list[Run] = []
    records.create_run(training_config(), {})
    for _ in range(3):
        held = records.claim_run("worker", 1)
        assert held is not None
        run = records.release_run(held.claim, "queued", error="out of memory", died=True)
        deaths.append(run)
    assert [run.state for run in deaths] == ["queued", "queued", "failed"]
    run = deaths[-1]
    assert (run.failures, run.ended_at is not None) == (3, True)
    assert run.error == "died 3 times in a row without a new checkpoint; the last time: out of memory"


def test_a_checkpoint_between_deaths_forgives_them(records: Records) -> None:
    records.create_run(training_config(), {})
    for _ in range(5):
        held = records.claim_run("worker", 1)
        assert held is not None
        records.reset_failures(held.claim)
        run = records.release_run(held.claim, "queued", error="killed", died=True)
        assert (run.state, run.failures, run.error) == ("queued", 1, None)


def test_handing_over_is_no_failure(records: Records) -> None:
    records.create_run(training_config(), {})
    for _ in range(5):
        held = records.claim_run("worker", 1)
        assert held is not None
        run = records.release_run(held.claim, "queued")
        assert (run.state, run.failures) == ("queued", 0)


@pytest.mark.parametrize("wanted", ["paused", "cancelled"])
def test_a_dead_run_becomes_what_its_user_wanted(records: Records, wanted: Wanted) -> None:
    held = claimed(records)
    want(records, held, wanted)
    run = records.release_run(held.claim, "queued", error="killed", died=True)
    assert (run.state, run.failures, run.error) == (wanted, 1, None)


def test_the_tail_of_a_log_is_kept_whatever_bytes_it_holds(records: Records) -> None:
    held = claimed(records)
    tail = b"\0 broken \xff utf-8".decode(errors="surrogateescape")
    run = records.release_run(held.claim, "failed", error=tail)
    assert run.error == "\N{REPLACEMENT CHARACTER} broken ? utf-8"


def test_the_reaper_takes_a_silent_run_back(records: Records) -> None:
    held = claimed(records)
    records.beat_run(held.claim)
    run = records.take_back(LeaseState(held.claim, 1, held.worker), "the worker was silent")
    assert isinstance(run, Run)
    assert (run.state, run.failures, run.worker) == ("queued", 1, None)


def test_the_reaper_leaves_a_run_that_has_beaten_since(records: Records) -> None:
    held = claimed(records)
    records.beat_run(held.claim)
    assert records.take_back(LeaseState(held.claim, 0, held.worker), "silent") is None
    assert records.wanted(held.claim) is None


def test_the_reaper_leaves_a_run_that_was_claimed_again(records: Records) -> None:
    first, second = claimed_again(records)
    assert second.beat == first.beat
    assert records.take_back(LeaseState(first.claim, first.beat, first.worker), "silent") is None
    assert records.get_run(second.id) == second


@pytest.mark.parametrize("wanted", ["paused", "cancelled"])
def test_the_reaper_honours_a_pending_wish(records: Records, wanted: Wanted) -> None:
    held = claimed(records)
    want(records, held, wanted)
    run = records.take_back(LeaseState(held.claim, held.beat, held.worker), "silent")
    assert isinstance(run, Run)
    assert (run.state, run.wanted) == (wanted, None)


def test_the_reaper_ends_a_run_that_is_lost_three_times(records: Records) -> None:
    records.create_run(training_config(), {})
    for _ in range(3):
        held = records.claim_run("worker", 1)
        assert held is not None
        run = records.take_back(LeaseState(held.claim, held.beat, held.worker), "the worker was silent")
    assert isinstance(run, Run)
    assert run.state == "failed"
    assert "the worker was silent" in (run.error or "")


def test_an_old_token_changes_nothing(records: Records) -> None:
    first, second = claimed_again(records)
    records.pause(second.id)
    before = records.get_run(second.id)
    changes: list[Callable[[Claim], object]] = [
        records.claimed_run,
        records.beat_run,
        records.wanted,
        records.reset_failures,
        lambda claim: records.set_resolved(claim, {"device": "mine"}),
        lambda claim: records.settle(claim, training_config(), {"preset": "mine"}),
        lambda claim: records.release_run(claim, "succeeded"),
        lambda claim: records.release_run(claim, "queued", died=True),
        lambda claim: records.allocate(claim, 1000, "digits"),
    ]
    for change in changes:
        with pytest.raises(ClaimLost, match=f"run {first.id} is no longer held under token 1"):
            change(first.claim)
    assert records.get_run(second.id) == before
    assert records.publications(second.id) == []


def test_a_released_run_is_held_no_more_by_the_same_token(records: Records) -> None:
    held = claimed(records)
    released = records.release_run(held.claim, "paused")
    for use in (records.claimed_run, records.beat_run, records.wanted):
        with pytest.raises(ClaimLost):
            use(held.claim)
    with pytest.raises(ClaimLost):
        records.release_run(held.claim, "succeeded")
    assert records.get_run(held.id) == released


def test_what_a_worker_resolved_is_shown_on_the_run(records: Records) -> None:
    held = claimed(records)
    records.set_resolved(held.claim, {"precision": "bf16", "threads": 2})
    run = records.get_run(held.id)
    assert run is not None
    assert run.resolved == {"precision": "bf16", "threads": 2}


def test_what_was_chosen_at_the_first_start_is_what_the_run_trains(records: Records) -> None:
    held = claimed(records)
    chosen = training_config().model_copy(update={"batch_size": 6})
    settled = records.settle(held.claim, chosen, {"preset": "mlp-mnist"})
    assert settled == records.get_run(held.id)
    assert (settled.config, settled.resolved) == (chosen.model_dump(mode="json"), {"preset": "mlp-mnist"})
    assert (settled.preset, settled.state) == (held.preset, "running")

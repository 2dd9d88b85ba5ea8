"""Claims, beats, endings and fencing, on both databases."""

from __future__ import annotations

import pytest

from models.records import Fenced, Lease, LeaseLost, Outcome, Records, Run, State, Wanted
from tests.fixtures.versions import training_config


def claimed(records: Records, worker: str = "worker") -> Run:
    records.create_run(training_config(), {})
    run = records.claim(worker, 1)
    assert run is not None
    return run


def claimed_again(records: Records, worker: str = "another") -> tuple[Run, Run]:
    """Give a run as its first holder knew it, and as its second holder knows it."""
    first = claimed(records)
    assert records.take_back(first.id, first.token, first.beat, "silent") is not None
    second = records.claim(worker, 1)
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
    assert records.running() == [Lease(run.id, 1, 0, "worker")]


def test_nothing_to_claim_is_none(records: Records) -> None:
    assert records.claim("worker", 1) is None


def test_claims_go_by_age(records: Records) -> None:
    ids = [records.create_run(training_config(), {})[0].id for _ in range(3)]
    runs = [records.claim("worker", 1) for _ in range(4)]
    assert [run.id if run else None for run in runs] == [*ids, None]


def test_a_run_for_more_devices_waits_for_a_worker_that_has_them(records: Records) -> None:
    large, _ = records.create_run(training_config(devices=2), {})
    small, _ = records.create_run(training_config(devices=1), {})
    first, second, third = records.claim("small", 1), records.claim("small", 1), records.claim("large", 4)
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
    beats = [records.beat(run.id, run.token) for _ in range(3)]
    assert beats == [Lease(run.id, 1, beat, "worker") for beat in (1, 2, 3)]


@pytest.mark.parametrize("outcome", ["succeeded", "failed", "cancelled", "paused", "queued"])
def test_a_released_run_is_what_it_was_released_as(records: Records, outcome: Outcome) -> None:
    held = claimed(records)
    run = records.release(held.id, held.token, outcome, error="a reason")
    assert run is not None
    assert (run.state, run.worker, run.wanted, run.failures) == (outcome, None, None, 0)
    assert (run.ended_at is not None) == (outcome in ("succeeded", "failed", "cancelled"))
    assert run.error == ("a reason" if outcome == "failed" else None)
    assert records.running() == []


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
    run = records.release(held.id, held.token, outcome)
    assert run is not None
    assert (run.state, run.wanted) == (state, None)


def test_a_run_that_was_handed_over_keeps_its_place_in_the_queue(records: Records) -> None:
    held = claimed(records)
    other, _ = records.create_run(training_config(), {})
    run = records.release(held.id, held.token, "queued")
    assert run is not None
    assert [records.queue_position(r) for r in (run, other)] == [1, 2]


def test_three_deaths_in_a_row_end_in_failed_with_the_reason(records: Records) -> None:
    deaths: list[Run] = []
    records.create_run(training_config(), {})
    for _ in range(3):
        held = records.claim("worker", 1)
        assert held is not None
        run = records.release(held.id, held.token, "queued", error="out of memory", died=True)
        assert run is not None
        deaths.append(run)
    assert [run.state for run in deaths] == ["queued", "queued", "failed"]
    run = deaths[-1]
    assert (run.failures, run.ended_at is not None) == (3, True)
    assert run.error == "died 3 times in a row without a new checkpoint; the last time: out of memory"


def test_a_checkpoint_between_deaths_forgives_them(records: Records) -> None:
    records.create_run(training_config(), {})
    for _ in range(5):
        held = records.claim("worker", 1)
        assert held is not None
        assert records.checkpointed(held.id, held.token)
        run = records.release(held.id, held.token, "queued", error="killed", died=True)
        assert run is not None
        assert (run.state, run.failures, run.error) == ("queued", 1, None)


def test_handing_over_is_no_failure(records: Records) -> None:
    records.create_run(training_config(), {})
    for _ in range(5):
        held = records.claim("worker", 1)
        assert held is not None
        run = records.release(held.id, held.token, "queued")
        assert run is not None
        assert (run.state, run.failures) == ("queued", 0)


@pytest.mark.parametrize("wanted", ["paused", "cancelled"])
def test_a_dead_run_becomes_what_its_user_wanted(records: Records, wanted: Wanted) -> None:
    held = claimed(records)
    want(records, held, wanted)
    run = records.release(held.id, held.token, "queued", error="killed", died=True)
    assert run is not None
    assert (run.state, run.failures, run.error) == (wanted, 1, None)


def test_the_tail_of_a_log_is_kept_whatever_bytes_it_holds(records: Records) -> None:
    held = claimed(records)
    tail = b"\0 broken \xff utf-8".decode(errors="surrogateescape")
    run = records.release(held.id, held.token, "failed", error=tail)
    assert run is not None
    assert run.error == "\N{REPLACEMENT CHARACTER} broken ? utf-8"


def test_the_reaper_takes_a_silent_run_back(records: Records) -> None:
    held = claimed(records)
    records.beat(held.id, held.token)
    run = records.take_back(held.id, held.token, 1, "the worker was silent")
    assert run is not None
    assert (run.state, run.failures, run.worker) == ("queued", 1, None)


def test_the_reaper_leaves_a_run_that_has_beaten_since(records: Records) -> None:
    held = claimed(records)
    records.beat(held.id, held.token)
    assert records.take_back(held.id, held.token, 0, "silent") is None
    assert records.wanted(held.id, held.token) is None


def test_the_reaper_leaves_a_run_that_was_claimed_again(records: Records) -> None:
    first, second = claimed_again(records)
    assert second.beat == first.beat
    assert records.take_back(first.id, first.token, first.beat, "silent") is None
    assert records.get_run(second.id) == second


@pytest.mark.parametrize("wanted", ["paused", "cancelled"])
def test_the_reaper_honours_a_pending_wish(records: Records, wanted: Wanted) -> None:
    held = claimed(records)
    want(records, held, wanted)
    run = records.take_back(held.id, held.token, held.beat, "silent")
    assert run is not None
    assert (run.state, run.wanted) == (wanted, None)


def test_the_reaper_ends_a_run_that_is_lost_three_times(records: Records) -> None:
    records.create_run(training_config(), {})
    for _ in range(3):
        held = records.claim("worker", 1)
        assert held is not None
        run = records.take_back(held.id, held.token, held.beat, "the worker was silent")
    assert run is not None
    assert run.state == "failed"
    assert "the worker was silent" in (run.error or "")


def test_an_old_token_changes_nothing(records: Records) -> None:
    first, second = claimed_again(records)
    records.pause(second.id)
    before = records.get_run(second.id)
    old = (first.id, first.token)
    assert records.beat(*old) is None
    assert records.checkpointed(*old) is False
    assert records.set_resolved(*old, {"device": "mine"}) is False
    assert records.settle(*old, training_config(), {"preset": "mine"}) is None
    assert records.release(*old, "succeeded") is None
    assert records.release(*old, "queued", died=True) is None
    with pytest.raises(LeaseLost, match="token 1"):
        records.wanted(*old)
    with pytest.raises(Fenced, match="token 1"):
        records.allocate(*old, 1000, "digits")
    assert records.get_run(second.id) == before
    assert records.publications(second.id) == []


def test_a_released_run_is_held_no_more_by_the_same_token(records: Records) -> None:
    held = claimed(records)
    released = records.release(held.id, held.token, "paused")
    assert records.beat(held.id, held.token) is None
    assert records.release(held.id, held.token, "succeeded") is None
    with pytest.raises(LeaseLost):
        records.wanted(held.id, held.token)
    assert records.get_run(held.id) == released


def test_what_a_worker_resolved_is_shown_on_the_run(records: Records) -> None:
    held = claimed(records)
    assert records.set_resolved(held.id, held.token, {"precision": "bf16", "threads": 2})
    run = records.get_run(held.id)
    assert run is not None
    assert run.resolved == {"precision": "bf16", "threads": 2}


def test_what_was_chosen_at_the_first_start_is_what_the_run_trains(records: Records) -> None:
    held = claimed(records)
    chosen = training_config().model_copy(update={"batch_size": 6})
    settled = records.settle(held.id, held.token, chosen, {"preset": "mlp-mnist"})
    assert settled is not None
    assert settled == records.get_run(held.id)
    assert (settled.config, settled.resolved) == (chosen.model_dump(mode="json"), {"preset": "mlp-mnist"})
    assert (settled.preset, settled.state) == (held.preset, "running")

"""What users do with runs, in every state, on both databases."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.config.resolved import ResolvedRow
from models.records import (
    IdempotencyConflict,
    InvalidCursor,
    InvalidLength,
    Outcome,
    Records,
    Run,
    State,
    UnknownRun,
    WrongState,
)
from tests.fixtures.versions import training_config

REQUEST = {"preset": "tiny", "overrides": {"generator.lr": 0.1}}


def queued(records: Records, **changes: Any) -> Run:
    run, _ = records.create_run(training_config(**changes), REQUEST)
    return run


def running(records: Records) -> Run:
    queued(records)
    run = records.claim_run("worker", 1)
    assert run is not None
    return run


def in_state(records: Records, state: State) -> Run:
    """Bring a new run to a state, the way runs come there."""
    match state:
        case "queued":
            return queued(records)
        case "running":
            return running(records)
        case ended:
            held = running(records)
            outcome: Outcome = ended
            run = records.release_run(held.claim, outcome)
            assert run is not None
            return run


def test_a_new_run_is_queued_with_everything_that_was_asked(records: Records) -> None:
    config = training_config(seed=7)
    run, created = records.create_run(config, REQUEST)
    assert created
    assert (run.state, run.wanted, run.token, run.failures, run.worker) == ("queued", None, 0, 0, None)
    assert (run.preset, run.dataset, run.model, run.devices) == ("tiny", "mnist", "digits", 1)
    assert run.request == REQUEST
    assert type(config).model_validate(run.config) == config
    assert (run.started_at, run.ended_at, run.error, run.resolved) == (None, None, None, {})
    assert records.get_run(run.id) == run


def test_times_are_aware_and_in_utc(records: Records) -> None:
    created_at = queued(records).created_at
    assert created_at.tzinfo is UTC
    assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=5)


def test_ids_are_short_lower_case_and_sort_by_age(records: Records) -> None:
    ids = [queued(records).id for _ in range(5)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch("[0-9a-z]{26}", run_id) for run_id in ids)


def test_an_unknown_run_is_none(records: Records) -> None:
    assert records.get_run("nothing") is None


def test_a_request_with_nul_and_any_unicode_survives(records: Records) -> None:
    request = {"note": "a\0b \N{SNOWMAN} ünï", "list": [1, 2.5, None, True]}
    run, _ = records.create_run(training_config(), request)
    found = records.get_run(run.id)
    assert found is not None
    assert found.request == request


def test_the_same_key_and_request_give_the_same_run(records: Records) -> None:
    first, created = records.create_run(training_config(), {"a": 1, "b": 2}, "key")
    again, created_again = records.create_run(training_config(), {"b": 2, "a": 1}, "key")
    assert (created, created_again) == (True, False)
    assert again == first
    assert len(records.list_runs()[0]) == 1


def test_the_same_key_with_another_request_is_a_conflict(records: Records) -> None:
    first, _ = records.create_run(training_config(), {"a": 1}, "key")
    with pytest.raises(IdempotencyConflict, match=f"key.*{first.id}"):
        records.create_run(training_config(), {"a": 2}, "key")


def test_runs_without_a_key_are_all_new(records: Records) -> None:
    assert queued(records).id != queued(records).id


def test_pages_hold_every_run_once_newest_first(records: Records) -> None:
    ids = [queued(records).id for _ in range(7)]
    seen: list[str] = []
    cursor = None
    sizes = []
    while True:
        page, cursor = records.list_runs(limit=3, cursor=cursor)
        sizes.append(len(page))
        seen += [run.id for run in page]
        queued(records)  # what comes meanwhile is newer, and moves no page
        if cursor is None:
            break
    assert sizes == [3, 3, 1]
    assert seen == ids[::-1]


def test_a_full_last_page_has_no_next(records: Records) -> None:
    queued(records)
    queued(records)
    assert records.list_runs(limit=2)[1] is None


def test_lists_are_filtered_by_state_and_model(records: Records) -> None:
    digits = queued(records, model="digits")
    letters = queued(records, model="letters")
    records.cancel(letters.id)
    assert [run.id for run in records.list_runs(state="queued")[0]] == [digits.id]
    assert [run.id for run in records.list_runs(model="letters")[0]] == [letters.id]
    assert records.list_runs(state="queued", model="letters") == ([], None)


@pytest.mark.parametrize("cursor", ["", "x", "'; DROP TABLE runs", "0" * 27, "\0"])
def test_a_made_up_cursor_is_refused(records: Records, cursor: str) -> None:
    with pytest.raises(InvalidCursor, match="no cursor"):
        records.list_runs(cursor=cursor)


def test_places_in_the_queue_count_from_one(records: Records) -> None:
    runs = [queued(records) for _ in range(3)]
    assert [records.queue_position(run) for run in runs] == [1, 2, 3]
    claimed = records.claim_run("worker", 1)
    assert claimed is not None
    assert claimed.id == runs[0].id
    assert [records.queue_position(run) for run in (claimed, *runs[1:])] == [None, 1, 2]


@pytest.mark.parametrize("state", ["queued", "paused"])
def test_cancelling_a_waiting_run_ends_it_at_once(records: Records, state: State) -> None:
    run = records.cancel(in_state(records, state).id)
    assert (run.state, run.wanted) == ("cancelled", None)
    assert run.ended_at is not None
    assert records.claim_run("worker", 1) is None


def test_pausing_a_queued_run_takes_it_out_of_the_queue(records: Records) -> None:
    run = records.pause(queued(records).id)
    assert (run.state, run.wanted, run.ended_at) == ("paused", None, None)
    assert records.claim_run("worker", 1) is None


def test_cancel_and_pause_of_a_running_run_are_asked_of_its_worker(records: Records) -> None:
    run = running(records)
    assert (records.pause(run.id).state, records.wanted(run.claim)) == ("running", "paused")
    assert (records.cancel(run.id).state, records.wanted(run.claim)) == ("running", "cancelled")


def test_repeating_a_cancel_or_pause_changes_nothing(records: Records) -> None:
    waiting, held = queued(records), running(records)
    for change in (records.pause, records.cancel):
        for run in (waiting, held):
            assert change(run.id) == change(run.id)


def test_a_pause_does_not_call_off_a_cancel(records: Records) -> None:
    run = running(records)
    records.cancel(run.id)
    with pytest.raises(WrongState, match="being cancelled"):
        records.pause(run.id)
    assert records.wanted(run.claim) == "cancelled"


@pytest.mark.parametrize("state", ["succeeded", "failed"])
def test_what_has_ended_cannot_be_cancelled(records: Records, state: State) -> None:
    run = in_state(records, state)
    with pytest.raises(WrongState, match=state) as refusal:
        records.cancel(run.id)
    assert refusal.value.state == state
    assert records.get_run(run.id) == run


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_what_has_ended_cannot_be_paused(records: Records, state: State) -> None:
    run = in_state(records, state)
    with pytest.raises(WrongState, match=state):
        records.pause(run.id)
    assert records.get_run(run.id) == run


@pytest.mark.parametrize("state", ["paused", "failed", "cancelled"])
def test_resuming_queues_a_run_again_at_the_end(records: Records, state: State) -> None:
    old = in_state(records, state)
    other = queued(records)
    run = records.resume(old.id)
    assert (run.state, run.wanted, run.error, run.ended_at, run.failures) == ("queued", None, None, None, 0)
    assert run.config == old.config
    assert [records.queue_position(r) for r in (other, run)] == [1, 2]


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_goes_on_anyway_cannot_be_resumed(records: Records, state: State) -> None:
    run = in_state(records, state)
    with pytest.raises(WrongState, match=state):
        records.resume(run.id, epochs=1000)
    assert records.get_run(run.id) == run


def test_a_pending_pause_is_not_called_off_by_resuming(records: Records) -> None:
    run = running(records)
    records.pause(run.id)
    with pytest.raises(WrongState, match="running"):
        records.resume(run.id)


def test_a_paused_run_takes_another_length(records: Records) -> None:
    run = records.resume(in_state(records, "paused").id, kimg=3)
    assert (run.config["kimg"], run.config["epochs"]) == (3.0, None)


@pytest.mark.parametrize("length", [{"kimg": 3}, {"epochs": 3}])
def test_a_length_behind_what_was_shown_is_refused(records: Records, length: dict[str, Any]) -> None:
    run = running(records)
    records.set_resolved(run.claim, {"dataset_images": 1000})
    assert records.release_run(run.claim, "paused")
    with pytest.raises(InvalidLength, match=r"has been shown 3\.2 kimg already, .* give a longer one"):
        records.resume(run.id, **length, shown=3200)
    assert records.resume(run.id, **length, shown=3000).state == "queued"


@pytest.mark.parametrize("length", [{}, {"epochs": 10}, {"epochs": 9}])
def test_a_finished_run_needs_a_longer_target(records: Records, length: dict[str, Any]) -> None:
    run = in_state(records, "succeeded")
    with pytest.raises(WrongState, match="longer target"):
        records.resume(run.id, **length)
    assert records.get_run(run.id) == run


def test_a_finished_run_goes_on_to_a_longer_target(records: Records) -> None:
    run = records.resume(in_state(records, "succeeded").id, epochs=11)
    assert (run.state, run.config["epochs"], run.ended_at) == ("queued", 11.0, None)


def finished_with(records: Records, resolved: ResolvedRow) -> Run:
    run = running(records)
    records.set_resolved(run.claim, resolved)
    finished = records.release_run(run.claim, "succeeded")
    assert finished is not None
    return finished


def test_lengths_in_other_units_are_compared_by_the_images_of_the_data_set(records: Records) -> None:
    run = finished_with(records, {"dataset_images": 1000})  # ten epochs of it are 10 kimg
    with pytest.raises(WrongState, match="longer target than its 10 epochs"):
        records.resume(run.id, kimg=10)
    assert records.resume(run.id, kimg=11).state == "queued"


def test_lengths_that_cannot_be_compared_are_refused(records: Records) -> None:
    run = finished_with(records, {})
    with pytest.raises(InvalidLength, match="10 epochs: give the new one in the same unit"):
        records.resume(run.id, kimg=11)


@pytest.mark.parametrize("length", [{"epochs": 5, "kimg": 5}, {"epochs": 0}, {"kimg": -1}, {"kimg": float("nan")}])
def test_an_impossible_length_is_refused(records: Records, length: dict[str, Any]) -> None:
    run = in_state(records, "paused")
    with pytest.raises(InvalidLength, match=run.id):
        records.resume(run.id, **length)
    assert records.get_run(run.id) == run


def test_unknown_runs_are_refused_by_every_change(records: Records) -> None:
    for change in (records.cancel, records.pause, records.resume):
        with pytest.raises(UnknownRun, match="nothing"):
            change("nothing")


def test_runs_are_counted_by_state(records: Records) -> None:
    assert records.count_runs() == {}
    for state in ("queued", "paused", "queued"):
        records.create_run(training_config(), {})
        if state == "paused":
            records.pause(records.list_runs()[0][0].id)
    assert records.count_runs() == {"queued": 2, "paused": 1}

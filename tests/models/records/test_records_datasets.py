"""Rows of uploaded data sets, on both databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from models.config import requests
from models.records import (
    Claim,
    ClaimLost,
    Dataset,
    DatasetExists,
    DatasetInUse,
    LeaseState,
    Records,
    UnknownDatasetRow,
    new_id,
)


def create(records: Records, name: str = "cats", **options: Any) -> Dataset:
    return records.create_dataset(new_id(), name, options, 123)


def claim(records: Records, worker: str = "w") -> Dataset:
    claimed = records.claim_dataset(worker)
    assert claimed is not None
    return claimed


def test_a_new_data_set_waits_to_be_prepared(records: Records) -> None:
    made = create(records, size=64)
    assert (made.state, made.options, made.bytes, made.worker) == ("preparing", {"size": 64}, 123, None)
    assert records.get_dataset("cats") == made
    assert records.get_dataset("dogs") is None


def test_a_name_is_given_once(records: Records) -> None:
    create(records)
    with pytest.raises(DatasetExists, match='"cats" already'):
        create(records)
    assert len(records.list_datasets()) == 1


@pytest.mark.parametrize("name", ["", "a\0b", "no such", "é" * 500])
def test_there_is_none_of_an_impossible_name(name: str, records: Records) -> None:
    assert records.get_dataset(name) is None
    with pytest.raises(UnknownDatasetRow):
        records.delete_dataset(name)


def test_data_sets_are_listed_by_name(records: Records) -> None:
    create(records, "dogs")
    create(records, "cats")
    assert [dataset.name for dataset in records.list_datasets()] == ["cats", "dogs"]


def test_each_is_claimed_by_one_worker_the_oldest_first(records: Records) -> None:
    create(records, "dogs")
    create(records, "cats")
    assert [claim(records).name, claim(records).name] == ["dogs", "cats"]
    assert records.claim_dataset("w") is None


def test_beats_carry_progress(records: Records) -> None:
    create(records)
    held = claim(records)
    records.beat_dataset(held.claim, 5, 10)
    row = records.get_dataset("cats")
    assert row is not None
    assert (row.done, row.total, row.beat) == (5, 10, 1)
    assert records.leases() == [LeaseState(Claim("dataset", held.id, 1), 1, "w")]


def test_a_holder_with_an_old_token_changes_nothing(records: Records) -> None:
    create(records)
    old = claim(records)
    assert records.take_back(LeaseState(old.claim, 0, old.worker), "silent") is not None
    new = claim(records)
    assert new.token == old.token + 1
    changes: list[Callable[[Claim], object]] = [
        lambda claim: records.beat_dataset(claim, 1, 2),
        lambda claim: records.finish_dataset(claim, {}),
        lambda claim: records.fail_dataset(claim, "no"),
        records.release_dataset,
    ]
    for change in changes:
        with pytest.raises(ClaimLost, match=f"data set {old.id} is no longer held under token 1"):
            change(old.claim)
    assert records.get_dataset("cats") == new


def test_a_holder_that_beats_keeps_its_data_set(records: Records) -> None:
    create(records)
    held = claim(records)
    records.beat_dataset(held.claim, 0, 0)
    assert records.take_back(LeaseState(held.claim, 0, held.worker), "silent") is None


def test_a_prepared_data_set_is_ready_and_held_by_nobody(records: Records) -> None:
    create(records)
    held = claim(records)
    done = records.finish_dataset(held.claim, {"count": 3})
    assert (done.state, done.worker, done.report) == ("ready", None, {"count": 3})
    assert done.ended_at is not None
    assert (records.leases(), records.claim_dataset("w")) == ([], None)


def test_a_data_set_that_cannot_be_prepared_says_why(records: Records) -> None:
    create(records)
    held = claim(records)
    failed = records.fail_dataset(held.claim, "no\0 image")
    assert (failed.state, failed.error) == ("failed", "no� image")


def test_a_new_upload_takes_the_name_of_one_that_failed(records: Records) -> None:
    create(records)
    held = claim(records)
    records.fail_dataset(held.claim, "no image")
    again = create(records)
    assert records.list_datasets() == [again]


def test_the_third_death_in_a_row_ends_the_preparation(records: Records) -> None:
    create(records)
    rows = []
    for _ in range(3):
        held = claim(records)
        row = records.release_dataset(held.claim, death="killed")
        rows.append(row)
    assert [row.state for row in rows] == ["preparing", "preparing", "failed"]
    assert rows[-1].error == "its preparation died 3 times in a row; the last time: killed"


def die_at(records: Records, *done: int) -> Dataset:
    """Let an attempt beat at these points, then die."""
    held = claim(records)
    for point in done:
        records.beat_dataset(held.claim, point, 1000)
    return records.release_dataset(held.claim, death="killed")


def test_a_point_from_which_the_next_attempt_goes_on_forgives_deaths(records: Records) -> None:
    create(records)
    assert [die_at(records, done).failures for done in (100, 200, 300, 511, 512)] == [1, 2, 1, 2, 1]


def test_an_image_that_kills_every_attempt_ends_the_preparation(records: Records) -> None:
    """Each attempt begins with what the one before told last, then goes on from image 256, and dies about image 300."""
    create(records)
    rows = [die_at(records, *done) for done in ((256, 300), (300, 257, 290), (290, 257, 301))]
    assert [(row.state, row.failures, row.done) for row in rows] == [
        ("preparing", 1, 300),
        ("preparing", 2, 300),
        ("failed", 3, 301),
    ]


def test_a_handover_is_no_death(records: Records) -> None:
    create(records)
    die_at(records, 5)
    held = claim(records)
    row = records.release_dataset(held.claim)
    assert (row.state, row.failures) == ("preparing", 1)


def test_deleting_ends_the_claim(records: Records) -> None:
    create(records)
    held = claim(records)
    assert records.delete_dataset("cats").id == held.id
    with pytest.raises(ClaimLost):
        records.beat_dataset(held.claim, 1, 2)
    with pytest.raises(UnknownDatasetRow):
        records.delete_dataset("cats")


def test_a_data_set_that_an_unfinished_run_names_stays(records: Records) -> None:
    create(records)
    request = requests.TrainRequest(preset="mlp-mnist", dataset="cats")
    run, _ = records.create_run(requests.resolve(request), {}, None)
    with pytest.raises(DatasetInUse, match="cancel the run"):
        records.delete_dataset("cats")
    records.cancel(run.id)
    records.delete_dataset("cats")
    assert records.list_datasets() == []

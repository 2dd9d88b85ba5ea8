"""Version numbers are given out once, to the newest attempt, and never return."""

from __future__ import annotations

import pytest

from models.records import Claim, ClaimLost, LeaseState, Publication, Records, Run
from tests.fixtures.versions import training_config


@pytest.fixture
def run(records: Records) -> Run:
    records.create_run(training_config(), {})
    claimed = records.claim_run("worker", 1)
    assert claimed is not None
    return claimed


def test_numbers_count_up_per_model(records: Records, run: Run) -> None:
    numbers = [records.allocate(run.claim, images, "digits") for images in (1000, 2000, 3000)]
    assert numbers == [1, 2, 3]
    assert records.publications(run.id) == [
        Publication(1000, "digits", 1),
        Publication(2000, "digits", 2),
        Publication(3000, "digits", 3),
    ]


def test_models_count_apart(records: Records, run: Run) -> None:
    records.create_run(training_config(model="letters"), {})
    other = records.claim_run("worker", 1)
    assert other is not None
    assert records.allocate(run.claim, 1000, "digits") == 1
    assert records.allocate(other.claim, 1000, "letters") == 1


def test_a_position_keeps_its_number_at_every_attempt(records: Records, run: Run) -> None:
    first = records.allocate(run.claim, 1000, "digits")
    records.take_back(LeaseState(run.claim, run.beat, run.worker), "silent")
    again = records.claim_run("another", 1)
    assert again is not None
    assert records.allocate(again.claim, 1000, "digits") == first
    assert len(records.publications(run.id)) == 1


def test_numbers_that_stand_for_something_else_are_skipped(records: Records, run: Run) -> None:
    assert records.allocate(run.claim, 1000, "digits", taken={1, 2, 7}) == 8
    assert records.allocate(run.claim, 2000, "digits") == 9


def test_a_number_taken_by_something_else_is_given_up_for_the_next(records: Records, run: Run) -> None:
    assert records.allocate(run.claim, 1000, "digits") == 1
    assert records.allocate(run.claim, 1000, "digits", taken={1}) == 2
    assert records.publications(run.id) == [Publication(1000, "digits", 2)]


def test_a_run_that_has_ended_may_still_publish_a_snapshot_under_its_last_token(records: Records, run: Run) -> None:
    records.release_run(run.claim, "succeeded")
    assert records.allocate(run.claim, 1000, "digits") == 1


def test_an_unknown_run_gets_no_number(records: Records) -> None:
    with pytest.raises(ClaimLost, match="nothing"):
        records.allocate(Claim("run", "nothing", 1), 1000, "digits")

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from models.artifacts.history import list_snapshots, read_ticks
from models.store.weights import load
from tests.worker.training.attempts import Attempts, after
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared


@pytest.fixture
def run(tmp_path: Path, digits: Prepared) -> Attempts:
    return Attempts(tmp_path / "run", digits)


def test_a_run_reports_from_its_start_to_its_end(run: Attempts) -> None:
    assert run.start(tiny(kimg=8)).run()
    ticks = read_ticks(run.run_dir)
    assert [tick["images"] for tick in ticks] == [2016, 4000, 6016, 8000]
    assert ticks[-1]["fraction"] == 1
    assert [data["images"] for data in run.events("tick")] == [tick["images"] for tick in ticks]
    assert [snapshot.images for snapshot in list_snapshots(run.run_dir)] == [0, 2016, 4000, 6016, 8000]
    assert run.published == [(2016, False), (4000, False), (6016, False), (8000, True)]


def test_a_length_that_is_no_multiple_of_a_tick_ends_with_a_tick_and_a_snapshot(run: Attempts) -> None:
    assert run.start(tiny(kimg=3, snapshots=1, publish_every=1)).run()
    assert [tick["images"] for tick in read_ticks(run.run_dir)] == [2016, 3008]
    assert [snapshot.images for snapshot in list_snapshots(run.run_dir)] == [0, 3008]
    assert run.published == [(3008, True)]


def test_snapshots_hold_the_weights_that_are_published(run: Attempts) -> None:
    assert run.start(tiny(kimg=2)).run()
    last = list_snapshots(run.run_dir)[-1]
    assert last.weights is not None
    assert last.weights.read_bytes() == run.weights
    assert set(load(run.weights)) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_a_stopped_run_goes_on_where_it_was_to_the_same_bytes(run: Attempts, tmp_path: Path, digits: Prepared) -> None:
    calm = Attempts(tmp_path / "calm", digits)
    assert calm.start(tiny(kimg=6)).run()

    assert not run.start(tiny(kimg=6), after(50)).run()
    assert not run.start(tiny(kimg=6), after(0)).run()
    assert run.start(tiny(kimg=6)).run()
    assert run.weights == calm.weights
    kept = [{**tick, "time": "", "images_per_second": 0, "eta_seconds": 0} for tick in read_ticks(run.run_dir)]
    expected = [{**tick, "time": "", "images_per_second": 0, "eta_seconds": 0} for tick in read_ticks(calm.run_dir)]
    assert kept == expected


def test_a_finished_run_goes_on_to_a_longer_target(run: Attempts, tmp_path: Path, digits: Prepared) -> None:
    assert run.start(tiny(kimg=4)).run()
    assert run.start(tiny(kimg=6)).run()
    calm = Attempts(tmp_path / "calm", digits)
    assert calm.start(tiny(kimg=6)).run()
    assert run.weights == calm.weights


def test_an_attempt_at_a_finished_training_publishes_its_end_again(run: Attempts) -> None:
    """It may have been cut off between its last checkpoint and its last publication."""
    assert run.start(tiny(kimg=2)).run()
    assert run.start(tiny(kimg=2)).run()
    assert run.published[-2:] == [(1984, True), (1984, True)]


def test_the_verdict_is_reported_when_it_changes(run: Attempts) -> None:
    assert run.start(tiny(kimg=8)).run()
    verdicts = [data["verdict"] for data in run.events("health")]
    assert verdicts
    assert all(before != after for before, after in pairwise(verdicts))


def test_least_squares_reports_no_probabilities(run: Attempts) -> None:
    assert run.start(tiny("least-squares", kimg=2)).run()
    tick = read_ticks(run.run_dir)[-1]
    assert (tick["d_real"], tick["d_fake"], tick["d_fake_after"]) == (None, None, None)
    halves = tick["loss_d_real"], tick["loss_d_fake"]
    assert tick["loss_d"] == pytest.approx(sum(half for half in halves if half is not None))
    assert None not in halves


def test_r3gan_trains_reports_and_goes_on_exactly(run: Attempts, tmp_path: Path, digits: Prepared) -> None:
    config = tiny("r3gan-32", kimg=0.24, tick_kimg=0.12, snapshots=1)
    calm = Attempts(tmp_path / "calm", digits)
    assert calm.start(config).run()
    assert not run.start(config, after(11)).run()
    assert run.start(config).run()
    assert run.weights == calm.weights
    tick = read_ticks(run.run_dir)[-1]
    assert (tick["loss_d_real"], tick["d_real"]) == (None, None)
    assert tick["loss_d"] > 0
    assert (tick["penalty"] or 0) > 0


def test_the_probability_of_changes_is_reported_where_there_are_any(run: Attempts) -> None:
    config = tiny(kimg=4, augment__policy=["color"], augment__p=0.5, augment__control="cosine")
    assert run.start(config).run()
    assert [tick["augment_p"] for tick in read_ticks(run.run_dir)] == pytest.approx([0.254, 0.5], abs=0.01)

"""A run with real rows and files; as a real process where signals, exit codes or its end matter.

The supervisor's part is played by the test.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.artifacts.attempts import Position
from models.artifacts.events import read_events
from models.artifacts.history import read_ticks
from models.datasets.uploads import UploadFolder
from models.records import Run, new_id
from models.store.local import LocalStore
from models.store.weights import load_generator
from tests.fixtures.postgres import PostgresServer
from tests.fixtures.trainings import Harness, working_house
from tests.fixtures.waiting import until
from tests.worker.training.tiny import tiny
from worker.data.prepared import Writer
from worker.jobs.exit_codes import ExitCode
from worker.training.state.checkpoints import read, write
from worker.training.state.state import StateCopy


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    yield from working_house(tmp_path)


@pytest.fixture
def interruptible(tmp_path: Path, own_postgres: PostgresServer) -> Iterator[Harness]:
    """Return a house whose database the test may stop and start."""
    yield from working_house(tmp_path, own_postgres.create_database())


def test_a_run_trains_reports_and_publishes(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    run = harness.create(tiny(kimg=4))
    assert harness.train(run) == ExitCode.COMPLETED
    log = capsys.readouterr().out
    assert "Linear: 1-1" in log
    assert "discriminator" in log
    assert [images for images, _ in harness.published(run)] == [1024, 2016, 3008, 4000]
    row = harness.records.get_run(run.id)
    assert row is not None
    assert row.resolved.items() >= {"device": "cpu", "threads": 1, "batch_size": 32, "total_images": 4000}.items()
    assert row.resolved["precision"] in ("fp32", "bf16")
    assert {event.type for event in read_events(harness.run_dir(run))} >= {"tick", "snapshot", "health", "published"}
    assert not (harness.attempt(run).dir / "failure.json").exists()


@pytest.mark.parametrize("preset", ["mlp-mnist", "dcgan-28", "wgan-gp", "quick-28", "r3gan-32"])
def test_a_training_does_without_torchs_compiler(
    harness: Harness, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing it would add seconds to every start."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    assert harness.train(harness.create(tiny(preset, kimg=0.2))) == ExitCode.COMPLETED


def test_a_run_killed_then_stopped_ends_in_the_bytes_of_one_left_alone(harness: Harness) -> None:
    config = tiny(kimg=20, precision="bf16")
    calm = harness.create(config)
    assert harness.train(calm) == ExitCode.COMPLETED
    harness.records.release_run(calm.claim, "succeeded")

    run = harness.create(config)
    assert harness.interrupt(run, signal.SIGKILL) == -signal.SIGKILL
    run = harness.again(run)
    assert harness.interrupt(run, signal.SIGTERM) == ExitCode.STOPPED
    run = harness.again(run)
    assert harness.start(run).wait(120) == ExitCode.COMPLETED
    (resumed,) = [line for line in harness.messages(run) if line.startswith("resumed from 2/")]
    assert "not exact" not in resumed
    assert harness.published(run) == harness.published(calm)
    positions = [tick["images"] for tick in read_ticks(harness.run_dir(run))]
    assert positions == [tick["images"] for tick in read_ticks(harness.run_dir(calm))]


@pytest.mark.parametrize("preset", ["mlp-mnist", "dcgan-28"])
def test_a_killed_run_of_either_family_ends_in_the_same_bytes_in_fp32(harness: Harness, preset: str) -> None:
    config = tiny(preset, kimg=8, precision="fp32")
    calm = harness.create(config)
    assert harness.train(calm) == ExitCode.COMPLETED
    harness.records.release_run(calm.claim, "succeeded")

    run = harness.create(config)
    assert harness.interrupt(run, signal.SIGKILL) == -signal.SIGKILL
    run = harness.again(run)
    assert harness.train(run) == ExitCode.COMPLETED
    assert any(line.startswith("resumed from 1/") for line in harness.messages(run))
    assert harness.published(run) == harness.published(calm)


def test_a_stop_that_comes_while_the_program_still_loads_is_no_death(harness: Harness) -> None:
    run = harness.create(tiny(kimg=100_000))
    process = harness.start(run)
    until(lambda: _hears_sigterm(process.pid), "a handler")
    process.terminate()
    assert process.wait(120) == ExitCode.STOPPED


def _hears_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def finished(harness: Harness, kimg: float = 2) -> Run:
    """Return a run that reached its target."""
    run = harness.create(tiny(kimg=kimg))
    assert harness.train(run) == ExitCode.COMPLETED
    harness.records.release_run(run.claim, "succeeded")
    return run


def prolonged(harness: Harness, run: Run, kimg: float) -> Run:
    """Move a finished run's target and claim it again."""
    harness.records.resume(run.id, kimg=kimg)
    return harness.claim()


def test_a_finished_run_goes_on_when_its_target_moves(harness: Harness) -> None:
    run = prolonged(harness, finished(harness, kimg=4), kimg=6)
    assert harness.train(run) == ExitCode.COMPLETED
    assert harness.messages(run) == ["resumed from 1/000004.000 at 4 kimg"]
    start = json.loads(harness.attempt(run).config.read_text())
    assert (start["start_images"], start["resumed_from"]) == (4000, "1/000004.000")
    assert read_ticks(harness.run_dir(run))[-1]["images"] == 6016


def test_a_resumption_in_other_circumstances_says_that_it_is_not_exact(harness: Harness) -> None:
    run = finished(harness)
    header_file = max(harness.attempt(run).checkpoints.iterdir()) / "state.json"
    header = json.loads(header_file.read_text())
    header["facts"] |= {"threads": 7, "torch": "1.0"}
    header_file.write_text(json.dumps(header))
    run = prolonged(harness, run, kimg=3)
    assert harness.train(run) == ExitCode.COMPLETED
    (messages,) = harness.messages(run)
    assert "not exact, a run never stopped would differ" in messages
    assert "threads was 7 and is 1" in messages
    assert "torch was 1.0 and is" in messages


def test_what_was_resolved_at_the_first_start_is_kept(harness: Harness) -> None:
    run = prolonged(harness, finished(harness), kimg=3)
    assert harness.train(run, threads=2) == ExitCode.COMPLETED
    assert json.loads(harness.attempt(run).config.read_text())["resolved"]["threads"] == 1
    assert "not exact" not in harness.messages(run)[0]


def test_a_torn_checkpoint_is_skipped_and_reported(harness: Harness) -> None:
    run = finished(harness, kimg=4)
    newest = max(harness.attempt(run).checkpoints.iterdir()) / "state.safetensors"
    newest.write_bytes(newest.read_bytes()[:1000])
    run = prolonged(harness, run, kimg=6)
    assert harness.train(run) == ExitCode.COMPLETED
    assert harness.messages(run)[0].startswith("checkpoint 1/000004.000 is skipped")
    assert read_ticks(harness.run_dir(run))[-1]["images"] == 6016


def test_a_trainer_that_loses_its_supervisor_ends_at_once(harness: Harness) -> None:
    run = harness.create(tiny(kimg=100_000))
    process = harness.start(run)
    until(harness.attempt(run).config.exists, "the start of the training")
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(60) == ExitCode.LOST_SUPERVISOR


def test_a_run_whose_last_version_finds_the_database_away_is_handed_back_and_finished(
    interruptible: Harness, own_postgres: PostgresServer
) -> None:
    run = interruptible.create(tiny(kimg=4, publish_every=1.0))
    away = False

    def stop_the_database() -> bool:
        nonlocal away
        if not away and interruptible.attempt(run).ticks.exists():
            own_postgres.stop()
            away = True
        return False

    assert interruptible.train(run, stop_wanted=stop_the_database) == ExitCode.STOPPED
    own_postgres.start()
    assert interruptible.published(run) == []
    run = interruptible.again(run)
    assert interruptible.train(run) == ExitCode.COMPLETED
    assert interruptible.published(run)[-1][0] == 4000


def test_a_trainer_with_an_old_token_touches_nothing(harness: Harness) -> None:
    old = harness.create(tiny(kimg=4))
    harness.again(old)
    assert harness.train(old) == ExitCode.FENCED
    assert not harness.attempt(old).dir.exists()


def test_a_trainer_that_is_fenced_while_it_works_publishes_nothing_more(harness: Harness) -> None:
    run = harness.create(tiny(kimg=1000, publish_every=0.001))
    process = harness.start(run)
    until(harness.attempt(run).config.exists, "the start of the training")
    harness.again(run)
    before = harness.published(run)
    assert process.wait(60) == ExitCode.FENCED
    assert harness.published(run) == before


def test_an_unreadable_data_set_is_a_reason_not_a_crash(harness: Harness) -> None:
    (harness.data_dir / "images" / "empty").mkdir(parents=True)
    run = harness.create(tiny().model_copy(update={"dataset": "folder:empty"}))
    assert harness.train(run) == ExitCode.REFUSED
    assert "there is no image file" in harness.reason(run)


def test_a_full_disk_is_a_reason_and_loses_nothing(harness: Harness) -> None:
    run = prolonged(harness, finished(harness), kimg=6)
    attempt = harness.attempt(run)
    attempt.create()
    attempt.ticks.symlink_to("/dev/full")
    assert harness.train(run) == ExitCode.REFUSED
    assert harness.reason(run).startswith("disk full: ")

    attempt.ticks.unlink()
    run = harness.again(run)
    assert harness.train(run) == ExitCode.COMPLETED
    assert harness.messages(run)[-1].startswith("resumed from 1/")


def test_a_log_on_a_full_disk_is_a_reason_too(harness: Harness) -> None:
    run = harness.create(tiny(kimg=4))
    harness.log(run).symlink_to("/dev/full")
    assert harness.start(run).wait(120) == ExitCode.REFUSED
    assert harness.reason(run).startswith("disk full: ")


def with_lost_weights(harness: Harness, run: Run, *, rollback_checkpoints: bool) -> Run:
    """Return a finished run again whose newest checkpoint holds a NaN; perhaps it has nothing to go back to."""
    kept = max(harness.attempt(run).checkpoints.iterdir())
    found = read(kept, run.token)
    found.tensors["generator.0.weight"].fill_(torch.nan)
    images = found.images + 320
    values = {**found.values, "images": images}
    write(harness.attempt(run).checkpoints, StateCopy(Position(0, images), found.tensors, values), found.environment)
    if not rollback_checkpoints:
        shutil.rmtree(harness.attempt(run).rollback_checkpoints)
    return prolonged(harness, run, kimg=6)


def test_numbers_that_are_no_longer_finite_are_undone_by_going_back(harness: Harness) -> None:
    run = with_lost_weights(harness, finished(harness), rollback_checkpoints=True)
    assert harness.train(run) == ExitCode.COMPLETED
    assert (
        "The run was rolled back to the best point so far, at 1.984 kimg (rollback 1 of 3)" in harness.messages(run)[-1]
    )
    ticks = read_ticks(harness.run_dir(run))
    assert [tick["rollbacks"] for tick in ticks][-1] == 1
    assert [tick["images"] for tick in ticks] == sorted({tick["images"] for tick in ticks})

    run = harness.again(run)
    assert harness.train(run) == ExitCode.COMPLETED
    assert harness.attempt(run).start() == Position(1, 6016)


def test_numbers_that_are_no_longer_finite_are_a_reason_where_there_is_no_way_back(harness: Harness) -> None:
    run = with_lost_weights(harness, finished(harness), rollback_checkpoints=False)
    assert harness.train(run) == ExitCode.REFUSED
    assert "; there is no valid checkpoint to roll back to: start a new run" in harness.reason(run)
    assert list(harness.attempt(run).checkpoints.iterdir()) == []


def test_a_conditional_run_publishes_the_names_of_its_classes(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    run = harness.create(tiny("mlp-conditional", kimg=1))
    assert harness.train(run) == ExitCode.COMPLETED
    assert "Embedding" in capsys.readouterr().out
    store = LocalStore(harness.data_dir / "models")
    version = store.resolve("tiny")
    manifest = version.manifest
    assert manifest.classes == tuple("0123456789")
    generator = load_generator(store.read(version, manifest.first.weights), manifest.generator)
    assert generator(torch.zeros(2, 100), torch.tensor([0, 9])).shape == (2, 1, 28, 28)


def test_a_data_set_whose_classes_have_changed_is_refused(harness: Harness) -> None:
    run = harness.create(tiny("mlp-conditional").model_copy(update={"classes": (*"0123456789", "ten")}))
    assert harness.train(run) == ExitCode.REFUSED
    assert harness.reason(run).startswith(
        "mnist-mini is not what it was when the run was started (no usable image of ten)"
    )


def upload_pets(harness: Harness, shade: int) -> None:
    """Let there be a prepared data set `pets` of cats and dogs, all of one shade."""
    made = harness.records.create_dataset(new_id(), "pets", {}, 1)
    folder = UploadFolder(harness.data_dir / "uploads" / made.id)
    folder.prepared.mkdir(parents=True)
    with Writer(folder.prepared, "pets", 28, 1) as writer:
        for n in range(64):
            writer.append(np.full((1, 28, 28), shade, np.uint8), n % 2)
        writer.finish(("cat", "dog"), ())
    held = harness.records.claim_dataset("tester")
    assert held is not None
    harness.records.finish_dataset(held.claim, {})


def test_an_uploaded_set_with_other_classes_is_refused(harness: Harness) -> None:
    upload_pets(harness, 9)
    run = harness.create(tiny("mlp-conditional").model_copy(update={"dataset": "pets", "classes": ("cat", "cow")}))
    assert harness.train(run) == ExitCode.REFUSED
    assert "(no usable image of cow and new classes dog)" in harness.reason(run)


def test_a_run_does_not_go_on_with_another_set_of_the_same_name(harness: Harness) -> None:
    upload_pets(harness, 9)
    run = harness.create(tiny(kimg=1).model_copy(update={"dataset": "pets"}))
    assert harness.train(run) == ExitCode.COMPLETED
    harness.records.release_run(run.claim, "succeeded")
    harness.records.delete_dataset("pets")
    upload_pets(harness, 10)
    run = prolonged(harness, run, kimg=2)
    assert harness.train(run) == ExitCode.REFUSED
    assert harness.reason(run) == 'the data set "pets" has changed since the run was started: start a new run'


def test_a_checkpoint_of_another_version_of_the_program_is_reported(harness: Harness) -> None:
    run = finished(harness, kimg=1)
    found = read(max(harness.attempt(run).checkpoints.iterdir()), run.token)
    tensors = {name: tensor for name, tensor in found.tensors.items() if name != "confidence"}
    images = found.images + 32
    values = {**found.values, "images": images}
    write(harness.attempt(run).checkpoints, StateCopy(Position(0, images), tensors, values), found.environment)
    run = prolonged(harness, run, kimg=2)
    assert harness.train(run) == ExitCode.REFUSED
    assert "of another version of the program" in harness.reason(run)
    assert harness.reason(run).endswith("start a new run ('confidence')")

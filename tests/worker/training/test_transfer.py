"""Trainings that start from a published version: its weights, its discriminator, and layers that keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.artifacts.attempts import Attempt
from models.config.sections import Transfer
from models.records import Records
from models.store.local import LocalStore
from models.store.publishing import TrainedRun
from tests.worker.training.attempts import CPU
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.failure import TrainingFailed
from worker.training.reporting.publisher import Publisher, software
from worker.training.reporting.reporter import Reporter
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState, seeds
from worker.training.step_config import StepConfig
from worker.training.transfer import freeze_lower_layers, start_from

VERSION = Transfer(version="tiny@1")


def new_state(digits: Prepared, **overrides: Any) -> TrainingState:
    config = tiny(**overrides)
    return TrainingState(config, Loader(digits, config.batch_size, seeds(config.seed).data, CPU), CPU)


def rounds(state: TrainingState, count: int, **overrides: Any) -> None:
    config = tiny(**overrides)
    for _ in range(count):
        run_round(state, StepConfig.of(config, state, "fp32", config.total_images(1000)))


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def equal(left: nn.Module, right: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, right[name]) for name, tensor in left.state_dict().items())


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "models")


def publish(tmp_path: Path, store: LocalStore, digits: Prepared, records: Records, **overrides: Any) -> TrainingState:
    """Train some rounds and publish the result as `tiny@1`."""
    config = tiny(**overrides)
    records.create_run(config, {})
    run = records.claim_run("worker", 1)
    assert run is not None
    attempt = Attempt(tmp_path / "run", run.token)
    attempt.create()
    source = TrainedRun(run.claim, config, "mlp-mnist", software())
    publisher = Publisher(store, records, source, tmp_path / "run", digits, Reporter(attempt))
    state = new_state(digits, **overrides)
    rounds(state, 3, **overrides)
    publisher(state.images, state.version_weights(), b"a grid", last=True)
    store.refresh()
    return state


def test_a_training_starts_from_the_averaged_generator_and_the_kept_discriminator(
    tmp_path: Path, store: LocalStore, digits: Prepared, records: Records
) -> None:
    earlier = publish(tmp_path, store, digits, records, keep_discriminators=True)
    assert set(store.resolve("tiny@1").manifest.discriminators) == {"discriminator"}
    state, said = new_state(digits, latent__prior="uniform"), list[str]()
    start_from(VERSION, state, store, said.append)
    average = copied(earlier.averages["average"])
    assert equal(state.modules["generator"], average)
    assert equal(state.averages["average"], average)
    assert equal(state.modules["discriminator"], copied(earlier.modules["discriminator"]))
    assert said == ["started from tiny@1: its generator and discriminator"]
    # It can be trained: weights and averages are no shared memory.
    rounds(state, 2)
    assert not equal(state.modules["generator"], average)
    assert not equal(state.averages["average"], average)


def test_without_a_kept_discriminator_a_new_one_is_trained_and_the_log_says_so(
    tmp_path: Path, store: LocalStore, digits: Prepared, records: Records
) -> None:
    publish(tmp_path, store, digits, records)
    assert set(store.resolve("tiny@1").manifest.files) & {"discriminator.safetensors"} == set()
    state, said = new_state(digits), list[str]()
    before = copied(state.modules["discriminator"])
    start_from(VERSION, state, store, said.append)
    assert equal(state.modules["discriminator"], before)
    assert said[0].endswith("the discriminator is new, because the version holds none of the same shape")


def test_a_discriminator_of_another_shape_is_left_alone(
    tmp_path: Path, store: LocalStore, digits: Prepared, records: Records
) -> None:
    publish(tmp_path, store, digits, records, keep_discriminators=True)
    state, said = new_state(digits, discriminator__network__hidden=[12]), list[str]()
    start_from(VERSION, state, store, said.append)
    assert "the discriminator is new" in said[0]


def test_a_version_that_is_gone_or_of_another_network_fails_with_its_name(
    tmp_path: Path, store: LocalStore, digits: Prepared, records: Records
) -> None:
    publish(tmp_path, store, digits, records)
    with pytest.raises(TrainingFailed, match="cannot start from tiny@7: there is no version 7"):
        start_from(Transfer(version="tiny@7"), new_state(digits), store, pytest.fail)
    with pytest.raises(TrainingFailed, match="cannot start from tiny@1"):
        start_from(VERSION, new_state(digits, generator__network__hidden=[16]), store, pytest.fail)


def test_the_lowest_layers_of_the_discriminator_stay_as_they_are(digits: Prepared) -> None:
    state = new_state(digits)
    freeze_lower_layers(state, 1)
    before = copied(state.modules["discriminator"])
    rounds(state, 3)
    changed = [
        name
        for name, tensor in state.modules["discriminator"].state_dict().items()
        if not torch.equal(tensor, before[name])
    ]
    assert changed
    assert not [name for name in changed if name.startswith(next(iter(before)).rpartition(".")[0] + ".")]


def test_one_layer_has_to_stay_free(digits: Prepared) -> None:
    with pytest.raises(TrainingFailed, match="the discriminator has 2 layers"):
        freeze_lower_layers(new_state(digits), 2)

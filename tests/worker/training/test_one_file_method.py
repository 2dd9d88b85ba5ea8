"""A method with two generators that a single file has added: trained, killed, resumed, published and served."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from models.artifacts.history import read_ticks
from models.config.training import TrainingConfig
from models.inference import run_generator
from models.inputs import make_inputs
from models.objectives.methods import MethodSpec
from models.pictures import grid
from models.store.local import LocalStore
from models.store.weights import load_generator
from tests.fixtures import one_file_method
from tests.fixtures.service import serving
from tests.fixtures.trainings import Harness, working_house
from tests.fixtures.waiting import until
from tests.worker.training.attempts import Attempts, after
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.jobs.exit_codes import ExitCode
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig


@pytest.fixture
def method() -> Iterator[MethodSpec]:
    with one_file_method.registered() as spec:
        yield spec


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    yield from working_house(tmp_path)


def twins(method: MethodSpec, kimg: float) -> TrainingConfig:
    return tiny(method=method.name, kimg=kimg, precision="fp32", guard="numbers")


def test_its_terms_are_reported_and_it_learns(tmp_path: Path, digits: Prepared, method: MethodSpec) -> None:
    run = Attempts(tmp_path, digits)
    assert run.start(twins(method, 8)).run()
    first, *_, last = (dict[str, Any](tick) for tick in read_ticks(tmp_path))
    assert {"reconstruction", "cycle", "gradient"} <= set(last)
    assert "loss_d" not in last
    assert last["cycle"] < first["cycle"]
    assert last["sentence"].startswith("The two generators differ by ")


def test_a_stopped_training_ends_in_the_same_bytes(tmp_path: Path, digits: Prepared, method: MethodSpec) -> None:
    calm, stopped = Attempts(tmp_path / "calm", digits), Attempts(tmp_path / "stopped", digits)
    assert calm.start(twins(method, 4)).run()
    assert not stopped.start(twins(method, 4), after(40)).run()
    loop = stopped.start(twins(method, 4))
    assert loop.run()
    assert stopped.weights == calm.weights
    names = set(loop.state.copy().tensors)
    assert {"left.0.weight", "right_average.0.weight", "both_optimizer.left.0.weight.exp_avg"} <= names


def test_slices_add_up_to_the_whole_batch(digits: Prepared, method: MethodSpec) -> None:
    ends = []
    config, cpu = twins(method, 4), torch.device("cpu")
    for slices in (1, 4):
        state = TrainingState(config, Loader(digits, config.batch_size, 0, cpu), cpu)
        step_config = StepConfig.of(config, state, "fp32", 4000, slices=slices)
        for _ in range(3):
            run_round(state, step_config, log_gradients=True)
        ends.append(state.copy().tensors["left.0.weight"])
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-5)


def test_a_killed_run_is_resumed_published_and_served(harness: Harness, method: MethodSpec) -> None:
    calm = harness.create(twins(method, 16))
    assert harness.train(calm) == ExitCode.COMPLETED
    harness.records.release_run(calm.claim, "succeeded")

    run = harness.create(twins(method, 16))
    harness.interrupt(run, signal.SIGKILL, module=one_file_method.__name__)
    run = harness.again(run)
    assert harness.train(run) == ExitCode.COMPLETED
    assert any(line.startswith("resumed from 1/") for line in harness.messages(run))

    store = LocalStore(harness.data_dir / "models")
    versions = store.model(run.model).versions
    ends = {version.manifest.provenance.run: version.manifest for version in versions if version.manifest is not None}
    (first, second) = (ends[each.id] for each in (calm, run))
    assert list(second.generators) == ["left", "right"]
    for entry in second.generators.values():
        assert second.files[entry.weights].sha256 == first.files[entry.weights].sha256

    with serving(harness.data_dir) as service:
        ref = f"{run.model}@{second.version}"
        until(lambda: service.client.get("/samples", params={"model": ref, "n": 4}).status_code == 200, "the version")
        picture = service.client.get("/samples", params={"model": ref, "n": 4, "seed": 1})
    generator = load_generator(store.read(store.resolve(ref), "left.safetensors"), second.generator)
    pixels = run_generator(generator, make_inputs(second.generator.inputs, 1, np.arange(4)))
    expected = grid(pixels.permute(0, 2, 3, 1).numpy(), nrow=2)[..., 0]
    with Image.open(io.BytesIO(picture.content)) as served:
        difference = np.abs(np.asarray(served).astype(int) - expected)
    assert difference.max() <= 2

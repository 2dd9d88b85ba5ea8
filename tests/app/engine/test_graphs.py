"""Passes on a GPU: the same images as on the CPU, whatever was generated before them."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from app.engine.batcher import Batcher
from app.engine.calibration import Calibrations
from app.engine.devices import choose_devices, use_deterministic_kernels, worker_threads
from app.engine.network import PLAIN, Network, Numerics, candidates
from models.config.networks import GeneratorConfig
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, expected, random_inputs, tiny_generator

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CONFIGS = [TINY_MLP, TINY_DCGAN, TINY_CONDITIONAL]


@pytest.fixture
def gpu() -> torch.device:
    use_deterministic_kernels()
    return choose_devices("cuda")[0]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_numerics_generates_what_the_generator_gives(gpu: torch.device, config: GeneratorConfig) -> None:
    inputs = random_inputs(config, 8)
    wanted = expected(tiny_generator(config, 3), inputs)
    for numerics in candidates(tiny_generator(config, 3), gpu):
        images = Network(tiny_generator(config, 3), gpu, numerics, 8).generate(inputs, 8)
        assert np.abs(images.astype(int) - wanted).mean() < 2, numerics


def test_a_pass_leaves_nothing_behind_for_the_next(gpu: torch.device) -> None:
    network = Network(tiny_generator(TINY_CONDITIONAL, 3), gpu, Numerics(precision="fp16", channels_last=True), 16)
    inputs = random_inputs(TINY_CONDITIONAL, 5)
    first = network.generate(inputs, 16)
    kept = first.copy()
    network.generate(random_inputs(TINY_CONDITIONAL, 16, seed=9), 16)
    assert np.array_equal(first, kept), "images returned share memory with the next pass"
    assert np.array_equal(network.generate(inputs, 16), kept)


@pytest.mark.parametrize("config", CONFIGS)
def test_runners_on_a_gpu_give_the_same_bytes_in_every_batch_size_and_worker(
    gpu: torch.device, tmp_path: Path, config: GeneratorConfig
) -> None:
    workers = worker_threads(choose_devices("cuda"), 1)
    batcher = Batcher(workers)
    try:
        runner = Calibrations(tmp_path, workers).build_runner(
            tiny_generator(config, 3), config, "0" * 64, batcher.run_background
        )
        inputs = random_inputs(config, 3 * runner.batch_size + 1)
        whole = batcher.submit(runner, inputs).result(60)
        for start, stop in ((0, 1), (2, 5), (runner.batch_size, 2 * runner.batch_size)):
            part = batcher.submit(runner, inputs.slice(start, stop)).result(60)
            assert np.array_equal(part, whole[start:stop])
    finally:
        batcher.stop()


def test_what_is_no_longer_used_gives_its_memory_back(gpu: torch.device) -> None:
    left = []
    # The first pass of all makes libraries allocate workspaces that stay.
    for _ in range(3):
        network = Network(tiny_generator(TINY_DCGAN, 3), gpu, PLAIN, 8)
        network.generate(random_inputs(TINY_DCGAN, 8), 8)
        held = torch.cuda.memory_allocated(gpu)
        del network
        gc.collect()
        left.append(torch.cuda.memory_allocated(gpu))
        assert left[-1] < held
    assert left[0] == left[1] == left[2]

"""Codes of real images as latents: their distribution, the distance to their images, and their place in a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.artifacts.history import read_ticks
from models.config.requests import ConfigError
from models.config.sections import Codes
from models.config.training import TrainingConfig
from models.config.values import ImageShape
from models.networks.rows import Rows
from tests.worker.training.attempts import Attempts, after
from tests.worker.training.tiny import PROJECTED, tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.methods.codes import CodesObjective, Encoder
from worker.training.methods.projected import ProjectedObjective
from worker.training.rounds import run_round, to_float
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

CPU = torch.device("cpu")
CODES: dict[str, Any] = {**PROJECTED, "codes.weight": 13.0, "conditional": False}


def fitted(state: TrainingState, config: TrainingConfig) -> StepConfig:
    step_config = StepConfig.of(config, state, "fp32", 1000)
    batches = (to_float(state.batches.next().images) for _ in range(12))
    state.method.fit(step_config.step_state(state), batches)
    state.batches.position = 0
    return step_config


def start(digits: Prepared, **overrides: Any) -> tuple[TrainingState, StepConfig, TrainingConfig]:
    config = tiny("quick-28", **{**CODES, **overrides})
    state = TrainingState(config, Loader(digits, config.batch_size, 0, CPU), CPU)
    return state, fitted(state, config), config


def objective(state: TrainingState, step_config: StepConfig, config: TrainingConfig, real: Tensor) -> CodesObjective:
    assert config.projected is not None
    assert config.codes is not None
    projected = ProjectedObjective(config.projected, step_config.step_state(state))
    return CodesObjective(config.codes, projected, real, Rows(0, len(real), len(real)))


def test_codes_are_components_made_normal_by_rank() -> None:
    draws = torch.Generator().manual_seed(0)
    descriptions = torch.rand((2000, 16 * 16 + 320), generator=draws) ** 3
    descriptions[:, :3] *= 40
    encoder = Encoder(ImageShape(28, 28, 1), 4, 2)
    encoder.fit(descriptions)
    codes = encoder.encode(descriptions)
    ranks = ((descriptions - descriptions.mean(0)) @ encoder.components).argsort(0).argsort(0)
    expected = torch.erfinv(2 * (ranks + 0.5) / 2000 - 1) * 2**0.5
    # Beyond the outermost of the 512 quantiles only order is kept.
    inner = expected.abs() < 2.5
    torch.testing.assert_close(codes[inner], expected[inner], rtol=0.05, atol=0.02)
    torch.testing.assert_close(codes.std(0), torch.ones(4), rtol=0.02, atol=0.02)
    # The first component is the one of the largest variance.
    strength = encoder.components[:3].norm(dim=0) / encoder.components.norm(dim=0)
    assert (strength[:3] > 0.9).all()
    assert strength[3] < 0.5


def test_every_second_latent_is_the_code_of_its_image_in_any_slice(digits: Prepared) -> None:
    state, step_config, config = start(digits)
    real = to_float(state.batches.next().images)
    z = torch.randn(len(real), config.latent.dim)
    whole = objective(state, step_config, config, real).in_place_of(z)
    assert torch.equal(whole[1::2], z[1::2])
    assert not torch.isclose(whole[::2], z[::2]).all(1).any()
    rows = Rows(3, 8, len(real))
    assert config.projected is not None
    projected = ProjectedObjective(config.projected, step_config.step_state(state))
    sliced = CodesObjective(Codes(), projected, rows.of(real), rows).in_place_of(rows.of(z))
    torch.testing.assert_close(sliced, rows.of(whole), rtol=1e-3, atol=1e-3)


def test_distance_is_that_of_pixels_and_features(digits: Prepared) -> None:
    state, step_config, config = start(digits)
    real = to_float(state.batches.next().images)
    fake = torch.rand_like(real) * 2 - 1
    found = objective(state, step_config, config, real)
    pixels = 4 * (avg_pool2d(fake[::2], 2) - avg_pool2d(real[::2], 2)).abs().mean()
    ours, theirs = found.projected.P(fake[::2]), found.projected.P(real[::2])
    variances = state.modules["codes"].get_buffer("variances")
    features = sum((a - b).square().mean() / v for a, b, v in zip(ours, theirs, variances, strict=True))
    torch.testing.assert_close(found.generator(fake)["loss_codes"], pixels + 0.5 * features, rtol=1e-4, atol=1e-4)
    assert found.generator(real)["loss_codes"] < 1e-6


def test_generator_comes_nearer_to_the_images_of_its_codes(digits: Prepared) -> None:
    state, step_config, _ = start(digits, codes__weight=1000.0, codes__weight_end=1000.0)
    losses = []
    for _ in range(2):
        for _ in range(15):
            run_round(state, step_config)
        losses.append(state.sums.take()["loss_codes"])
    assert losses[1] is not None
    assert losses[0] is not None
    assert losses[1] < 0.9 * losses[0]


def test_weight_falls_geometrically(digits: Prepared) -> None:
    state, _, _ = start(digits, codes__weight=16.0, codes__weight_end=1.0)
    weights = [state.method.hyperparameters(images, 100, 1.0)["codes_weight"] for images in (0, 50, 100, 150)]
    assert weights == pytest.approx([16, 4, 1, 1])


def test_stopped_training_with_codes_goes_on_to_the_same_bytes(tmp_path: Path, digits: Prepared) -> None:
    config = tiny("quick-28", kimg=0.64, tick_kimg=0.16, **CODES)
    calm, stopped = Attempts(tmp_path / "calm", digits), Attempts(tmp_path / "stopped", digits)
    loop = calm.start(config)
    fitted(loop.state, config)
    assert loop.run()
    loop = stopped.start(config, after(10))
    fitted(loop.state, config)
    assert not loop.run()
    # Fitted codes are part of the checkpoint.
    assert stopped.start(config).run()
    assert stopped.weights == calm.weights
    distance = read_ticks(calm.run_dir)[-1]["loss_codes"]
    assert distance is not None
    assert distance > 0


def test_codes_without_frozen_features_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"projected\.weight"):
        tiny("quick-28", **{"codes.weight": 13.0})

"""Tiny trainings for the tests of the trainer: seconds at most, on the digits that ship."""

from __future__ import annotations

from typing import Any

from models.config.presets import load
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig

MLP: dict[str, Any] = {"generator.network.hidden": [24], "discriminator.network.hidden": [24], "batch_size": 32}
DCGAN: dict[str, Any] = {"generator.network.widths": [8, 4], "discriminator.network.widths": [4, 8], "batch_size": 16}
PATCH: dict[str, Any] = {"generator.network.widths": [8], "discriminator.network.widths": [8, 8], "batch_size": 16}
R3GAN: dict[str, Any] = {
    "size": 28,
    "channels": 1,
    "latent.dim": 8,
    "generator.network.widths": [8, 8, 8],
    "discriminator.network.widths": [8, 8, 8],
    "batch_size": 8,
}
FAMILIES = {"mlp": MLP, "dcgan": DCGAN, "patch": PATCH, "r3gan": R3GAN}
PROJECTED: dict[str, Any] = {"projected.input_size": 32, "projected.strides": [4, 8], "projected.channels": 8}
QUICK: dict[str, Any] = {"tick_kimg": 2, "snapshots": 4, "checkpoint_minutes": 0.005}


def tiny(preset: str = "mlp-mnist", kimg: float = 8, **overrides: Any) -> TrainingConfig:
    """Return a preset's training with tiny networks; `__` in a name stands for a dot."""
    network = FAMILIES[load()[preset].training["generator"]["network"]["family"]]
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    request = TrainRequest(
        preset=preset, dataset="mnist-mini", model="tiny", kimg=kimg, overrides={**network, **QUICK, **named}
    )
    return resolve(request)

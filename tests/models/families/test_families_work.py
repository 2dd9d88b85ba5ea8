"""The work of a pass, counted by arithmetic, against what torch counts while it runs one."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from models.config import requests
from models.config.requests import TrainRequest
from models.networks import build

NARROW: dict[str, dict[str, object]] = {
    "mlp": {"generator.network.hidden": [24, 32], "discriminator.network.hidden": [16, 8]},
    "dcgan": {},
    "patch": {"size": 32, "generator.network.widths": [8, 4], "discriminator.network.widths": [8, 12, 4]},
    "r3gan": {"generator.network.widths": [16, 16, 8], "discriminator.network.widths": [8, 16, 16]},
}

FASTGAN: dict[str, object] = {"generator.network.family": "fastgan", "generator.network.activation": "glu"}


@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("mlp-mnist", NARROW["mlp"]),
        ("dcgan-28", {}),
        ("small-data-64", {"generator.network.widths": [8, 8, 4, 4], "discriminator.network.widths": [4, 4, 8, 8]}),
        ("quick-28", NARROW["patch"]),
        ("quick-28", {}),
        ("r3gan-28", NARROW["r3gan"]),
        ("small-data-64", {"generator.network.family": "fastgan", "generator.network.widths": [8, 8, 6, 6, 4]}),
        ("dcgan-32", {**FASTGAN, "generator.network.widths": [8, 8, 6, 4], "conditional": False}),
        ("quick-28", {**FASTGAN, "generator.network.widths": [8, 6, 4], "conditional": True}),
        ("r3gan-28", {**NARROW["r3gan"], "conditional": True, "channels": 3}),
    ],
)
def test_products_are_those_that_torch_counts(preset: str, overrides: dict[str, object]) -> None:
    config = requests.resolve(TrainRequest(preset=preset, dataset="mnist", overrides=overrides))
    pair = build(config)
    labels = [torch.zeros(2, dtype=torch.int64)] if config.conditional else []
    z, images = torch.zeros(2, config.latent.dim), torch.zeros(2, config.channels, config.size, config.size)
    work = config.generator_config().work(), config.discriminator_config().work()
    for network, inputs, expected in zip((pair.generator, pair.discriminator), (z, images), work, strict=True):
        with FlopCounterMode(display=False) as counter:
            network(inputs, *labels)
        assert expected.products == counter.get_total_flops() / 2 / len(z)
        assert 0 < expected.values < expected.products

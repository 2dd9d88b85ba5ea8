"""Generators for the benchmark: random but seeded weights whose pictures cost as much as real ones.

Untrained networks generate grey noise. Noise takes an encoder several times as long as a picture does, and flat grey
next to nothing; here kernels interpolate and normalisation has seen latents, so that smooth blobs come out.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor, nn

from models.config.inputs import Latent
from models.config.networks import GeneratorConfig
from models.families.dcgan import DcganGenerator
from models.families.mlp import MlpGenerator
from models.networks import build_generator
from models.networks.layers import Tanh
from models.store.manifest import GENERATOR, MANIFEST, WEIGHTS, FileEntry, GeneratorEntry, Manifest, Provenance
from models.store.weights import generator_bytes

DCGAN = DcganGenerator(widths=(512, 256, 128, 64))
MODELS: dict[str, GeneratorConfig] = {
    "mlp": GeneratorConfig(size=28, channels=1, latent=Latent(), network=MlpGenerator()),
    "dcgan-64": GeneratorConfig(size=64, channels=3, latent=Latent(), network=DCGAN),
    "dcgan-128": GeneratorConfig(size=128, channels=3, latent=Latent(), network=DCGAN),
}
# Spread of the values before tanh: most pixels lie between the extremes, some at them.
CONTRAST = 1.5
PROBES = 64


def build(config: GeneratorConfig, seed: int) -> nn.Module:
    """Make a generator in evaluation mode; each seed generates other pictures."""
    torch.manual_seed(seed)
    generator = build_generator(config)
    assert isinstance(generator, nn.Sequential)
    for layer in generator:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
        elif isinstance(layer, nn.ConvTranspose2d):
            layer.weight.data = _interpolating(layer.weight.shape)
    if not any(isinstance(layer, nn.ConvTranspose2d) for layer in generator):
        last = next(layer for layer in reversed(generator) if isinstance(layer, nn.Linear))
        last.weight.data = _smooth(last.weight.shape, config)
    _settle(generator, torch.randn(PROBES, config.latent.dim))
    return generator.eval()


def publish(models: Path, name: str, version: int) -> None:
    """Write a version into a model directory: the weights first, as a copying user might."""
    config = MODELS[name]
    data = generator_bytes(build(config, seed=version))
    manifest = Manifest(
        model=name,
        version=version,
        created_at=datetime.now(UTC),
        files={WEIGHTS: FileEntry.of(data)},
        generators={GENERATOR: GeneratorEntry.of(GENERATOR, config)},
        provenance=Provenance(preset="none", dataset="none", kimg=0, seed=version),
    )
    folder = models / name / str(version)
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest.to_json())


def _interpolating(shape: torch.Size) -> Tensor:
    """Return 4x4 kernels that double a picture smoothly, with some texture."""
    line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4.0
    return torch.randn(*shape[:2], 1, 1) * torch.outer(line, line) + 0.02 * torch.randn(shape)


def _smooth(shape: torch.Size, config: GeneratorConfig) -> Tensor:
    """Return a last layer's weights, `[pixels, inputs]`, that vary slowly from pixel to pixel."""
    coarse = torch.randn(shape[1], config.channels, config.size // 4, config.size // 4)
    fine = nn.functional.interpolate(coarse, size=config.size, mode="bicubic")
    return fine.reshape(shape[1], -1).T.contiguous()


@torch.no_grad()
def _settle(generator: nn.Sequential, z: Tensor) -> None:
    """Take the statistics of normalisation from `z`, and scale the values before tanh to their spread."""
    squash = next(index for index, layer in enumerate(generator) if isinstance(layer, Tanh))
    for layer in generator:
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    before = generator[:squash].train()(z)
    last = next(layer for layer in reversed(generator) if isinstance(layer, nn.Linear | nn.ConvTranspose2d))
    last.weight.mul_(CONTRAST / before.std())

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from models.config.inputs import Latent
from models.config.networks import GeneratorConfig
from models.families.mlp import MlpGenerator
from worker.training.reporting.snapshots import SnapshotRenderer

CPU = torch.device("cpu")


class Probe(nn.Module):
    """Keeps what it is given, and paints nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[tuple[Tensor, ...]] = []

    @property
    def z(self) -> Tensor:
        return torch.cat([z for z, *_ in self.passes])

    @property
    def labels(self) -> Tensor:
        return torch.cat([labels for _, labels in self.passes])

    def forward(self, *inputs: Tensor) -> Tensor:
        self.passes.append(inputs)
        return torch.zeros(len(inputs[0]), 1, 28, 28)


def render(**changes: Any) -> tuple[Probe, tuple[int, int]]:
    config = GeneratorConfig(size=28, channels=1, latent=Latent(dim=3), network=MlpGenerator(hidden=(4,)))
    probe = Probe()
    png = SnapshotRenderer(config.model_copy(update=changes), 5, CPU).grid(probe)
    return probe, Image.open(io.BytesIO(png)).size


def test_a_plain_generator_shows_64_latents() -> None:
    probe, size = render()
    assert [len(inputs) for inputs in probe.passes] == [1]
    assert len(torch.unique(probe.z, dim=0)) == 64
    assert size == (8 * 30 + 2, 8 * 30 + 2)


def test_a_conditional_one_shows_every_class_in_a_row_of_the_same_latents() -> None:
    probe, size = render(classes=10)
    assert probe.labels.view(10, 8).tolist() == [[label] * 8 for label in range(10)]
    rows = probe.z.view(10, 8, 3)
    assert torch.equal(rows, rows[:1].expand(10, 8, 3))
    assert size == (8 * 30 + 2, 10 * 30 + 2)


@pytest.mark.parametrize(("classes", "shown", "columns"), [(32, 32, 8), (33, 33, 5), (2000, 1024, 32)])
def test_many_classes_show_one_image_each(classes: int, shown: int, columns: int) -> None:
    probe, (width, _) = render(classes=classes)
    assert torch.unique(probe.labels).tolist() == list(range(shown))
    assert width == columns * 30 + 2
    assert max(len(z) for z, _ in probe.passes) <= 64

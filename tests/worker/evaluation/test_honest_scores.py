"""Scores against held-out images, on packaged features; a generator that copies its training images is seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.scores import Evaluation, memorises
from tests.worker.evaluation.schedules import SCHEDULE
from tests.worker.training.tiny import tiny
from worker.data.held_out import Indices, count_held_out, split
from worker.data.prepared import Prepared
from worker.evaluation import packaged
from worker.evaluation.evaluator import Evaluator

CPU = torch.device("cpu")
COLOUR = SCHEDULE.model_copy(update={"efficientnet": True, "primary": "efficientnet_kid"})


@pytest.fixture
def coloured(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """600 digits in colours, and few features of each set: they cost 5 ms an image."""
    monkeypatch.setattr(packaged, "IMAGES", 150)
    tints = np.random.default_rng(0).uniform(0.3, 1, (600, 3, 1, 1))
    images = (digits.images[:600] * tints).astype(np.uint8)
    manifest = digits.manifest.model_copy(update={"count": 600, "channels": 3})
    return replace(digits, images=images, labels=None, manifest=manifest.model_copy(update={"classes": ()}))


class Shows(nn.Module):
    """A generator that shows some images of a set, chosen by the latent."""

    def __init__(self, prepared: Prepared, indices: Indices) -> None:
        super().__init__()
        self._images = torch.from_numpy(prepared.images[indices]).float() / 127.5 - 1

    def forward(self, z: Tensor) -> Tensor:
        return self._images[(z[:, 0].abs() * 1000).long() % len(self._images)]


def evaluated(generator: nn.Module, prepared: Prepared, folder: Path, held_out: int) -> Evaluation:
    config = tiny("quick-28", channels=3, conditional=False)
    evaluate = Evaluator(config, prepared, CPU, COLOUR, folder, pytest.fail, held_out=held_out)
    found = evaluate(generator, 640, final=False)
    assert found is not None
    return found


def test_copies_of_training_images_are_seen_and_never_the_best(coloured: Prepared, tmp_path: Path) -> None:
    kept = count_held_out(coloured)
    sides = split(coloured, kept)
    copying = evaluated(Shows(coloured, sides.taught), coloured, tmp_path, kept)
    honest = evaluated(Shows(coloured, sides.held_out), coloured, tmp_path, kept)
    assert copying.scores["memorisation"].value == pytest.approx(1.0)
    assert copying.scores["memorisation"].baseline == 0.5
    assert honest.scores["memorisation"].value == pytest.approx(0.5, abs=0.05)
    assert memorises(copying.scores)
    assert not memorises(honest.scores)


def test_scores_compare_with_images_that_were_never_trained_on(coloured: Prepared, tmp_path: Path) -> None:
    kept = count_held_out(coloured)
    held_out = split(coloured, kept).held_out
    found = evaluated(Shows(coloured, held_out), coloured, tmp_path, kept)
    assert found.primary == "efficientnet_kid"
    names = {"frechet", "kid", "precision", "recall", "density", "coverage"}
    assert {f"efficientnet_{name}" for name in names} <= set(found.scores)
    score = found.scores["efficientnet_frechet"]
    assert "EfficientNet-Lite2" in score.protocol
    assert f"{kept} images that were never trained on" in score.protocol
    # What was shown are those very images, so they are nearer than real training images are.
    assert score.baseline is not None
    assert score.value < score.baseline
    assert found.scores["efficientnet_recall"].value > 0.8
    noise = evaluated(Noise(), coloured, tmp_path, kept)
    assert noise.scores["efficientnet_kid"].value > 5 * abs(found.scores["efficientnet_kid"].value)


def test_a_set_that_can_spare_no_images_says_so_in_its_protocol(coloured: Prepared, tmp_path: Path) -> None:
    found = evaluated(Shows(coloured, np.arange(600)), coloured, tmp_path, 0)
    assert "images that were trained on" in found.scores["efficientnet_kid"].protocol
    assert "memorisation" not in found.scores


class Noise(nn.Module):
    """A generator of noise."""

    def forward(self, z: Tensor) -> Tensor:
        return torch.rand(len(z), 3, 28, 28, generator=torch.Generator().manual_seed(0)) * 2 - 1

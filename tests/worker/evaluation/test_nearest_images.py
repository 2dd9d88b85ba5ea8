from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation import neighbours
from worker.evaluation.neighbours import generate_samples, nearest_images, neighbour_pairs, search_indices


def test_the_nearest_image_is_found_in_every_part_of_the_data(digits: Prepared) -> None:
    chosen = np.array([5, 2047, 2048, 5999])
    noise = np.random.default_rng(0).integers(0, 3, (4, 28, 28, 1))
    images = np.clip(digits.images[chosen].transpose(0, 2, 3, 1).astype(int) + noise, 0, 255).astype(np.uint8)
    assert nearest_images(images, digits, search_indices(digits)).tolist() == chosen.tolist()


def test_all_of_a_large_set_is_searched_at_a_smaller_size(digits: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_CHUNK", 100 * 3 * 128**2)
    random = np.random.default_rng(0)
    large = replace(
        digits,
        manifest=digits.manifest.model_copy(update={"count": 250, "size": 128, "channels": 3}),
        images=random.integers(0, 256, (250, 3, 128, 128), np.uint8),
    )
    chosen = np.array([3, 99, 100, 249])
    found = nearest_images(large.images[chosen].transpose(0, 2, 3, 1), large, search_indices(large))
    assert found.tolist() == chosen.tolist()


@pytest.mark.parametrize(("classes", "shown"), [(10, 10), (16, 16), (40, 16), (2, 2)])
def test_images_of_as_many_classes_as_there_is_room_for_are_shown(classes: int, shown: int) -> None:
    config = tiny("mlp-conditional").generator_config().model_copy(update={"classes": classes})
    requested: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, z: Tensor, labels: Tensor) -> Tensor:
            requested.append(labels)
            return torch.zeros(len(z), 1, 28, 28)

    assert generate_samples(Recorder(), config, 0).shape == (16, 28, 28, 1)
    assert len(set(requested[0].tolist())) == shown
    assert int(requested[0].max()) < classes


def test_the_picture_shows_each_image_beside_its_nearest(digits: Prepared) -> None:
    images = digits.images[:16].transpose(0, 2, 3, 1)
    found = neighbour_pairs(images, digits)
    assert (found.searched, found.images) == (6000, 6000)
    with Image.open(io.BytesIO(found.picture)) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (2 + 4 * 30, 2 + 8 * 30)
    assert np.array_equal(pixels[2:30, 2:30], pixels[2:30, 32:60])
    assert np.array_equal(pixels[2:30, 2:30], images[0, ..., 0])

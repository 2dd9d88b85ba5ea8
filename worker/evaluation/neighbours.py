"""Nearest training images: generated images beside the most similar ones of the data, to detect memorisation."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from models import pictures
from models.config.networks import GeneratorConfig
from models.inference import run_generator
from models.inputs import make_inputs
from models.pictures import Pixels
from models.store.card import Pairs
from worker.data.prepared import Prepared
from worker.evaluation.samples import Indices, permutation

COUNT: Final = 16
_PAIRS_PER_ROW: Final = 4
_SIDE: Final = 32  # larger images are compared at 32 to 63 px
_CHUNK: Final = 1 << 24  # values of the data in memory as float32
_MAX_VALUES: Final = 1 << 33  # of larger sets a fixed subset is searched


def generate_samples(generator: nn.Module, config: GeneratorConfig, seed: int) -> Pixels:
    """Generate the first 16 images of a seed, uint8 `[16, H, W, C]`, of as many classes as possible."""
    indices = np.arange(COUNT)
    labels = indices * max(config.classes, COUNT) // COUNT % config.classes if config.classes else None
    pixels = run_generator(generator, make_inputs(config.inputs, seed, indices, label=labels))
    images: Pixels = pixels.permute(0, 2, 3, 1).numpy()
    return images


def search_indices(prepared: Prepared) -> Indices:
    """Return the ascending int64 indices of the images to search: all, or as many as have 8.6 billion values."""
    _, channels, height, width = prepared.images.shape
    return np.sort(permutation(prepared.count)[: _MAX_VALUES // (channels * height * width)])


def nearest_images(images: Pixels, prepared: Prepared, candidates: Indices) -> Indices:
    """Return the int64 index of the most similar image of the data for each image `[n, H, W, C]`, uint8.

    Similarity is the sum of squared differences of pixels, or of the means of blocks for images of 64 px and more.
    """
    queries = _reduce(torch.from_numpy(images.transpose(0, 3, 1, 2)))
    best = torch.full((len(images),), torch.inf)
    found = torch.zeros(len(images), dtype=torch.int64)
    chunk = max(1, _CHUNK // images[0].size)
    for start in range(0, len(candidates), chunk):
        rows = _reduce(torch.from_numpy(prepared.images[candidates[start : start + chunk]]))
        # |a - b|^2 without |a|^2, which is the same for all.
        distances, places = (rows.square().sum(1) - 2 * queries @ rows.T).min(1)
        # Strictly less, so that the first of equal ones stays.
        closer = distances < best
        best = torch.where(closer, distances, best)
        found = torch.where(closer, places + start, found)
    positions: Indices = candidates[found.numpy()]
    return positions


# uint8 `[N, C, H, W]`, averaged over blocks of pixels, as float32 rows `[N, D]`.
def _reduce(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    block = (max(1, height // _SIDE), max(1, width // _SIDE))
    return avg_pool2d(images.float(), block).flatten(1)


def neighbour_pairs(generated: Pixels, prepared: Prepared) -> Pairs:
    """Render images, uint8 `[n, H, W, C]`, each with its nearest image of the data to its right."""
    candidates = search_indices(prepared)
    nearest = prepared.images[nearest_images(generated, prepared, candidates)].transpose(0, 2, 3, 1)
    both = np.stack((generated, nearest), axis=1).reshape(-1, *generated.shape[1:])
    picture = pictures.encode(pictures.grid(both, nrow=2 * _PAIRS_PER_ROW), "png")
    return Pairs(picture, len(candidates), prepared.count)

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from worker.data.prepared import Prepared
from worker.evaluation.samples import real_batches, split_images, to_float
from worker.evaluation.sliced_wasserstein import PATCHES, Patches, SlicedWasserstein, level_sizes, pyramid

CPU = torch.device("cpu")


def patches(images: Tensor) -> Patches:
    found = Patches(len(images), images.shape[-1], images.shape[1], CPU)
    for part in torch.split(images, 50):
        found.add(part)
    return found


@pytest.fixture(scope="module")
def halves(digits: Prepared) -> tuple[Tensor, Tensor]:
    """Return two disjoint subsets of 1,000 digits, float32."""
    chosen = split_images(digits.count, 1000)
    reference, control = (to_float(torch.cat(list(real_batches(digits, part, CPU)))) for part in chosen.baseline)
    return reference, control


@pytest.mark.parametrize(("size", "levels"), [(28, [28, 14]), (32, [32, 16]), (128, [128, 64, 32, 16])])
def test_levels_end_where_patches_would_no_longer_fit(size: int, levels: list[int]) -> None:
    assert level_sizes(size) == levels


def test_a_pyramid_blurs_with_the_binomial_kernel_and_loses_nothing() -> None:
    images = torch.randn(2, 3, 32, 32)
    fine, coarse = pyramid(images)
    kernel = torch.outer(*[torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16] * 2).expand(3, 1, 5, 5)
    blurred = conv2d(pad(images, (2, 2, 2, 2), mode="reflect"), kernel, groups=3)
    assert torch.allclose(coarse, blurred[:, :, ::2, ::2], atol=1e-5)

    spread = torch.zeros_like(images)
    spread[:, :, ::2, ::2] = coarse
    doubled = conv2d(pad(spread, (2, 2, 2, 2), mode="reflect"), 4 * kernel, groups=3)
    assert torch.allclose(fine + doubled, images, atol=1e-5)


def test_a_flat_image_has_no_detail() -> None:
    fine, coarse = pyramid(torch.full((1, 1, 28, 28), 0.5))
    assert torch.allclose(fine, torch.zeros_like(fine), atol=1e-6)
    assert torch.allclose(coarse, torch.full_like(coarse, 0.5))


def test_every_set_gives_as_many_patches(halves: tuple[Tensor, Tensor]) -> None:
    for count in (3, 1000):
        assert [level.shape for level in patches(halves[0][:count]).levels()] == [(PATCHES, 49)] * 2


def test_the_distance_grows_with_what_is_wrong(halves: tuple[Tensor, Tensor]) -> None:
    reference, control = halves
    sliced = SlicedWasserstein(patches(reference))
    assert sliced.distance(patches(reference)) == 0
    baseline = sliced.distance(patches(control))
    noisy = sliced.distance(
        patches(control + 0.3 * torch.randn(control.shape, generator=torch.Generator().manual_seed(0)))
    )
    pale = sliced.distance(patches(control * 0.7))
    repeated = sliced.distance(patches(control[:2].repeat(500, 1, 1, 1)))
    assert 0 < 2 * baseline < min(noisy, pale, repeated)


def test_it_is_the_wasserstein_distance_of_shifted_normal_patches() -> None:
    """Along any direction a shift by d moves N(0, 1) by its component: on average over directions |d| E|cos|."""
    noise = torch.randn(2, 2000, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    finest = SlicedWasserstein(patches(noise[0]))._levels[0]
    shift = 0.5 * patches(noise[0]).levels()[0].std()
    moved = finest.distance(patches(noise[0]).levels()[0] + shift)
    # E|u_1| of a unit vector in 49 dimensions is close to sqrt(2 / (49 pi)); |d| is 0.5 sqrt(49) deviations.
    assert moved == pytest.approx(0.5 * (2 / torch.pi) ** 0.5, rel=0.2)

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from models.objectives.augmentations import augment

CHANGES = ("color", "translation", "cutout")


def changed(images: Tensor, *changes: str, p: float | Tensor = 1.0, seed: int = 0) -> Tensor:
    return augment(images, changes, p, torch.Generator().manual_seed(seed))


def pictures(count: int = 64, channels: int = 3, size: int = 16) -> Tensor:
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_nothing_changes_at_probability_zero() -> None:
    assert torch.equal(changed(pictures(), *CHANGES, p=0.0), pictures())


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_hits_as_many_images_as_it_should(change: str) -> None:
    images = pictures(2000, size=8)
    hit = (changed(images, change, p=torch.tensor(0.3)) != images).flatten(1).any(1).float().mean()
    draws = 3 if change == "color" else 1  # brightness, saturation and contrast are drawn apart
    stays = 1 / 9 if change == "translation" else 0  # moved by no pixel: one of 3 x 3 places
    assert hit.item() == pytest.approx(1 - (1 - 0.3 * (1 - stays)) ** draws, abs=0.04)


def test_brightness_moves_a_flat_grey_image_by_at_most_a_half() -> None:
    flat = torch.full((500, 1, 4, 4), 0.25)
    shifts = changed(flat, "color") - flat
    assert torch.allclose(shifts, shifts[:, :, :1, :1].expand_as(shifts), atol=1e-6)  # nothing to contrast or saturate
    assert -0.5 <= shifts.min() < -0.45
    assert 0.45 < shifts.max() <= 0.5


def test_contrast_scales_the_distance_from_an_images_mean_by_a_half_to_one_and_a_half() -> None:
    images = pictures(500, channels=1)
    scales = changed(images, "color").flatten(1).std(1) / images.flatten(1).std(1)
    assert 0.5 <= scales.min() < 0.55
    assert 1.45 < scales.max() <= 1.5


def test_saturation_scales_the_distance_from_grey_by_zero_to_two() -> None:
    tinted = torch.tensor([0.5, 0.0, -0.5])[None, :, None, None].expand(500, 3, 2, 2).contiguous()
    result = changed(tinted, "color")
    spread = (result[:, 0] - result[:, 2]).flatten(1)[:, 0]
    assert 0 <= spread.min() < 0.05
    assert 2 < spread.max() <= 3  # saturation up to 2, times contrast up to 1.5


def test_translation_moves_whole_pixels_with_grey_behind() -> None:
    images = pictures(400) + 2  # so that 0 appears only behind
    result = changed(images, "translation")
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    places = set()
    for before, after in zip(padded, result, strict=True):
        found = [
            (y, x) for y, x in product(range(5), repeat=2) if torch.equal(before[:, y : y + 16, x : x + 16], after)
        ]
        assert len(found) == 1
        places.add(found[0])
    assert places == set(product(range(5), repeat=2))


def test_cutout_greys_a_square_of_half_the_side_that_may_stick_out() -> None:
    holes = (changed(pictures(500) + 2, "cutout") == 0).all(1)
    areas = holes.flatten(1).sum(1)
    assert areas.max() == 8 * 8
    assert 16 <= areas.min() < 64  # centred on a corner, a quarter of it shows
    heights, widths = holes.any(2).sum(1), holes.any(1).sum(1)
    assert torch.equal(areas, heights * widths)


def test_the_same_draws_make_the_same_changes() -> None:
    assert torch.equal(changed(pictures(), *CHANGES, seed=3), changed(pictures(), *CHANGES, seed=3))
    assert not torch.equal(changed(pictures(), *CHANGES, seed=3), changed(pictures(), *CHANGES, seed=4))


def test_changes_can_be_differentiated_twice() -> None:
    images = pictures(4).double().requires_grad_()
    outputs = changed(images, *CHANGES).square().sum()
    (gradient,) = torch.autograd.grad(outputs, images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), images)
    assert gradient.abs().sum() > 0
    assert second.abs().sum() > 0


def test_images_that_are_not_square_move_and_lose_parts_of_their_own_height_and_width() -> None:
    images = torch.ones(400, 1, 8, 32)
    moved = changed(images, "translation") == 0
    assert moved.all(3).sum(2).max() == 1
    assert moved.all(2).sum(2).max() == 4
    holes = changed(images, "cutout")[:, 0] == 0
    assert holes.any(2).sum(1).max().item() == 4
    assert holes.any(1).sum(1).max().item() == 16

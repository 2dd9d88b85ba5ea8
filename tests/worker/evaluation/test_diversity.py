from __future__ import annotations

import pytest
import torch

from worker.evaluation.diversity import spread


def test_it_is_the_mean_distance_to_the_nearest_other_image() -> None:
    values = torch.tensor([0.0, 1.0, 3.0])[:, None, None, None].expand(3, 1, 2, 2)
    assert spread(values) == pytest.approx((1 + 1 + 2) / 3)


def test_images_that_come_twice_have_none_however_different_the_pairs_are() -> None:
    drawn = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert spread(drawn.repeat(2, 1, 1, 1)) == pytest.approx(0, abs=1e-3)

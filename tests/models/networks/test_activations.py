from __future__ import annotations

import pytest
import torch

from models.networks.layers import Dropout, Tanh


def test_saturated_pixels_keep_a_gradient_in_bf16() -> None:
    before = torch.tensor([-4.0, 4.0], dtype=torch.bfloat16, requires_grad=True)
    pixels = Tanh()(before)
    assert pixels.dtype == torch.float32
    pixels.sum().backward()
    assert before.grad is not None
    torch.testing.assert_close(before.grad.float(), 1 - torch.tensor([4.0, 4.0]).tanh() ** 2, rtol=0.01, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_zeroes_its_share_and_keeps_the_mean(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = Dropout(0.3)(torch.ones(1000, 999, dtype=dtype))
    assert dropped.dtype == dtype
    assert (dropped == 0).double().mean().item() == pytest.approx(0.3, abs=0.002)
    assert dropped.double().mean().item() == pytest.approx(1.0, abs=0.005)
    assert len(dropped.unique()) == 2


def test_dropout_draws_anew_each_time_and_independently_for_each_value() -> None:
    torch.manual_seed(0)
    layer = Dropout(0.5)
    first, second = (layer(torch.ones(4000, 8)) > 0 for _ in range(2))
    assert not torch.equal(first, second)
    correlations = torch.corrcoef(first.T.float()) - torch.eye(8)
    assert correlations.abs().max() < 0.06


def test_dropout_is_decided_by_torchs_generator_alone() -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(7)
        masks.append(Dropout(0.3)(torch.ones(5, 7)))
    assert torch.equal(masks[0], masks[1])


def test_dropout_passes_the_gradient_of_what_it_kept() -> None:
    x = torch.ones(100, 3, requires_grad=True)
    dropped = Dropout(0.4)(x)
    dropped.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, dropped)


def test_dropout_does_nothing_in_evaluation() -> None:
    x = torch.randn(3, 3)
    assert torch.equal(Dropout(0.9).eval()(x), x)

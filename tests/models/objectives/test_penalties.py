from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from models.objectives.penalties import mixtures, one_centred, zero_centred

REAL, FAKE = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
SHARES = torch.tensor([0.0, 0.25, 0.5, 1.0])


def interpolated(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    images = mixtures(real, fake, shares)
    return one_centred(critic(images), images)


def test_the_slope_of_a_linear_critic_is_pulled_to_one() -> None:
    """(|w| - 1)^2, whose gradient is 2 (|w| - 1) w / |w|."""
    weight = torch.randn(9, requires_grad=True)
    penalty = interpolated(lambda images: images.flatten(1) @ weight, REAL, FAKE, SHARES)
    norm = weight.detach().norm()
    torch.testing.assert_close(penalty, (norm - 1) ** 2)
    penalty.backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_the_slope_is_taken_between_each_pair() -> None:
    """|x|^2 / 2 has the gradient x, so that the penalty shows where it was taken."""
    half_square = lambda images: 0.5 * images.square().flatten(1).sum(1)  # noqa: E731
    between = torch.stack([share * x + (1 - share) * f for share, x, f in zip(SHARES, REAL, FAKE, strict=True)])
    expected = (between.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(interpolated(half_square, REAL, FAKE, SHARES), expected)


def test_weights_get_the_gradient_that_differences_show() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)).double()
    weight = critic[1].weight
    assert isinstance(weight, Tensor)

    def penalty() -> Tensor:
        return interpolated(critic, REAL.double(), FAKE.double(), SHARES.double())

    (gradient,) = torch.autograd.grad(penalty(), weight)
    step = 1e-6
    weight.data[2, 3] += step
    up = penalty().item()
    weight.data[2, 3] -= 2 * step
    assert gradient[2, 3].item() == pytest.approx((up - penalty().item()) / (2 * step), rel=1e-5)


def test_a_flat_critic_has_a_finite_gradient() -> None:
    weight = torch.zeros(9, requires_grad=True)
    interpolated(lambda images: images.flatten(1) @ weight, REAL, FAKE, SHARES).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_r1_and_r2_are_half_the_mean_squares_of_the_slopes() -> None:
    """|x|^2 / 2 has the gradient x."""
    images = torch.cat((REAL, FAKE)).requires_grad_()
    outputs = 0.5 * images.square().flatten(1).sum(1)
    expected = 0.5 * (REAL.square().flatten(1).sum(1).mean() + FAKE.square().flatten(1).sum(1).mean())
    torch.testing.assert_close(zero_centred(outputs, images), expected)


def test_r1_and_r2_pull_the_weights_of_a_linear_discriminator_to_zero() -> None:
    weight = torch.randn(9, requires_grad=True)
    images = torch.cat((REAL, FAKE)).requires_grad_()
    zero_centred(images.flatten(1) @ weight, images).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, 2 * weight.detach())

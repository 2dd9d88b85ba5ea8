from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from models.objectives.losses import LOSSES

LOGITS = torch.tensor([-3.0, -0.5, 0.0, 1.0, 4.0])
ONES, ZEROS = torch.ones(5), torch.zeros(5)


def test_cross_entropy_is_that_of_the_probabilities() -> None:
    loss = LOSSES.get("non_saturating")
    probabilities = LOGITS.sigmoid()
    torch.testing.assert_close(loss.real(LOGITS), binary_cross_entropy(probabilities, ONES))
    torch.testing.assert_close(loss.fake(LOGITS), binary_cross_entropy(probabilities, ZEROS))
    torch.testing.assert_close(loss.generator(LOGITS), binary_cross_entropy(probabilities, ONES))


def test_the_minimax_generator_minimises_log_of_one_minus_d() -> None:
    expected = (1 - LOGITS.double().sigmoid()).log().mean().float()
    torch.testing.assert_close(LOSSES.get("minimax").generator(LOGITS), expected)


def test_least_squares_pulls_outputs_to_one_and_zero() -> None:
    loss = LOSSES.get("least_squares")
    torch.testing.assert_close(loss.real(LOGITS), ((LOGITS - 1) ** 2).mean() / 2)
    torch.testing.assert_close(loss.fake(LOGITS), (LOGITS**2).mean() / 2)
    torch.testing.assert_close(loss.generator(LOGITS), ((LOGITS - 1) ** 2).mean() / 2)
    assert not loss.has_probabilities


def test_hinge_asks_for_a_margin_of_one_and_no_more() -> None:
    loss = LOSSES.get("hinge")
    outputs = LOGITS.clone().requires_grad_()
    torch.testing.assert_close(loss.real(outputs), torch.tensor((4 + 1.5 + 1 + 0 + 0) / 5))
    torch.testing.assert_close(loss.fake(outputs), torch.tensor((0 + 0.5 + 1 + 2 + 5) / 5))
    torch.testing.assert_close(loss.generator(outputs), -LOGITS.mean())
    (pushed,) = torch.autograd.grad(loss.fake(outputs), outputs)
    assert pushed.tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0.2])
    assert not loss.has_probabilities


def test_a_critic_minimises_minus_the_distance_of_the_means() -> None:
    loss = LOSSES.get("wasserstein")
    value = loss.real(LOGITS + 3) + loss.fake(LOGITS)
    torch.testing.assert_close(value, torch.tensor(-3.0))
    torch.testing.assert_close(loss.generator(LOGITS), -LOGITS.mean())
    assert (loss.has_probabilities, loss.balance) == (False, None)


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_a_saturated_discriminator_still_learns_from_its_mistakes(logit: float) -> None:
    logits = torch.full((4,), logit, requires_grad=True)
    loss = LOSSES.get("non_saturating")
    value = loss.real(logits) if logit < 0 else loss.fake(logits)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.isfinite()
    torch.testing.assert_close(gradient.abs().sum(), torch.tensor(1.0))


def test_the_minimax_generator_gets_no_gradient_where_the_trick_gets_a_full_one() -> None:
    logits = torch.full((4,), -20.0, requires_grad=True)
    (saturated,) = torch.autograd.grad(LOSSES.get("minimax").generator(logits), logits)
    (full,) = torch.autograd.grad(LOSSES.get("non_saturating").generator(logits), logits)
    assert saturated.abs().sum() < 1e-6
    torch.testing.assert_close(full.sum(), torch.tensor(-1.0))


@pytest.mark.parametrize(
    ("name", "output"),
    [("non_saturating", 0.0), ("minimax", 0.0), ("least_squares", 0.5), ("hinge", 0.0), ("relativistic", 0.0)],
)
def test_balanced_losses_are_those_of_a_discriminator_that_cannot_tell(name: str, output: float) -> None:
    loss = LOSSES.get(name)
    outputs = torch.full((4,), output)
    assert loss.balance is not None
    discriminator, generator = loss.balance.discriminator, loss.balance.generator
    assert math.isclose(float(loss.real(outputs) + loss.fake(outputs)), discriminator, rel_tol=1e-6)
    assert math.isclose(float(loss.generator(outputs)), generator, rel_tol=1e-6, abs_tol=1e-9)


def test_logits_give_the_losses_of_torchs_own_function() -> None:
    expected = binary_cross_entropy_with_logits(LOGITS, ONES) + binary_cross_entropy_with_logits(LOGITS, ZEROS)
    loss = LOSSES.get("minimax")
    torch.testing.assert_close(loss.real(LOGITS) + loss.fake(LOGITS), expected)


def test_relativistic_losses_compare_pairs_from_either_side() -> None:
    loss = LOSSES.get("relativistic")
    real, fake = LOGITS, LOGITS.flip(0) + 0.5
    expected = -(real - fake).sigmoid().log().mean()
    torch.testing.assert_close(loss.real(real - fake) + loss.fake(fake), expected)
    torch.testing.assert_close(loss.generator(fake - real), -(fake - real).sigmoid().log().mean())
    assert loss.paired
    assert not any(other.paired for other in LOSSES if other is not loss)

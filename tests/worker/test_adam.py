"""Adam's steps against the formulas of the paper."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from worker.adam import Adam

LR, BETA1, BETA2 = 2e-3, 0.5, 0.99


def moved(weight: Tensor, gradients: list[Tensor]) -> Tensor:
    """Return float64 weights after these gradients (Kingma and Ba 2015, algorithm 1)."""
    m = v = torch.zeros_like(weight)
    for t, gradient in enumerate(gradients, 1):
        m = BETA1 * m + (1 - BETA1) * gradient
        v = BETA2 * v + (1 - BETA2) * gradient.square()
        weight = weight - LR * (m / (1 - BETA1**t)) / ((v / (1 - BETA2**t)).sqrt() + 1e-8)
    return weight


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_weights_move_by_the_formulas_whatever_their_layout(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 8, 3).to(memory_format=layout)  # type: ignore[call-overload]
    weight = network.weight.detach().double()
    gradients = []
    optimizer = Adam(network, LR, (BETA1, BETA2))
    for _ in range(5):
        network(torch.randn(4, 3, 8, 8)).square().mean().backward()
        gradients.append(network.weight.grad.double())
        optimizer.step()
        optimizer.zero_grad()
    assert network.weight.grad is None
    assert (network.weight - moved(weight, gradients)).abs().max() < 1e-7


def test_weights_without_a_gradient_stay() -> None:
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    weight = network.get_parameter("1.weight")
    before = weight.clone()
    optimizer = Adam(network, LR, (BETA1, BETA2))
    network[0](torch.ones(2)).sum().backward()
    optimizer.step()
    assert torch.equal(weight, before)
    assert optimizer.state[weight]["step"] == 0

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.networks.spectral import iterate, normalised


def largest(weight: Tensor) -> float:
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2))


@pytest.mark.parametrize("layer", [nn.Linear(12, 7), nn.Conv2d(3, 8, 4)])
def test_largest_singular_value_is_one(layer: nn.Linear | nn.Conv2d) -> None:
    original = layer.weight.detach().clone()
    normalised(layer)
    for _ in range(100):
        iterate([layer])
    torch.testing.assert_close(layer.weight, original / largest(original), rtol=1e-4, atol=1e-5)


def test_passes_do_not_move_the_iteration() -> None:
    layer = normalised(nn.Linear(12, 7))
    state = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    x = torch.randn(4, 12)
    assert torch.equal(layer(x), layer(x))
    assert all(torch.equal(tensor, state[name]) for name, tensor in layer.state_dict().items())


# With u and v constant, the derivative of W / (u^T W v) is that of the paper's equation 11.
def test_gradient_has_no_part_along_the_first_singular_vectors() -> None:
    layer = nn.Linear(12, 7, bias=False)
    original = layer.weight
    normalised(layer)
    for _ in range(200):
        iterate([layer])
    towards = torch.randn(7, 12)
    (layer.weight * towards).sum().backward()  # type: ignore[no-untyped-call]
    left, values, right = torch.linalg.svd(original.detach())
    first = torch.outer(left[:, 0], right[0])
    unit = original.detach() / values[0]
    torch.testing.assert_close(
        original.grad, (towards - (towards * unit).sum() * first) / values[0], rtol=1e-3, atol=1e-4
    )

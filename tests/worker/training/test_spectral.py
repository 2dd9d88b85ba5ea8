from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.config.requests import ConfigError
from models.networks import build
from models.networks.spectral import iterate, normalised
from tests.worker.training.tiny import tiny
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.rounds import run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig


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


@pytest.mark.parametrize("preset", ["mlp-mnist", "dcgan-28", "quick-28"])
def test_every_layer_of_a_discriminator_is_normalised_where_it_is_asked_for(preset: str) -> None:
    network = build(tiny(preset, discriminator__spectral_norm=True)).discriminator
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding)]
    for _ in range(300):
        iterate([network])
    assert layers
    assert [largest(layer.weight) for layer in layers] == pytest.approx([1] * len(layers), abs=0.02)
    plain = build(tiny(preset)).discriminator
    assert not any("parametrizations" in name for name in plain.state_dict())


def test_weights_that_begin_at_zero_cannot_be_normalised() -> None:
    with pytest.raises(ConfigError, match="begin at zero"):
        tiny("r3gan-32", discriminator__spectral_norm=True)


def test_a_training_with_spectral_normalisation_moves_it(digits: Prepared) -> None:
    config = tiny("quick-28", discriminator__spectral_norm=True)
    state = TrainingState(config, Loader(digits, config.batch_size, 0, torch.device("cpu")), torch.device("cpu"))
    first = {n: t.clone() for n, t in state.modules["discriminator"].state_dict().items() if n.endswith(".u")}
    run_round(state, StepConfig.of(config, state, "fp32", 1000))
    assert any(not torch.equal(t, state.modules["discriminator"].state_dict()[n]) for n, t in first.items())

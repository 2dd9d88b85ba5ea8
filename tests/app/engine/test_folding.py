"""Folding and fusing change how a generator computes, never what."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from app.engine.folding import FusedConvTranspose, FusedLinear, fold, fuse, has_onednn
from models.config.networks import GeneratorConfig
from models.inference import to_tensors
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, random_inputs, tiny_generator


def outputs(module: nn.Module, config: GeneratorConfig, count: int) -> torch.Tensor:
    inputs = random_inputs(config, count)
    arguments = to_tensors(inputs, torch.device("cpu"))
    with torch.inference_mode():
        made: torch.Tensor = module(*arguments)
    return made


def settled(config: GeneratorConfig) -> nn.Module:
    """Return a generator whose batch normalisations have seen batches, so that folding has something to do."""
    generator = tiny_generator(config, 1).train()
    for _ in range(4):
        outputs(generator, config, 16)
    return generator.eval()


def kinds(module: nn.Module) -> set[type[nn.Module]]:
    return {type(part) for part in module.modules()}


@pytest.mark.parametrize("config", [TINY_DCGAN, TINY_CONDITIONAL, TINY_MLP])
def test_a_folded_generator_gives_the_same_images(config: GeneratorConfig) -> None:
    generator = settled(config)
    folded = fold(copy.deepcopy(generator))
    assert nn.BatchNorm2d not in kinds(folded)
    torch.testing.assert_close(outputs(folded, config, 9), outputs(generator, config, 9), rtol=0, atol=1e-4)


def test_a_normalisation_with_nothing_before_it_to_fold_into_stays() -> None:
    network = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1)).eval().requires_grad_(False)
    x = torch.randn(2, 3, 4, 4)
    folded = fold(copy.deepcopy(network))
    assert nn.BatchNorm2d in kinds(folded)
    assert torch.equal(folded(x), network(x))


@pytest.mark.skipif(not has_onednn(), reason="torch was built without oneDNN")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("config", [TINY_DCGAN, TINY_CONDITIONAL, TINY_MLP])
def test_a_fused_generator_gives_the_same_images_at_any_batch(config: GeneratorConfig, dtype: torch.dtype) -> None:
    plain = fold(settled(config)).to(dtype)
    fused = fuse(copy.deepcopy(plain), 8)
    assert kinds(fused) & {FusedLinear, FusedConvTranspose}
    assert nn.ReLU not in kinds(fused)
    for count in (8, 1, 3):
        inputs = random_inputs(config, count)
        each = to_tensors(inputs, torch.device("cpu"))
        arguments = [tensor.to(dtype) if tensor.is_floating_point() else tensor for tensor in each]
        with torch.inference_mode():
            torch.testing.assert_close(fused(*arguments), plain(*arguments), rtol=0, atol=0.02)

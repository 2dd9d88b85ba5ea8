from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.layers import Flatten, Unflatten


def is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def test_features_get_the_layout_of_convolutions_while_training_only() -> None:
    layer, x = Unflatten(1, (3, 4, 5)), torch.randn(2, 60)
    plain = nn.Unflatten(1, (3, 4, 5))(x)
    assert torch.equal(layer(x), plain)
    assert is_channels_last(layer(x))
    assert layer.eval()(x).is_contiguous()


def test_gradients_of_features_have_their_layout_and_the_same_values() -> None:
    images = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    weights = torch.randn(2, 60)
    seen: list[Tensor] = []
    for layer in (nn.Flatten(), Flatten()):
        features = images.clone().requires_grad_() * 2
        flat = layer(features)
        features.register_hook(seen.append)  # type: ignore[no-untyped-call]
        (flat * weights).sum().backward()
    assert torch.equal(*seen)
    assert [is_channels_last(gradient) for gradient in seen] == [False, True]


def test_gradients_can_be_differentiated_through_it() -> None:
    images = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
    (gradient,) = torch.autograd.grad(Flatten()(images.sin()).square().sum(), images, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), images)
    torch.testing.assert_close(second, 2 * (2 * images).cos())

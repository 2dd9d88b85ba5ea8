"""The trained and the random layers of a projected discriminator (Sauer et al. 2021, arXiv 2111.01007)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from models.config.projection import Scale, scales
from models.config.sections import Projected
from models.networks.spectral import normalised

_SLOPE = 0.2


class Mixing(nn.Module):
    """Random projections that are never trained: 1x1 within each scale, then 3x3 from coarse to fine (section 3.2).

    Args:
        config: its `strides` are those of the features.
    """

    def __init__(self, config: Projected) -> None:
        super().__init__()
        each = scales(config)
        self.count = len(each)
        for number, scale in enumerate(each):
            # Buffers: drawn from the run's seed, kept in checkpoints, and without gradients.
            self.register_buffer(f"channels_{number}", _kaiming(scale.mixed, scale.frozen, 1))
            self.register_buffer(f"scales_{number}", _kaiming(scale.outputs, scale.mixed, 3))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Mix features, fine to coarse; each comes out at its own side."""
        mixed: list[Tensor] = []
        for number in reversed(range(self.count)):
            x = conv2d(features[number], self.get_buffer(f"channels_{number}"))
            if mixed:
                x = x + interpolate(mixed[-1], scale_factor=2, mode="bilinear", align_corners=False)
            mixed.append(conv2d(x, self.get_buffer(f"scales_{number}"), padding=1))
        return mixed[::-1]


class Heads(nn.Module):
    """A small discriminator for each scale of mixed features, to logits `[N, positions]` of each."""

    def __init__(self, config: Projected) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(scale) for scale in scales(config))

    def forward(self, mixed: Sequence[Tensor]) -> list[Tensor]:
        return [head(features) for head, features in zip(self.heads, mixed, strict=True)]


def _head(scale: Scale) -> nn.Module:
    layers: list[nn.Module] = []
    kernel, stride = (4, 2) if scale.halves else (3, 1)
    for before, width in pairwise((scale.outputs, *scale.head)):
        convolution = normalised(nn.Conv2d(before, width, kernel, stride, padding=1))
        layers += [convolution, nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE, inplace=True)]
    return nn.Sequential(*layers, normalised(nn.Conv2d(scale.head[-1], 1, 3, padding=1)), nn.Flatten(1))


# N(0, 2 / fan_in), for features that are about to be rectified (He et al. 2015, arXiv 1502.01852).
def _kaiming(outputs: int, inputs: int, kernel: int) -> Tensor:
    weight = torch.empty(outputs, inputs, kernel, kernel)
    return weight.normal_(0.0, (2.0 / (inputs * kernel**2)) ** 0.5)

"""The generator of FastGAN (Liu et al. 2021, arXiv 2101.04775): doubling convolutions, skip-layer excitation."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.config.values import ImageShape
from models.families.fastgan import BASE, FastganGenerator
from models.networks.layers import Embedded, Tanh, Unflatten


class Generator(nn.Module):
    """Stages from the base square to the image, each a sequence of layers.

    Attributes:
        excitations: by the number of the stage whose channels they scale.
    """

    def __init__(self, network: FastganGenerator, shape: ImageShape, inputs: int) -> None:
        super().__init__()
        first, last, base = network.widths[0], network.widths[-1], BASE[shape.height]
        gated = network.activation == "glu"
        linear = nn.Linear(inputs, 2 * first * base**2, bias=False)
        _normal(linear.weight, 1.0)
        stem = nn.Sequential(linear, Unflatten(1, (2 * first, base, base)), nn.BatchNorm2d(2 * first), nn.GLU(dim=1))
        stages = [stem]
        for before, width in pairwise(network.widths[:-1]):
            stages.append(nn.Sequential(nn.Upsample(scale_factor=2), *_convolution(before, width, gated)))
        end: list[nn.Module] = []
        if len(network.widths) > 1:
            # Bilinear, and narrow at full resolution: nearest pixels or a pixel shuffle would leave their grid.
            end += [*_convolution(network.widths[-2], last, gated), nn.Upsample(scale_factor=2, mode="bilinear")]
            end += _convolution(last, last, gated)
        self.stages = nn.ModuleList(stages)
        self.excitations = nn.ModuleDict(
            {
                str(stage): _excitation(network.widths[source], network.widths[stage], base << source)
                for stage, source in network.excited()
            }
        )
        self._sources = dict(network.excited())
        pixels = nn.Conv2d(last, shape.channels, 3, padding=1)
        _normal(pixels.weight, 1.0)
        _zero(pixels.bias)
        self.end = nn.Sequential(*end, pixels, Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Return images `[N, C, H, W]` in [-1, 1] of latents `[N, dim]`."""
        found: list[Tensor] = []
        x = z
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in self._sources:
                x = x * self.excitations[str(number)](found[self._sources[number]])
            found.append(x)
        images: Tensor = self.end(x)
        return images


def generator(network: FastganGenerator, shape: ImageShape, inputs: int, classes: int) -> nn.Module:
    """Build a generator; with `classes` it takes int64 labels `[N]` beside the latents."""
    plain = Generator(network, shape, inputs)
    return Embedded(classes, plain) if classes else plain


# Normalisation subtracts any bias, so the convolution has none.
def _convolution(inputs: int, outputs: int, gated: bool) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, 2 * outputs if gated else outputs, 3, padding=1, bias=False)
    # Half of the variance is lost in ReLU; batch normalisation makes up for what GLU loses.
    _normal(layer.weight, 1.0 if gated else 2.0)
    activation = nn.GLU(dim=1) if gated else nn.ReLU(inplace=True)
    return [layer, nn.BatchNorm2d(layer.out_channels), activation]


# Scales in (0, 1), `[N, outputs, 1, 1]`, of the features of a lower resolution.
def _excitation(inputs: int, outputs: int, side: int) -> nn.Sequential:
    pooled = nn.AdaptiveAvgPool2d(4)
    squeeze, excite = nn.Conv2d(inputs, outputs, 4), nn.Conv2d(outputs, outputs, 1)
    for layer in (squeeze, excite):
        _normal(layer.weight, 1.0)
        _zero(layer.bias)
    # A square of 4 x 4 is one already.
    layers = [squeeze, nn.SiLU(), excite, nn.Sigmoid()]
    return nn.Sequential(*layers) if side == 4 else nn.Sequential(pooled, *layers)


# In place N(0, variance / fan_in); on the meta device there is nothing to fill.
@torch.no_grad()
def _normal(weight: Tensor, variance: float) -> None:
    if not weight.is_meta:
        weight.normal_(0.0, (variance / weight[0].numel()) ** 0.5)


@torch.no_grad()
def _zero(bias: Tensor | None) -> None:
    if bias is not None and not bias.is_meta:
        bias.zero_()

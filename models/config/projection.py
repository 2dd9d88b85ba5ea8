"""Arithmetic of the projected discriminator: channels, weights and work, without torch."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

from models.config.sections import Projected
from models.families.spec import Work, convolution, total

# EfficientNet-Lite0: channels at each stride; multiplications and values for each input pixel, from the stem to there.
FROZEN_CHANNELS: Final = {4: 24, 8: 40, 16: 112, 32: 320}
_FROZEN_PRODUCTS = {4: 1511, 8: 2267, 16: 4848, 32: 7251}
_FROZEN_VALUES = {4: 71, 8: 91, 16: 120, 32: 133}
_GROWTH = (1, 1, 2, 4)  # of mixed channels, from the finest scale to the coarsest
_FIRST, _WIDEST, _FLAT = 64, 256, 128  # channels in the heads
_LAST_SIDE = 4


class Scale(NamedTuple):
    """One scale of frozen features: its channels, those mixed into it and out of it, its side, and its head."""

    frozen: int
    mixed: int
    outputs: int
    side: int
    head: tuple[int, ...]

    @property
    def halves(self) -> bool:
        """Whether the convolutions of its head halve the side, down to 4."""
        return self.side > _LAST_SIDE


def scales(config: Projected) -> list[Scale]:
    """Return the scales, from fine to coarse."""
    mixed = [config.channels * growth for growth, _ in zip(_GROWTH, config.strides, strict=False)]
    # Mixed from coarse to fine: each scale leaves with the channels of the next finer one.
    outputs = [mixed[0], *mixed[:-1]]
    sides = [config.input_size // stride for stride in config.strides]
    frozen = [FROZEN_CHANNELS[stride] for stride in config.strides]
    return [Scale(f, m, o, s, _head(s)) for f, m, o, s in zip(frozen, mixed, outputs, sides, strict=True)]


# Channels after each convolution of a head but the last.
def _head(side: int) -> tuple[int, ...]:
    if side <= _LAST_SIDE:
        return (_FLAT,)
    halvings = (side - 1).bit_length() - (_LAST_SIDE - 1).bit_length()
    return tuple(min(_FIRST << index, _WIDEST) for index in range(halvings))


def parameters(config: Projected) -> int:
    """Count the weights that are trained: those of the heads."""
    count = 0
    for scale in scales(config):
        kernel = 16 if scale.halves else 9
        # Weights, a bias, then gain and shift of batch normalisation; then one logit.
        count += sum((kernel * a + 3) * b for a, b in pairwise((scale.outputs, *scale.head)))
        count += 9 * scale.head[-1] + 1
    return count


def frozen_work(config: Projected) -> Work:
    """Count the work of a pass through the frozen network and the mixing, for one image."""
    pixels, last = config.input_size**2, config.strides[-1]
    layers = [Work(_FROZEN_PRODUCTS[last] * pixels, _FROZEN_VALUES[last] * pixels)]
    for scale in scales(config):
        area = scale.side**2
        layers += [convolution(scale.frozen, scale.mixed, area), convolution(scale.mixed, scale.outputs, area, 3)]
    return total(layers)


def head_work(config: Projected) -> Work:
    """Count the work of a pass through the heads, for one image."""
    layers = []
    for scale in scales(config):
        side, kernel = scale.side, 4 if scale.halves else 3
        for a, b in pairwise((scale.outputs, *scale.head)):
            side = side // 2 if scale.halves else side
            layers.append(convolution(a, b, side**2, kernel))
        layers.append(convolution(scale.head[-1], 1, side**2, 3))
    return total(layers)

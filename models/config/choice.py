"""Choice of a preset for a data set, on a known device or on one that is not known yet."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple

from models.config.presets import Preset, load

# A discriminator soon memorises data sets of up to this many images.
FEW: Final = 2000

DeviceKind = Literal["cpu", "cuda"]


class Suggestion(NamedTuple):
    """A preset, what to override of it, and why, as a phrase."""

    preset: Preset
    overrides: Mapping[str, Any] = MappingProxyType({})
    because: str = ""


# A rule: the preset for some sizes, a kind of device, few images or many, and a number of channels; None is any.
class _Rule(NamedTuple):
    preset: str
    sizes: tuple[int, ...]
    because: str
    kind: DeviceKind | None = None
    few: bool | None = None
    channels: int | None = None
    overrides: Mapping[str, Any] = MappingProxyType({})

    def holds(self, size: int, channels: int, count: int, kind: DeviceKind) -> bool:
        return (
            size in self.sizes
            and self.kind in (None, kind)
            and self.few in (None, count <= FEW)
            and self.channels in (None, channels)
        )


_HALF_AS_WIDE: Final = MappingProxyType(
    {
        "generator.network.widths": [256, 128, 64, 32],
        "discriminator.network.widths": [32, 64, 128, 256],
    }
)
_FOR_FEW = "it is made for a few images, which others learn by heart"
_FOR_COLOUR = "on colour images it learns most per minute, from hundreds of images on"
_FOR_CPU = "small convolutional networks are what a CPU can train"
_FOR_GPU = "a GPU affords residual networks, which train steadily"
# The first rule that holds decides.
_RULES: Final = (
    _Rule("photos-32", (28, 32), _FOR_COLOUR, "cpu", channels=3),
    _Rule("photos-64", (64,), _FOR_COLOUR, "cpu", channels=3),
    _Rule("photos-128", (128, 256), _FOR_COLOUR, "cpu", channels=3),
    # Few images first: memorisation matters more than the device.
    _Rule("photos-64", (64,), _FOR_FEW, few=True, channels=3),
    _Rule("photos-128", (128,), _FOR_FEW, few=True, channels=3),
    _Rule("photos-256", (256,), _FOR_FEW, few=True, channels=3),
    _Rule("small-data-64", (64,), _FOR_FEW, few=True),
    _Rule("small-data-128", (128, 256), _FOR_FEW, few=True),
    _Rule("quick-28", (28, 32), "its networks see patches of pixels, which a CPU trains in minutes", "cpu", channels=1),
    _Rule("dcgan-28", (28,), _FOR_CPU, "cpu"),
    _Rule("dcgan-32", (32,), _FOR_CPU, "cpu"),
    # Here the device is a GPU: rules for a CPU hold before.
    _Rule("dcgan-28", (28,), "a few images need small networks", few=True),
    _Rule("dcgan-32", (32,), "a few images need small networks", few=True),
    _Rule(
        "dcgan-64",
        (64, 128, 256),
        "convolutional networks, at half their widths, are what a CPU can train",
        "cpu",
        overrides=_HALF_AS_WIDE,
    ),
    _Rule("r3gan-28", (28,), _FOR_GPU, "cuda"),
    _Rule("r3gan-32", (32,), _FOR_GPU, "cuda"),
    _Rule("r3gan-64", (64,), _FOR_GPU, "cuda"),
    _Rule("r3gan-128", (128, 256), _FOR_GPU, "cuda"),
)
_SIZES: Final = sorted({size for rule in _RULES for size in rule.sizes})


def suggest_preset(size: int, channels: int, count: int, kind: DeviceKind | None = None) -> Suggestion | None:
    """Return a preset for `count` images of `size` pixels on each side.

    Args:
        size: at least 28 on a known device; below a size with rules, the next lower one decides.
        kind: of the device; None if unknown: presets then define for which images they are proposed.

    Returns:
        None only if no preset is proposed for images of exactly this size.
    """
    if kind is None:
        return _proposed(size, channels, count)
    nearest = max(known for known in _SIZES if known <= size)
    rule = next(rule for rule in _RULES if rule.holds(nearest, channels, count, kind))
    return Suggestion(load()[rule.preset], rule.overrides, rule.because)


def _proposed(size: int, channels: int, count: int) -> Suggestion | None:
    fitting = {
        preset.proposed.most_images or math.inf: preset
        for preset in load().values()
        if preset.proposed and preset.training["size"] == size and preset.proposed.suits(channels, count)
    }
    # The preset that is made for the fewest images, among those that fit.
    return Suggestion(fitting[min(fitting)]) if fitting else None

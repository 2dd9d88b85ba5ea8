"""Codes of real images as latents, and the generator's distance to those images.

In a few hundred steps layout and variety do not come out of an adversarial gradient alone: half of the images have a
partner that says what they should look like, and both discriminators see to their texture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d

from models.config.sections import Codes
from models.config.values import ImageShape
from models.networks.rows import Rows
from worker.frozen.efficientnet import EfficientNet
from worker.training.methods.method import StepState, Terms
from worker.training.methods.projected import ProjectedObjective

DEEPEST: Final = 32  # stride of the features in codes
_WIDTH = 320  # channels there
_SIDE = 16  # of the averaged pixels in codes
_LEVELS = 512  # of the distribution of each component
_PIXELS = 4.0  # weight of the distance of pixels


class Encoder(nn.Module):
    """Principal components of an image's description, each made N(0, 1) by its rank in the data set.

    Attributes:
        variances: of the mixed features of each scale in the data set.
    """

    mean: Tensor
    components: Tensor
    levels: Tensor
    variances: Tensor

    def __init__(self, shape: ImageShape, dim: int, scales: int) -> None:
        super().__init__()
        width = _SIDE**2 * shape.channels + _WIDTH
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("components", torch.zeros(width, dim))
        # Quantiles of each component: at level i of n the share (i + 0.5) / n of the data set lies below.
        self.register_buffer("levels", torch.zeros(dim, _LEVELS))
        self.register_buffer("variances", torch.ones(scales))

    def encode(self, descriptions: Tensor) -> Tensor:
        """Return codes `[n, dim]` of descriptions `[n, width]`."""
        # In bf16 neighbours would share their ranks.
        with torch.autocast(descriptions.device.type, enabled=False):
            values = ((descriptions - self.mean) @ self.components).t().contiguous()
        above = torch.searchsorted(self.levels, values).clamp_(1, _LEVELS - 1)
        low, high = self.levels.gather(1, above - 1), self.levels.gather(1, above)
        between = ((values - low) / (high - low).clamp_min(1e-12)).clamp_(-0.45, 1.45)
        share = ((above - 0.5 + between) / _LEVELS).clamp_(0.05 / _LEVELS, 1 - 0.05 / _LEVELS)
        return (torch.erfinv(2 * share - 1) * 2**0.5).t()

    def fit(self, descriptions: Tensor) -> None:
        """Fit the components to descriptions of a data set, `[N, width]`."""
        pixels = descriptions.shape[1] - _WIDTH
        self.mean.copy_(descriptions.mean(0))
        centred = descriptions - self.mean
        # Pixels and features count alike.
        blocks = (centred[:, :pixels], centred[:, pixels:])
        scale = torch.cat([1 / block.square().sum(1).mean().sqrt().expand(block.shape[1]) for block in blocks])
        scaled = (centred * scale).double()
        _, vectors = torch.linalg.eigh(scaled.t() @ scaled)
        # The largest first; a sign for each, as the decomposition leaves it open.
        chosen = vectors.flip(1)[:, : self.components.shape[1]].float()
        chosen *= torch.sign(chosen.gather(0, chosen.abs().argmax(0, keepdim=True)))
        self.components.copy_(scale[:, None] * chosen)
        values = (centred @ self.components).sort(0).values
        shares = (torch.arange(_LEVELS, device=values.device) + 0.5) / _LEVELS
        self.levels.copy_(values[(shares * len(values)).long()].t())


@dataclass(frozen=True)
class CodesObjective:
    """The part of codes in a step: rows of even number in the whole batch are generated from codes."""

    config: Codes
    projected: ProjectedObjective
    real: Tensor
    rows: Rows

    def in_place_of(self, z: Tensor) -> Tensor:
        """Replace latents of every second row by the codes of the real images in these rows."""
        mixed = z.clone()
        mixed[self._first :: 2] = _encoder(self.projected.state).encode(self._described[0])
        return mixed

    def generator(self, fake: Tensor) -> Terms:
        """min over G: 4 E|G(code(x)) - x| + features x sum over scales of E[(P_l(G(code(x))) - P_l(x))^2] / var P_l."""
        ours, theirs, pool = fake[self._first :: 2], self._partners, self.config.pool
        distance = _PIXELS * (avg_pool2d(ours, pool) - avg_pool2d(theirs, pool)).abs().flatten(1).mean(1)
        if self.config.features:
            variances = _encoder(self.projected.state).variances
            for ours_l, theirs_l, variance in zip(self.projected.P(ours), self._described[1], variances, strict=True):
                square = (ours_l.float() - theirs_l.float()).square().flatten(1).mean(1)
                distance = distance + self.config.features * square / variance
        # By the whole share of rows, so that slices of unequal size add up.
        return {"loss_codes": distance.sum() / (len(self.real) / 2)}

    @property
    def _first(self) -> int:
        return self.rows.start % 2

    @property
    def _partners(self) -> Tensor:
        return self.real[self._first :: 2]

    @cached_property
    def _described(self) -> tuple[Tensor, list[Tensor]]:
        return describe(self.projected, self._partners)


@torch.no_grad()
def describe(projected: ProjectedObjective, images: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Return descriptions of images, averaged pixels and features `[n, width]`, and their mixed features."""
    state, config = projected.state, projected.config
    network = cast(EfficientNet, state.frozen["features"])
    strides = tuple(dict.fromkeys((*config.strides, DEEPEST)))
    with state.autocast():
        features = network.features(images, strides, config.input_size)
        mixed: list[Tensor] = state.modules["mixing"](features[: len(config.strides)])
    pixels = adaptive_avg_pool2d(images, _SIDE).flatten(1)
    return torch.cat((pixels, features[-1].float().mean((2, 3))), 1), mixed


@torch.no_grad()
def fit(projected: ProjectedObjective, images: Iterable[Tensor]) -> None:
    """Fit the encoder to the images of a data set, float batches in [-1, 1]."""
    encoder, descriptions, moments = _encoder(projected.state), list[Tensor](), list[Tensor]()
    for batch in images:
        description, mixed = describe(projected, batch)
        descriptions.append(description)
        moments.append(torch.stack([torch.stack((m.float().mean(), m.float().square().mean())) for m in mixed]))
    encoder.fit(torch.cat(descriptions))
    mean, square = torch.stack(moments).mean(0).unbind(1)
    encoder.variances.copy_((square - mean.square()).clamp_min(1e-6))


def _encoder(state: StepState) -> Encoder:
    return cast(Encoder, state.modules["codes"])

"""What the two networks minimise, as functions of logits; `worker.training.steps` applies them.

Everything is computed on logits, never on probabilities: a saturated sigmoid under `BCELoss` has a gradient of exactly
zero, softplus has not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.nn.functional import softplus

from models.config import Loss


@dataclass(frozen=True)
class Objective:
    """A pair of losses, each the mean over a batch of logits, as a scalar.

    Attributes:
        real: what the discriminator minimises on real images.
        fake: what the discriminator minimises on generated images, added to `real`.
        generator: what the generator minimises on its own images.
        has_probabilities: whether the sigmoid of a logit is the discriminator's probability of "real".
        balanced: the values of `real + fake` and of `generator` where neither network can tell more.
    """

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    has_probabilities: bool
    balanced: tuple[float, float]


def cross_entropy_real(logits: Tensor) -> Tensor:
    """Give -log D(x)."""
    return softplus(-logits).mean()


def cross_entropy_fake(logits: Tensor) -> Tensor:
    """Give -log(1 - D(G(z)))."""
    return softplus(logits).mean()


def saturating(logits: Tensor) -> Tensor:
    """Give log(1 - D(G(z))), which the generator of the minimax game minimises (arXiv 1406.2661, eq. 1)."""
    return -softplus(logits).mean()


def _half_square_from(target: float) -> Callable[[Tensor], Tensor]:
    """Make half the mean squared distance from `target` (arXiv 1611.04076, eq. 9, with a=0, b=c=1)."""

    def loss(outputs: Tensor) -> Tensor:
        return 0.5 * (outputs - target).square().mean()

    return loss


_LN2 = math.log(2)

OBJECTIVES: Final[dict[Loss, Objective]] = {
    "non_saturating": Objective(
        cross_entropy_real, cross_entropy_fake, cross_entropy_real, has_probabilities=True, balanced=(2 * _LN2, _LN2)
    ),
    "minimax": Objective(
        cross_entropy_real, cross_entropy_fake, saturating, has_probabilities=True, balanced=(2 * _LN2, -_LN2)
    ),
    "least_squares": Objective(
        _half_square_from(1.0),
        _half_square_from(0.0),
        _half_square_from(1.0),
        has_probabilities=False,
        balanced=(0.25, 0.125),
    ),
}

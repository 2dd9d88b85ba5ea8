"""What the two networks minimise, as functions of logits; `worker.training.methods.adversarial` applies them.

Everything is computed on logits, never on probabilities: a saturated sigmoid under `BCELoss` has a gradient of exactly
zero, softplus has not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import Tensor
from torch.nn.functional import relu, softplus

from models.config.training import Loss


@dataclass(frozen=True)
class Objective:
    """A pair of losses, each the mean over a batch of logits, as a scalar.

    Attributes:
        real: what the discriminator minimises on real images.
        fake: what the discriminator minimises on generated images, added to `real`.
        generator: what the generator minimises on its own images.
        has_probabilities: whether the sigmoid of a logit is the discriminator's probability of "real".
        balanced: the values of `real + fake` and of `generator` where neither network can tell more; None for a
            critic, whose outputs have no zero.
        paired: real and generated images are judged against each other, pair by pair: `real` and `generator` are given
            how much higher the logits of their own images are, and `fake` adds nothing.
    """

    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    has_probabilities: bool
    balanced: tuple[float, float] | None
    paired: bool = False


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


def _hinge_real(outputs: Tensor) -> Tensor:
    """Give max(0, 1 - D(x)) (Lim and Ye 2017, arXiv 1705.02894)."""
    return relu(1.0 - outputs).mean()


def _hinge_fake(outputs: Tensor) -> Tensor:
    """Give max(0, 1 + D(G(z)))."""
    return relu(1.0 + outputs).mean()


def _raised(outputs: Tensor) -> Tensor:
    """Give -D: what is minimised by raising it."""
    return -outputs.mean()


def _lowered(outputs: Tensor) -> Tensor:
    """Give D."""
    return outputs.mean()


def _nothing(outputs: Tensor) -> Tensor:
    """Give 0."""
    return outputs.new_zeros(())


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
    # Both at outputs of 0; the generator's loss can be any number.
    "hinge": Objective(_hinge_real, _hinge_fake, _raised, has_probabilities=False, balanced=(2.0, 0.0)),
    # arXiv 1704.00028, eq. 3, without its penalty: `real + fake` is minus the critic's estimate of the distance.
    "wasserstein": Objective(_raised, _lowered, _raised, has_probabilities=False, balanced=None),
    # arXiv 2501.05441, eq. 2, with f(t) = -log(1 + e^-t).
    "relativistic": Objective(
        cross_entropy_real,
        _nothing,
        cross_entropy_real,
        has_probabilities=False,
        balanced=(_LN2, _LN2),
        paired=True,
    ),
}

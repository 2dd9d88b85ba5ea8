"""Losses of generator and discriminator, as functions of the discriminator's outputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from models.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

# All formulas take logits, never probabilities: a saturated sigmoid under `BCELoss` has a gradient of exactly zero,
# softplus
# has not. Torch is imported where a formula is evaluated, so that configurations need no torch.
_LN2 = math.log(2)


@dataclass(frozen=True)
class Balance:
    """The values of both losses at which neither network can improve on the other.

    Attributes:
        discriminator: the sum of its losses on real and on generated images.
        generator: its loss.
        sentence: both values in words, after "at balance they are".
    """

    discriminator: float
    generator: float
    sentence: str


@dataclass(frozen=True)
class LossSpec:
    """A pair of losses, each the mean over a batch of outputs `[N]`, as a scalar.

    Attributes:
        name: in configurations.
        title, sentence: shown to people.
        real: the discriminator's loss on real images.
        fake: its loss on generated images, added to `real`.
        generator: the generator's loss on its own images.
        balance: the values at equilibrium; None for outputs without a scale, as a critic's.
        has_probabilities: whether the sigmoid of an output is the discriminator's probability of "real".
        paired: whether `real` and `generator` take differences between outputs of their own and of the other images.
        sign_separates: whether real and generated images have outputs of different signs.
        fades: whether the generator's gradient vanishes while the discriminator is ahead.
        bounded_by: the penalty without which the loss has no bound, if any.
    """

    name: str
    title: str
    sentence: str
    real: Callable[[Tensor], Tensor]
    fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    balance: Balance | None
    has_probabilities: bool = False
    paired: bool = False
    # Adaptive augmentation needs this.
    sign_separates: bool = False
    # The guard then acts only on numbers that are not finite.
    fades: bool = False
    bounded_by: str | None = None


LOSSES: Final[Registry[LossSpec]] = Registry("loss")


# Cross-entropy: -log D(x) - log(1 - D(G(z))) with D = sigmoid(logit) (Goodfellow et al. 2014, arXiv 1406.2661, eq. 1).


def cross_entropy_real(logits: Tensor) -> Tensor:
    """-log D(x)."""
    from torch.nn.functional import softplus

    return softplus(-logits).mean()


def cross_entropy_fake(logits: Tensor) -> Tensor:
    """-log(1 - D(G(z)))."""
    from torch.nn.functional import softplus

    return softplus(logits).mean()


def saturating(logits: Tensor) -> Tensor:
    """log(1 - D(G(z))), which the generator of the minimax game minimises."""
    from torch.nn.functional import softplus

    return -softplus(logits).mean()


LOSSES.register(
    LossSpec(
        name="non_saturating",
        title="Non-saturating",
        sentence="Cross-entropy; the generator raises log D(G(z)), whose gradient stays strong while it loses.",
        real=cross_entropy_real,
        fake=cross_entropy_fake,
        generator=cross_entropy_real,
        balance=Balance(2 * _LN2, _LN2, "1.386 (2 ln 2) and 0.693"),
        has_probabilities=True,
        sign_separates=True,
    )
)
LOSSES.register(
    LossSpec(
        name="minimax",
        title="Minimax",
        sentence="Cross-entropy as in the original game; the generator's gradient fades while the discriminator wins.",
        real=cross_entropy_real,
        fake=cross_entropy_fake,
        generator=saturating,
        balance=Balance(2 * _LN2, -_LN2, "1.386 (2 ln 2) and -0.693"),
        has_probabilities=True,
        sign_separates=True,
        fades=True,
    )
)


# Least squares: half the squared distance from 1 and 0 (Mao et al. 2017, arXiv 1611.04076, eq. 9 with a=0, b=c=1).


def _half_square_from(target: float) -> Callable[[Tensor], Tensor]:
    def loss(outputs: Tensor) -> Tensor:
        return 0.5 * (outputs - target).square().mean()

    return loss


LOSSES.register(
    LossSpec(
        name="least_squares",
        title="Least squares",
        sentence="Outputs are pulled to 1 and 0; samples far from the boundary still pull, so the gradient stays.",
        real=_half_square_from(1.0),
        fake=_half_square_from(0.0),
        generator=_half_square_from(1.0),
        balance=Balance(0.25, 0.125, "0.25 and 0.125"),
    )
)


# Hinge: max(0, 1 - D(x)) + max(0, 1 + D(G(z))), and -D(G(z)) (Lim and Ye 2017, arXiv 1705.02894).


def _hinge_real(outputs: Tensor) -> Tensor:
    from torch.nn.functional import relu

    return relu(1.0 - outputs).mean()


def _hinge_fake(outputs: Tensor) -> Tensor:
    from torch.nn.functional import relu

    return relu(1.0 + outputs).mean()


def _minus_mean(outputs: Tensor) -> Tensor:
    return -outputs.mean()


def _mean(outputs: Tensor) -> Tensor:
    return outputs.mean()


LOSSES.register(
    LossSpec(
        name="hinge",
        title="Hinge",
        sentence="The discriminator stops pushing images apart once they are separated by a margin.",
        real=_hinge_real,
        fake=_hinge_fake,
        generator=_minus_mean,
        # Both at outputs of 0; the generator's loss can be any number.
        balance=Balance(2.0, 0.0, "2 and about 0, and D's falls to 0 where every image is outside its margin"),
        sign_separates=True,
    )
)


# Wasserstein: minus the critic's estimate of the distance (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).
LOSSES.register(
    LossSpec(
        name="wasserstein",
        title="Wasserstein",
        sentence="A critic estimates how far generated images are from real ones; it needs the gradient penalty.",
        real=_minus_mean,
        fake=_mean,
        generator=_minus_mean,
        balance=None,
        bounded_by="gradient",
    )
)


# Relativistic pairs: f(D(G(z)) - D(x)) with f(t) = -log(1 + e^-t) (Huang et al. 2024, arXiv 2501.05441, eq. 2).


def _zero(outputs: Tensor) -> Tensor:
    return outputs.new_zeros(())


LOSSES.register(
    LossSpec(
        name="relativistic",
        title="Relativistic pairs",
        sentence="Real and generated images are compared in pairs; steady together with R1 + R2.",
        real=cross_entropy_real,
        fake=_zero,
        generator=cross_entropy_real,
        balance=Balance(_LN2, _LN2, "0.693 (ln 2) each, as in each pair the real image is then only guessed"),
        paired=True,
    )
)

"""How a run is doing, in plain words: a pure function of one tick's means.

Only numbers that are no longer finite count as failing. A run that looks lost early often recovers by itself (the plain
MLP on MNIST shows a discriminator loss of 0.08 at epoch 2 and is well at epoch 100), so all else is told, not acted on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from models.config import Loss
from worker.training.losses import OBJECTIVES
from worker.training.telemetry import Means

Verdict = Literal["healthy", "discriminator_ahead", "generator_ahead", "failed"]

# Where a network counts as ahead: probabilities far from the 0.5 of balance, or a share of the balanced loss.
_SURE, _UNSURE = 0.9, 0.1
_WON, _LOST = 0.2, 1.5


@dataclass(frozen=True)
class Health:
    """A verdict and the reasons for it, each a sentence."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def judge(loss: Loss, means: Means) -> Health:
    """Say which network is ahead.

    At balance D(x) = D(G(z)) = 0.5: the summed cross-entropy of the discriminator is 2 ln 2 = 1.386 and the generator's
    non-saturating loss ln 2 = 0.693 (arXiv 1406.2661, section 4.1); least squares on 0 and 1 gives 0.25 and 0.125. A
    critic's loss has no such value: it says how far apart real and generated images are, on a scale of its own.
    """
    if not all(math.isfinite(value) for value in (means.loss_d, means.loss_g, means.penalty or 0.0)):
        return Health("failed", ("a loss is no longer a finite number",))
    if means.d_real is not None and means.d_fake is not None:
        return _by_probabilities(means.d_real, means.d_fake)
    balanced = OBJECTIVES[loss].balanced
    return _by_distance(-means.loss_d) if balanced is None else _by_loss(means.loss_d, balanced[0])


def _by_probabilities(d_real: float, d_fake: float) -> Health:
    told = f"D(x) is {d_real:.2f} and D(G(z)) is {d_fake:.2f}, where balance is 0.50 for both"
    if d_real > _SURE and d_fake < _UNSURE:
        return Health(
            "discriminator_ahead",
            (f"{told}: the discriminator tells nearly every image apart; early in a run this often passes by itself",),
        )
    if d_fake > d_real and d_fake - d_real > _UNSURE:
        return Health("generator_ahead", (f"{told}: the discriminator prefers generated images to real ones",))
    return Health("healthy")


def _by_distance(distance: float) -> Health:
    if distance < 0:
        return Health(
            "generator_ahead",
            (f"the critic's distance from generated to real images is {distance:.3f}: it prefers the generated ones",),
        )
    return Health("healthy")


def _by_loss(loss_d: float, balanced: float) -> Health:
    told = f"the discriminator's loss is {loss_d:.3f}, where balance is {balanced:.3f}"
    if loss_d < _WON * balanced:
        return Health(
            "discriminator_ahead",
            (f"{told}: it tells nearly every image apart; early in a run this often passes by itself",),
        )
    if loss_d > _LOST * balanced:
        return Health("generator_ahead", (f"{told}: it does worse than by guessing",))
    return Health("healthy")

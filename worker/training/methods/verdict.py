"""Verdicts on an adversarial training: the meaning of the figures of a tick, in words."""

from __future__ import annotations

from models.objectives.losses import Balance, LossSpec
from worker.training.guard.findings import Health

# Nothing acts on these verdicts, the guard has rules of its own: a run that looks lost early often recovers by itself
# (the plain MLP on MNIST has a discriminator loss of 0.08 at epoch 2 and is well at epoch 100).

# Where a network counts as ahead: probabilities far from the 0.5 of balance, or a share of the balanced loss.
_SURE, _UNSURE = 0.9, 0.1
_WON, _LOST = 0.2, 1.5
# Where it is only a little ahead, as a discriminator that teaches is.
_EVEN = 0.8


def judge(loss: LossSpec, figures: dict[str, float | None]) -> Health:
    """Judge the finite figures of a tick, as the method reports them.

    At balance D(x) = D(G(z)) = 0.5: the summed cross-entropy of the discriminator is 2 ln 2 = 1.386 and the generator's
    non-saturating loss ln 2 = 0.693 (arXiv 1406.2661, section 4.1); least squares on 0 and 1 gives 0.25 and 0.125.
    """
    d_real, d_fake = figures["d_real"], figures["d_fake"]
    loss_d, loss_g = figures["loss_d"] or 0.0, figures["loss_g"] or 0.0
    if d_real is not None and d_fake is not None:
        return _by_probabilities(loss, loss_d, loss_g, d_real, d_fake)
    if loss.balance is None:
        # A critic's loss has no value at balance: it measures the distance of real and generated images on a scale of
        # its own.
        return _by_distance(loss_d, loss_g)
    return _by_loss(loss.balance, loss_d, loss_g)


def _by_probabilities(loss: LossSpec, loss_d: float, loss_g: float, d_real: float, d_fake: float) -> Health:
    balance = loss.balance
    assert balance is not None, f"{loss.name} has probabilities, and so a balance"
    summary = (
        f"D takes real images for real at {d_real:.0%} and generated ones at {d_fake:.0%}, its loss is "
        f"{loss_d:.3f} and G's {loss_g:.3f}; at balance these are 50%, 50%, {balance.sentence}"
    )
    reason = f"D(x) is {d_real:.2f} and D(G(z)) is {d_fake:.2f}, where balance is 0.50 for both"
    if d_real > _SURE and d_fake < _UNSURE:
        return _discriminator_ahead(summary, reason)
    if d_fake > d_real and d_fake - d_real > _UNSURE:
        return Health(
            "generator_ahead",
            (f"{reason}: the discriminator prefers generated images to real ones",),
            f"{summary}: D prefers the generated ones, and has to catch up before G can learn from it.",
        )
    return Health("healthy", (), f"{summary}: {_balance(loss_d / balance.discriminator)}.")


def _by_distance(loss_d: float, loss_g: float) -> Health:
    distance = -loss_d
    summary = f"The critic puts real images {distance:.3f} above generated ones, on a scale of its own"
    if distance < 0:
        return Health(
            "generator_ahead",
            (f"the critic's distance from generated to real images is {distance:.3f}: it prefers the generated ones",),
            f"{summary}: it prefers the generated ones, and has to catch up before G can learn from it.",
        )
    return Health(
        "healthy",
        (),
        f"{summary}: the smaller this becomes over a run, the more alike they are; neither it nor G's loss "
        f"({loss_g:.3f}) has a value to rest at.",
    )


def _by_loss(balance: Balance, loss_d: float, loss_g: float) -> Health:
    summary = f"D's loss is {loss_d:.3f} and G's {loss_g:.3f}; at balance they are {balance.sentence}"
    reason = f"the discriminator's loss is {loss_d:.3f}, where balance is {balance.discriminator:.3f}"
    if loss_d < _WON * balance.discriminator:
        return _discriminator_ahead(summary, reason)
    if loss_d > _LOST * balance.discriminator:
        return Health(
            "generator_ahead",
            (f"{reason}: it does worse than by guessing",),
            f"{summary}: D does worse than by guessing, and has to catch up before G can learn from it.",
        )
    return Health("healthy", (), f"{summary}: {_balance(loss_d / balance.discriminator)}.")


# How far a discriminator's loss is from balance, by its share of the balanced loss.
def _balance(share: float) -> str:
    if share < _EVEN:
        return "D is ahead, as it is while G has something to learn from it"
    return "the two are near balance, D can hardly tell the images apart"


def _discriminator_ahead(summary: str, reason: str) -> Health:
    return Health(
        "discriminator_ahead",
        (f"{reason}: the discriminator tells nearly every image apart; early in a run this often passes by itself",),
        f"{summary}: D tells nearly every image apart; early in a run this often passes by itself.",
    )

"""What a training takes by arithmetic on its configuration: operations for an image, and memory."""

from __future__ import annotations

from models.config.training import TrainingConfig
from models.objectives.losses import LOSSES
from models.objectives.penalties import PENALTIES

_BYTES = 4  # of a float32
_COPIES = 4  # weights, gradients, two moments of Adam
_KEPT = 2  # values kept for each that a layer gives, with normalisation and activation: measured 1.8 to 2.8
_BACKWARD = 2  # passes that going back through weights takes: one for them, one for what they were fed


def operations(config: TrainingConfig) -> float:
    """Count floating-point operations for each real image, two for each multiplication; updates are left out.

    A penalty takes a pass more, its gradient and the way back through both, for two images at each step that takes it.
    """
    generator, discriminator = config.generator_config().work().products, config.discriminator_config().work().products
    judging = 2.0 * discriminator * (1 + _BACKWARD)
    if PENALTIES.get(config.penalty.kind).takes_gradients:
        judging += 2 * discriminator * (1 + _BACKWARD) / config.penalty.every
    deceiving = generator * (1 + _BACKWARD) + discriminator * (3 if LOSSES.get(config.loss).paired else 2)
    updates = config.generator.steps / config.discriminator.steps
    return 2 * (generator + judging + deceiving * updates)


def memory_bytes(config: TrainingConfig, count: int) -> int:
    """Bound the bytes that a training's tensors take: weights and what goes with them, `count` images, activations."""
    generator, discriminator = config.generator_config(), config.discriminator_config()
    weights = _COPIES * (generator.parameters() + discriminator.parameters()) + generator.parameters()
    judged = 2 * discriminator.work().values * (2 if PENALTIES.get(config.penalty.kind).takes_gradients else 1)
    made = generator.work().values + discriminator.work().values
    activations = config.batch_size * _KEPT * max(judged, made)
    return _BYTES * (weights + activations) + count * generator.pixels

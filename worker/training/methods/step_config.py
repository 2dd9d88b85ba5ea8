"""What a round needs to know besides the state: the rules of a training, and the settings that move with it.

A round itself is played by `worker.training.methods.adversarial`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Self

import torch
from torch import Tensor

from models.config.sections import Augmentation, DiscriminatorTraining, GeneratorTraining, Penalty
from models.config.training import TrainingConfig
from models.networks.rows import Rows
from models.objectives.losses import LOSSES, LossSpec
from models.objectives.penalties import PENALTIES, PenaltySpec
from worker.training.devices.ranks import ALONE, Ranks
from worker.training.schedule import annealed
from worker.training.state import ema
from worker.training.state.state import TrainingState

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Hyperparameters:
    """What changes from round to round, as numbers; as scalars on the device where a recorded round is replayed."""

    generator_lr: float | Tensor
    generator_beta2: float | Tensor
    discriminator_lr: float | Tensor
    discriminator_beta2: float | Tensor
    penalty_weight: float | Tensor
    augment_p: float | Tensor
    average_keep: float | Tensor


@dataclass(frozen=True)
class StepConfig:
    """What a round needs to know besides the state; `length` is the images in which schedules reach their ends.

    A batch is shared among `ranks`; this one works on its rows in `slices`, one after the other, and adds up what each
    says about the gradients. One process with room enough has one slice, the batch.
    """

    objective: LossSpec
    generator: GeneratorTraining
    discriminator: DiscriminatorTraining
    penalty: Penalty
    augment: Augmentation
    batch: int
    length: int
    average_half_life: float
    average_share: float | None
    joined: bool
    least_rows: int
    conditional: bool
    device_type: str
    precision: Precision
    ranks: Ranks
    slices: tuple[Rows, ...]

    @classmethod
    def of(
        cls,
        config: TrainingConfig,
        state: TrainingState,
        precision: Precision,
        length: int,
        ranks: Ranks = ALONE,
        slices: int = 1,
    ) -> Self:
        """Take the recipe out of a configuration."""
        return cls(
            objective=LOSSES.get(config.loss),
            generator=config.generator,
            discriminator=config.discriminator,
            penalty=config.penalty,
            augment=config.augment,
            batch=config.batch_size,
            length=length,
            average_half_life=config.ema_half_life_kimg * 1000,
            average_share=config.ema_half_life_share,
            # Batch norm has to see real and generated images apart (arXiv 1511.06434): joined, they share statistics.
            # Batch statistics need two images.
            least_rows=2 if _uses_batch_norm(config) else 1,
            joined=not config.discriminator.network.uses_batch_norm,
            conditional=config.conditional,
            device_type=state.device.type,
            precision=precision,
            ranks=ranks,
            slices=tuple(ranks.rows(config.batch_size).sliced(slices)),
        )

    @property
    def penalty_spec(self) -> PenaltySpec:
        """What the penalty is taken of, and its formula."""
        return PENALTIES.get(self.penalty.kind)

    def images(self) -> int:
        """Count the real images of one round."""
        return self.batch * self.discriminator.steps

    def batches(self) -> int:
        """Count the batches of real images that a round takes; those that the generator is judged against included."""
        return self.discriminator.steps + (self.generator.steps if self.objective.paired else 0)

    def penalty_weight(self, images: int) -> float:
        """Give the penalty's weight in the round that begins at `images`."""
        return annealed(self.penalty.weight, self.penalty.weight_end, images / self.length)

    def augment_p(self, images: int) -> float:
        """Give the probability with which changes hit an image in the round that begins at `images`.

        Where it is adapted, that is its limit.
        """
        if self.augment.control == "cosine":
            return annealed(0.0, self.augment.p, images / self.length)
        return self.augment.p

    def hyperparameters(self, state: TrainingState) -> Hyperparameters:
        """Set what changes from round to round for the one that begins now."""
        images, progress, gentle = state.images, state.images / self.length, state.guard
        generator, discriminator = self.generator, self.discriminator
        return Hyperparameters(
            generator_lr=gentle.rate * annealed(generator.lr, generator.lr_end, progress),
            generator_beta2=annealed(generator.betas[1], generator.beta2_end, progress),
            discriminator_lr=gentle.rate * annealed(discriminator.lr, discriminator.lr_end, progress),
            discriminator_beta2=annealed(discriminator.betas[1], discriminator.beta2_end, progress),
            penalty_weight=gentle.penalty * self.penalty_weight(images),
            augment_p=self.augment_p(images),
            average_keep=self.average_keep(images + self.images()),
        )

    def penalised(self, images: int) -> tuple[bool, ...]:
        """Tell which of the discriminator's steps in the round that begins at `images` take a penalty."""
        first = images // self.batch
        return tuple(self.is_penalised(step) for step in range(first, first + self.discriminator.steps))

    def is_penalised(self, step: int) -> bool:
        """Tell whether the discriminator's `step`-th step of the run, from 0, takes a penalty."""
        return self.penalty_spec.takes_gradients and step % self.penalty.every == 0

    def average_keep(self, images: int) -> float:
        """Give the share of the old average that stays at an update in the round that ends at `images`.

        A generator updated several times per round shares the round's images among its updates, so that the average
        forgets at the same rate per image whatever the ratio of steps.
        """
        if self.average_share is None:
            half_life = ema.half_life(self.average_half_life, images)
        else:
            half_life = annealed(0.0, self.average_share * self.length, images / self.length)
        return ema.decay(self.images() / self.generator.steps, half_life)

    def autocast(self) -> AbstractContextManager[object]:
        """Enter the forward passes' precision.

        Enter it anew for every forward pass: it keeps the bf16 copies of the weights that it made, stale ones after an
        optimiser's step, and ones without a gradient after a pass under `no_grad`.
        """
        return torch.autocast(self.device_type, torch.bfloat16, enabled=self.precision == "bf16")


def _uses_batch_norm(config: TrainingConfig) -> bool:
    return config.generator.network.uses_batch_norm or config.discriminator.network.uses_batch_norm

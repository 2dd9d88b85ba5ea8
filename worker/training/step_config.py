"""Configuration of the rounds of a training: method, schedules, precision, ranks and slices."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

import torch

from models.config.resolved import ComputePrecision
from models.config.training import TrainingConfig
from models.networks.rows import Rows
from worker.training.devices.ranks import SINGLE, Ranks
from worker.training.methods.method import Hyperparameters, Method, StepState
from worker.training.schedule import annealed, ema_decay, ema_half_life
from worker.training.state.state import TrainingState


@dataclass(frozen=True)
class StepConfig:
    """The settings of rounds besides the state.

    Attributes:
        batch_size: images of a whole batch, over all ranks.
        conditional: whether networks take labels.
        length: images after which schedules reach their ends.
        ema_half_life: of the averages, in images.
        ema_share: of the run's length; replaces `ema_half_life` if given.
        images_per_round: images that a round adds to the counter.
        least_rows: the fewest rows that a pass can take.
        slices: this rank's rows of a batch, worked on one after the other; their gradients are accumulated.
    """

    method: Method
    batch_size: int
    conditional: bool
    length: int
    ema_half_life: float
    ema_share: float | None
    images_per_round: int
    least_rows: int
    device_type: str
    precision: ComputePrecision
    ranks: Ranks
    slices: tuple[Rows, ...]

    @classmethod
    def of(
        cls,
        config: TrainingConfig,
        state: TrainingState,
        precision: ComputePrecision,
        length: int,
        ranks: Ranks = SINGLE,
        slices: int = 1,
    ) -> Self:
        counted = sum(update.counts_images for update in state.method.updates(0))
        return cls(
            method=state.method,
            batch_size=config.batch_size,
            conditional=config.conditional,
            length=length,
            ema_half_life=config.ema_half_life_kimg * 1000,
            ema_share=config.ema_half_life_share,
            images_per_round=config.batch_size * counted,
            # The variance of a batch needs two rows.
            least_rows=2
            if config.generator.network.uses_batch_norm
            or config.discriminator.network.uses_batch_norm
            or config.projected is not None
            else 1,
            device_type=state.device.type,
            precision=precision,
            ranks=ranks,
            slices=tuple(ranks.rows(config.batch_size).sliced(slices)),
        )

    def hyperparameters(self, state: TrainingState) -> Hyperparameters:
        images, guard = state.images, state.guard
        progress, values = images / self.length, dict[str, float]()
        for name, spec in self.method.optimizers.items():
            values[f"{name}_lr"] = guard.lr_factor * annealed(spec.lr, spec.lr_end, progress)
            values[f"{name}_beta2"] = annealed(spec.betas[1], spec.beta2_end, progress)
        values |= self.method.hyperparameters(images, self.length, guard.penalty_factor)
        return values | {f"{name}_decay": self.decay(name, images + self.images_per_round) for name in state.averages}

    def decay(self, average: str, images: int) -> float:
        """Return the decay of an average at an update in the round that ends at `images`."""
        if self.ema_share is None:
            half_life = ema_half_life(self.ema_half_life, images)
        else:
            half_life = annealed(0.0, self.ema_share * self.length, images / self.length)
        # A module with several updates per round shares the images of the round among them: so its average forgets at
        # the same
        # rate per image, whatever the ratio of steps.
        module = self.method.averages[average]
        updates = [self.method.optimizers[name] for update in self.method.updates(0) for name in update.optimizers]
        return ema_decay(self.images_per_round / sum(module in spec.modules for spec in updates), half_life)

    def step_state(self, state: TrainingState) -> StepState:
        return StepState(state.modules, state.buffers, state.noise, self.batch_size, self.autocast, state.frozen)

    def autocast(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device_type, torch.bfloat16, enabled=self.precision == "bf16")

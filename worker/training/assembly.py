"""Puts a training together, alike on every rank: state, recipe, and the slices that fit into memory."""

from __future__ import annotations

from functools import partial

import torch

from models.config.resolved import Resolved
from models.config.training import TrainingConfig
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.devices import memory
from worker.training.devices.allocator import keep_memory
from worker.training.devices.graphs import by_scalars
from worker.training.devices.ranks import Ranks
from worker.training.devices.sync_batch_norm import synchronise
from worker.training.methods.step_config import StepConfig
from worker.training.resolution import devices_of
from worker.training.state.state import TrainingState, seeds


def configure_torch(resolved: Resolved) -> None:
    """Set what is global: what results depend on, and how memory is kept."""
    torch.set_num_threads(resolved.threads)
    # Adam's moments of units that have died shrink into denormal numbers, which processors are slow to add.
    torch.set_flush_denormal(True)
    keep_memory()


def new_state(config: TrainingConfig, resolved: Resolved, prepared: Prepared, ranks: Ranks) -> TrainingState:
    """Begin a training, on this rank's device."""
    device = devices_of(resolved)[ranks.rank]
    state = TrainingState(config, Loader(prepared, config.batch_size, seeds(config.seed).data, device), device)
    synchronise(state.generator, ranks)
    synchronise(state.discriminator, ranks)
    return state


def share(state: TrainingState, ranks: Ranks) -> None:
    """Let every rank go on from rank 0's state."""
    if ranks.count == 1:
        return
    capture = state.capture()
    values = ranks.tell(capture.values)
    ranks.hand_out(capture.tensors.values())
    if not ranks.leads:
        state.restore(capture.tensors, values)


def fitted(config: TrainingConfig, resolved: Resolved, state: TrainingState, ranks: Ranks) -> tuple[StepConfig, int]:
    """Give the recipe, and the number of slices in it, as few as every rank has the memory for.

    Raises:
        TrainingFailed: one image at a time is too much.
    """
    recipe = partial(StepConfig.of, config, state, resolved.precision, resolved.annealed_images, ranks)
    by = partial(by_scalars, device=state.device) if resolved.recorded else None
    count = memory.slices(state, recipe, ranks, resolved.accumulate, by)
    return recipe(count), count

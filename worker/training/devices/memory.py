"""Memory trial: how many slices a batch needs to fit into the memory of its devices.

The gradients of slices are accumulated; the batch of an update stays the same.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

from worker.training.devices.allocator import OutOfMemory, give_memory_back, translate_oom, within
from worker.training.devices.ranks import SINGLE, Ranks
from worker.training.failure import TrainingFailed
from worker.training.rounds import RunUpdates, run_round
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

_USABLE = 0.9  # of the memory that a machine has available: others want some, too


def fits(state: TrainingState, step_config: StepConfig, ranks: Ranks = SINGLE, run: RunUpdates | None = None) -> bool:
    """Run the heaviest round once (by `run`, if given), undo it, and return whether every rank had enough memory."""
    before = state.copy()
    fitted = True
    try:
        with translate_oom(), ranks.no_sync(), _bounded(state.device, ranks):
            # Tried before the training: an error within a later round leaves half of it, and costs the run its progress
            # since the last checkpoint.
            state.images = 0  # the first step of a run is regularised, if any is
            run_round(state, step_config, run=run)
    except OutOfMemory:
        fitted = False
    # Undo the round: drop gradients and cached memory, then restore the state.
    state.drop_gradients()
    gc.collect()
    if state.device.type == "cuda":
        torch.cuda.empty_cache()
    elif not fitted:
        give_memory_back()
    state.restore(before.tensors, before.values)
    # All ranks must use the same number of slices.
    return not ranks.any(not fitted)


# Makes allocations of a CPU rank fail beyond its share of the machine's memory; those of a GPU fail by themselves.
def _bounded(device: torch.device, ranks: Ranks) -> AbstractContextManager[None]:
    return within(_USABLE / ranks.count) if device.type == "cpu" else nullcontext()


def slices(
    state: TrainingState,
    step_config: Callable[[int], StepConfig],
    ranks: Ranks = SINGLE,
    least: int = 1,
    run: Callable[[StepConfig], RunUpdates] | None = None,
) -> int:
    """Return into how many slices each rank has to cut its rows of a batch: `least`, doubled as often as needed.

    Args:
        step_config: makes the configuration for a number of slices.
        run: makes another way to run rounds than the plain one.

    Raises:
        TrainingFailed: not even the smallest slices fit.
    """
    count = least
    while not fits(state, tried := step_config(count), ranks, run and run(tried)):
        count = finer(state, tried, count)
    return count


def finer(state: TrainingState, step_config: StepConfig, count: int) -> int:
    """Return twice as many slices as `count`, which did not fit.

    Raises:
        TrainingFailed: slices would have less than one image, or less than the two that batch statistics need.
    """
    rows = step_config.ranks.rows(step_config.batch_size).count
    if rows // (2 * count) < step_config.least_rows:
        raise TrainingFailed(
            f"{state.device} has not enough memory for {rows // count} image(s) at a time, and fewer cannot be trained "
            "on: choose smaller networks, or a device with more memory"
        )
    return 2 * count

"""Whether a training's batches fit into the memory of its devices, tried before the training begins.

What does not fit is cut into slices whose gradients are added up: the batch that an update is made of stays. What runs
out of memory later is left as it is, for half of a step is nothing to go on from: the run goes on from its checkpoint.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from worker.training.devices.allocator import give_memory_back, within
from worker.training.devices.ranks import ALONE, Ranks
from worker.training.failure import TrainingFailed
from worker.training.methods.adversarial import Perform, play_round
from worker.training.methods.step_config import StepConfig
from worker.training.state.state import TrainingState

_SIGNS = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
_USABLE = 0.9  # of the memory that a machine has available: others want some, too


class OutOfMemory(Exception):
    """A round found no room; the state is half of one."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there was no memory, on a GPU or in the machine, for what a step needs."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


@contextmanager
def translate_oom() -> Iterator[None]:
    """Raise `OutOfMemory` for an error that means it, and any other as it is."""
    try:
        yield
    except Exception as error:
        if is_out_of_memory(error):
            raise OutOfMemory(str(error).partition("\n")[0]) from error
        raise


def fits(state: TrainingState, recipe: StepConfig, ranks: Ranks = ALONE, by: Perform | None = None) -> bool:
    """Play the heaviest round once, `by` another way than the plain one if one is given; undo it.

    Returns:
        Whether every rank had the memory for it.
    """
    before = state.capture()
    fitted = True
    try:
        with translate_oom(), ranks.apart(), _bounded(state.device, ranks):
            state.images = 0  # the first step of a run takes a penalty, if there is one
            play_round(state, recipe, by=by)
    except OutOfMemory:
        fitted = False
    state.drop_gradients()
    gc.collect()
    if state.device.type == "cuda":
        torch.cuda.empty_cache()
    elif not fitted:
        give_memory_back()
    state.restore(before.tensors, before.values)
    return not ranks.any(not fitted)


def _bounded(device: torch.device, ranks: Ranks) -> AbstractContextManager[None]:
    """Let a CPU's ranks find the end of its memory, each of its share; a GPU tells of its own."""
    return within(_USABLE / ranks.count) if device.type == "cpu" else nullcontext()


def slices(
    state: TrainingState,
    recipe: Callable[[int], StepConfig],
    ranks: Ranks = ALONE,
    least: int = 1,
    by: Callable[[StepConfig], Perform] | None = None,
) -> int:
    """Find into how many slices each rank has to cut its rows of a batch, from `least` on, doubling.

    Raises:
        TrainingFailed: not even the smallest slices fit.
    """
    count = least
    while not fits(state, tried := recipe(count), ranks, by and by(tried)):
        count = finer(state, tried, count)
    return count


def finer(state: TrainingState, recipe: StepConfig, count: int) -> int:
    """Give twice as many slices as `count`, which did not fit.

    Raises:
        TrainingFailed: slices would have less than one image, or less than the two that batch statistics need.
    """
    rows = recipe.ranks.rows(recipe.batch).count
    if rows // (2 * count) < recipe.least_rows:
        raise TrainingFailed(
            f"{state.device} has not the memory for {rows // count} image(s) at a time, and fewer cannot be trained "
            "on: choose smaller networks, or a device with more memory"
        )
    return 2 * count

"""Setup of a training, the same on every rank: global settings of torch, the state, and slices that fit into memory."""

from __future__ import annotations

from functools import partial

import torch
from torchinfo import summary

from models.config.resolved import Resolved
from models.config.training import TrainingConfig
from worker.data.held_out import split
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.devices import memory
from worker.training.devices.allocator import keep_memory
from worker.training.devices.graphs import with_device_scalars
from worker.training.devices.ranks import Ranks
from worker.training.devices.sync_batch_norm import synchronise
from worker.training.methods import create_method
from worker.training.resolution import devices_of
from worker.training.rounds import to_float
from worker.training.state.state import TrainingState, seeds
from worker.training.step_config import StepConfig
from worker.training.transfer import freeze_lower_layers

_FITTED = 20_000  # images, of larger sets the first ones in the run's order


def configure_torch(resolved: Resolved) -> None:
    """Set the global settings of torch on which results and memory allocation depend."""
    torch.set_num_threads(resolved.threads)
    # Adam's moments of dead units shrink to denormal numbers, which CPUs add slowly.
    torch.set_flush_denormal(True)
    keep_memory()


def new_state(config: TrainingConfig, resolved: Resolved, prepared: Prepared, ranks: Ranks) -> TrainingState:
    device = devices_of(resolved)[ranks.rank]
    taught = split(prepared, resolved.held_out).taught if resolved.held_out else None
    data_seed = seeds(config.seed).data
    loader = Loader(prepared, config.batch_size, data_seed, device, mirrored=resolved.mirrored, taught=taught)
    state = TrainingState(config, loader, device)
    for module in state.modules.values():
        synchronise(module, ranks)
    if config.transfer is not None:
        freeze_lower_layers(state, config.transfer.frozen_layers)
    return state


def fit_to_data(config: TrainingConfig, resolved: Resolved, state: TrainingState, count: int) -> None:
    """Fit what the method takes from the whole data set, of `count` images, before the first round of a run."""
    step_config = StepConfig.of(config, state, resolved.precision, resolved.annealed_images)
    batches = -(-min(count, _FITTED) // config.batch_size)
    images = (to_float(state.batches.next().images) for _ in range(batches))
    state.method.fit(step_config.step_state(state), images)
    state.batches.position = 0


def fit_slices(
    config: TrainingConfig, resolved: Resolved, state: TrainingState, ranks: Ranks
) -> tuple[StepConfig, int]:
    """Return the configuration of rounds, and the number of slices: as few as every rank has memory for.

    Raises:
        TrainingFailed: even the smallest slices do not fit.
    """
    step_config = partial(StepConfig.of, config, state, resolved.precision, resolved.annealed_images, ranks)
    run = partial(with_device_scalars, device=state.device) if resolved.recorded else None
    count = memory.slices(state, step_config, ranks, resolved.accumulate, run)
    return step_config(count), count


def describe(config: TrainingConfig) -> str:
    """Return a summary of the modules that are trained, layer by layer."""
    method = create_method(config)
    # Copies on the CPU are run once. On the meta device a layer would import torch's compiler, which takes seconds.
    tables = [
        f"{name}\n{summary(module, input_data=method.example(name), device='cpu', verbose=0)}"
        for name, module in method.build().items()
    ]
    return "\n\n".join(tables)

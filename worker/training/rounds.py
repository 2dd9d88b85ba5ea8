"""One round of a training: the updates of a method, with slices, ranks, gradient norms, sums and averages.

The method computes the losses (`worker.training.methods`); the loop decides when to report, save or stop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from models.networks.layers import set_rows
from models.networks.rows import Rows
from worker.data.loader import Batch
from worker.training.devices.allocator import translate_oom
from worker.training.devices.ranks import Command
from worker.training.methods.method import Hyperparameters, Microbatch, Terms, Update
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

# Rounds of each kind that run eagerly before one is recorded: libraries choose kernels and allocate workspaces.
WARM_UP: Final = 3


@dataclass(frozen=True)
class Round:
    """The work of a round.

    Attributes:
        batches: real images for each update that takes some.
        log_gradients: whether to keep the norms of gradients, as the last update of each optimizer has them.
    """

    updates: tuple[Update, ...]
    batches: Sequence[Batch]
    log_gradients: bool = False


# A way to run the updates of a round: `run_updates`, or another with the same results.
RunUpdates = Callable[[TrainingState, StepConfig, Hyperparameters, Round], None]


def run_round(
    state: TrainingState, config: StepConfig, *, log_gradients: bool = False, run: RunUpdates | None = None
) -> None:
    """Load batches, run the updates of a round (by `run`, if given) and count the images.

    Raises:
        OutOfMemory: memory ran out, and the state is in the middle of the round.
    """
    with translate_oom():
        updates = config.method.updates(state.images)
        batches = [state.batches.next() for update in updates if update.takes_images]
        (run or run_updates)(state, config, config.hyperparameters(state), Round(updates, batches, log_gradients))
        # Counted on the host, also where the updates are replayed.
        state.images += config.images_per_round


def run_commands(state: TrainingState, config: StepConfig) -> None:
    """Run rank 0's commands on another rank, until the end.

    Raises:
        OutOfMemory: this rank ran out of memory in a round.
    """
    while (command := config.ranks.command()) is not Command.END:
        if command is Command.SYNC_STATE:
            state.broadcast(config.ranks)
        else:
            run_round(state, config, log_gradients=command is Command.LOGGED_ROUND)


def run_updates(state: TrainingState, config: StepConfig, hyperparameters: Hyperparameters, work: Round) -> None:
    """Run the updates of a round, without the counter of images."""
    # Settings of this round. From here on nothing is read back from the device, and nothing branches on values there:
    # CUDA graphs record this function.
    for name, optimizer in state.optimizers.items():
        optimizer.set(hyperparameters[f"{name}_lr"], hyperparameters[f"{name}_beta2"])
    batches = iter(work.batches)
    for update in work.updates:
        batch = next(batches) if update.takes_images else None
        with _others_frozen(state, update):
            run_update(state, config, hyperparameters, update, batch, log_gradients=work.log_gradients)
        # Averages of the modules that this update has changed.
        changed = [module for name in update.optimizers for module in config.method.optimizers[name].modules]
        for average, module in config.method.averages.items():
            if module in changed:
                update_average(state.averages[average], state.modules[module], hyperparameters[f"{average}_decay"])


def run_update(
    state: TrainingState,
    config: StepConfig,
    hyperparameters: Hyperparameters,
    update: Update,
    batch: Batch | None,
    *,
    log_gradients: bool = False,
) -> None:
    """Take one optimizer step: losses and gradients of each slice, their mean over all rows, then Adam."""
    step_state, passes = config.step_state(state), list[Terms]()
    for rows in _slices(state, config):
        # The method's maths, then its gradients.
        terms = config.method.step(step_state, _microbatch(config, update, rows, batch), hyperparameters)
        passes.append(_backward(terms, rows.share * config.ranks.count))

    # Mean over all rows of the batch: `backward` has summed over slices already, but not over ranks.
    networks = [state.networks[name] for name in update.optimizers]
    terms = _reduce(config, networks, passes)
    for name, network in zip(update.optimizers, networks, strict=True):
        if log_gradients:
            state.sums.norms[name].copy_(gradient_norm(network))
        # Adam.
        state.optimizers[name].step()
        state.optimizers[name].zero_grad()
    # The method's buffers and the sums for the next tick.
    config.method.after_update(step_state, update, terms)
    state.sums.add(terms)


def _microbatch(config: StepConfig, update: Update, rows: Rows, batch: Batch | None) -> Microbatch:
    if batch is None:
        return Microbatch(update, rows)
    labels = rows.of(batch.labels) if config.conditional and batch.labels is not None else None
    return Microbatch(update, rows, to_float(rows.of(batch.images)), labels)


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 pixels to float32 in [-1, 1]."""
    return images.float().div_(127.5).sub_(1.0)


# Only the modules that the update's optimizers change collect gradients: those of the others would be computed in vain.
@contextmanager
def _others_frozen(state: TrainingState, update: Update) -> Iterator[None]:
    changed = [module for name in update.optimizers for module in state.method.optimizers[name].modules]
    others = [module for name, module in state.modules.items() if name not in changed]
    for module in others:
        module.requires_grad_(False)
    try:
        yield
    finally:
        for module in others:
            module.requires_grad_(True)
        # Layers that the whole run leaves as they are.
        for layer in state.frozen_layers:
            layer.requires_grad_(False)


# Slices of a batch. Each starts from the same random state, draws for the whole batch and takes its own rows.
def _slices(state: TrainingState, config: StepConfig) -> Iterator[Rows]:
    start = state.randomness() if len(config.slices) > 1 else {}
    for number, rows in enumerate(config.slices):
        # So that the number of slices changes no random number.
        if number:
            state.set_randomness(start)
        if rows.count < rows.batch:
            for module in state.modules.values():
                set_rows(module, rows)
        yield rows


# Gradients of a slice, weighted by its share of this rank's rows; returns its terms with the same weight.
def _backward(terms: Terms, share: float) -> Terms:
    loss = terms.pop("loss")
    (loss if share == 1 else share * loss).backward()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        values = torch.stack([value.detach() for value in terms.values()])
        return _named(terms, values if share == 1 else share * values)


# Terms, summed over slices; then terms and the networks' gradients, averaged over ranks.
@torch.no_grad()
def _reduce(config: StepConfig, networks: Sequence[nn.Module], passes: Sequence[Terms]) -> Terms:
    # The usual case needs no work: one slice on one device.
    if len(passes) == 1 and not config.ranks.synchronising:
        return passes[0]
    values = torch.stack([torch.stack(list(terms.values())) for terms in passes]).sum(0)
    if config.ranks.synchronising:
        config.ranks.average([*(gradient for network in networks for gradient in _gradients(network)), values])
    return _named(passes[0], values)


def _named(terms: Terms, values: Tensor) -> Terms:
    return dict(zip(terms, values.unbind(), strict=True))


@torch.no_grad()
def gradient_norm(network: nn.Module) -> Tensor:
    """Compute the L2 norm of all gradients of a network, a scalar on its device."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(_gradients(network))))
    return norm


def _gradients(network: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float | Tensor) -> None:
    """Move the parameters of an average towards those of a network, and copy its buffers."""
    old: list[Tensor] = list(average.parameters())
    new: list[Tensor] = list(network.parameters())
    if isinstance(decay, Tensor):
        # `_foreach_lerp_` takes its weight as a number, which a recorded graph would freeze.
        moves = torch._foreach_sub(new, old)
        torch._foreach_mul_(moves, 1.0 - decay)
        torch._foreach_add_(old, moves)
    else:
        torch._foreach_lerp_(old, new, 1.0 - decay)
    for target, source in zip(average.buffers(), network.buffers(), strict=True):
        # Statistics of batch norm are averages already.
        target.copy_(source)

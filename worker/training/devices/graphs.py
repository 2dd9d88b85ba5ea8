"""Rounds on a GPU as CUDA graphs: recorded once, then launched whole instead of operator by operator.

What changes from round to round lies in fixed places on the device: the real images, and the hyperparameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from worker.data.loader import Batch
from worker.training.failure import CannotContinue
from worker.training.methods.method import Hyperparameters, Update
from worker.training.rounds import WARM_UP, Round, RunUpdates, run_updates
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE


class DeviceHyperparameters:
    """Hyperparameters as scalars on a device that keep their places, for rounds that are recorded once."""

    def __init__(self, step_config: StepConfig, device: torch.device) -> None:
        self._device = device
        self._values: Tensor | None = None
        # The second decay of an optimizer stays a number where no schedule moves it: fused Adam takes nothing else.
        self._fixed = {
            f"{name}_beta2" for name, spec in step_config.method.optimizers.items() if spec.beta2_end is None
        }

    def set(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """Copy numbers to the device, without waiting for it, and return them as scalars there."""
        if self._values is None:
            self._values = torch.zeros(len(hyperparameters), device=self._device)
        # Fresh pinned memory each time: torch uses it again only when the copy is done.
        numbers = torch.tensor(list(hyperparameters.values()), pin_memory=self._device.type == "cuda")
        self._values.copy_(numbers, non_blocking=True)
        scalars: Mapping[str, float | Tensor] = dict(zip(hyperparameters, self._values.unbind(), strict=True))
        return {name: hyperparameters[name] if name in self._fixed else scalars[name] for name in hyperparameters}


def with_device_scalars(step_config: StepConfig, device: torch.device) -> RunUpdates:
    """Run rounds eagerly, but with hyperparameters as scalars on the device, as recorded ones have them."""
    scalars = DeviceHyperparameters(step_config, device)

    def run(state: TrainingState, config: StepConfig, hyperparameters: Hyperparameters, work: Round) -> None:
        run_updates(state, config, scalars.set(hyperparameters), work)

    return run


class Unrecordable(CannotContinue):
    """A round could not be recorded, and random generators are left in the middle of it.

    Only a new process can continue: a generator that took part in a failed recording belongs to it for good
    (pytorch/pytorch issue 171263).
    """


class RecordedRound:
    """One kind of round as a graph, and the images that it reads."""

    def __init__(
        self,
        state: TrainingState,
        step_config: StepConfig,
        hyperparameters: Hyperparameters,
        work: Round,
        stream: torch.cuda.Stream,
        pool: _POOL_HANDLE,
    ) -> None:
        self._batches = [
            Batch(batch.images.clone(), None if batch.labels is None else batch.labels.clone())
            for batch in work.batches
        ]
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(state.noise.generator)
        # Other threads may allocate and copy meanwhile: only this one's calls are restricted.
        with torch.cuda.graph(self._graph, pool, stream, capture_error_mode="thread_local"):
            run_updates(state, step_config, hyperparameters, replace(work, batches=self._batches))

    def replay(self, batches: Sequence[Batch]) -> None:
        """Run the round on these images."""
        for kept, batch in zip(self._batches, batches, strict=True):
            kept.images.copy_(batch.images)
            if kept.labels is not None and batch.labels is not None:
                kept.labels.copy_(batch.labels)
        self._graph.replay()


class GraphRunner:
    """Runs rounds on a GPU: the first ones of each kind eagerly, the others from a recording.

    For whole batches of a single rank: slices and ranks need the host in the middle of a round. Recordings share their
    memory, because they run one after the other and leave nothing there.

    Args:
        step_config: of the training.
        device: where it is.
        log: receives what was recorded.
    """

    def __init__(self, step_config: StepConfig, device: torch.device, log: Callable[[str], None]) -> None:
        self._log = log
        self._scalars = DeviceHyperparameters(step_config, device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._recorded: dict[tuple[tuple[Update, ...], bool], RecordedRound] = {}
        self._eager_rounds: dict[tuple[tuple[Update, ...], bool], int] = {}

    def __call__(
        self, state: TrainingState, step_config: StepConfig, hyperparameters: Hyperparameters, work: Round
    ) -> None:
        """Do a round's work; see `worker.training.rounds.run_updates`.

        Raises:
            Unrecordable: this process cannot continue.
        """
        # Everything that decides which kernels run; numbers lie on the device.
        kind = (work.updates, work.log_gradients)
        current = torch.cuda.current_stream(state.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            scalars = self._scalars.set(hyperparameters)
            recorded = self._recorded.get(kind)
            if recorded is None and self._eager_rounds.get(kind, 0) >= WARM_UP:
                recorded = self._recorded[kind] = self._record(state, step_config, scalars, work)
            if recorded is None:
                self._eager_rounds[kind] = self._eager_rounds.get(kind, 0) + 1
                run_updates(state, step_config, scalars, work)
            else:
                recorded.replay(work.batches)
        current.wait_stream(self._stream)

    def _record(
        self, state: TrainingState, step_config: StepConfig, hyperparameters: Hyperparameters, work: Round
    ) -> RecordedRound:
        """Record a kind of round; recording runs nothing."""
        try:
            recorded = RecordedRound(state, step_config, hyperparameters, work, self._stream, self._pool)
        except RuntimeError as error:
            raise Unrecordable(first_line(error)) from error
        penalty = " with a penalty" if any(update.regularised for update in work.updates) else ""
        self._log(f"recorded a round{penalty}{' before a tick' if work.log_gradients else ''} as a CUDA graph")
        return recorded


def first_line(error: BaseException) -> str:
    """Return why a recording failed: its end fails too, with an error that says nothing."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0] or type(error).__name__

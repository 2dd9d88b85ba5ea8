"""CUDA graphs of rounds: recorded once, then launched whole instead of operator by operator.

Values that change from round to round, real images and hyperparameters, have fixed addresses on the device.
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
    """Hyperparameters as scalars at fixed addresses on a device, which recorded rounds read."""

    def __init__(self, step_config: StepConfig, device: torch.device) -> None:
        self._device = device
        self._values: Tensor | None = None
        # Fused Adam takes its second decay only as a number: it stays one where no schedule changes it.
        self._fixed = {
            f"{name}_beta2" for name, spec in step_config.method.optimizers.items() if spec.beta2_end is None
        }

    def set(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """Copy numbers to the device, without waiting for it, and return them as scalars there."""
        if self._values is None:
            self._values = torch.zeros(len(hyperparameters), device=self._device)
        # Fresh pinned memory each time: torch uses it again only when the copy is done.
        numbers = torch.tensor(list(hyperparameters.values()), pin_memory=self._device.type == "cuda")
        # Without waiting for the device.
        self._values.copy_(numbers, non_blocking=True)
        scalars: Mapping[str, float | Tensor] = dict(zip(hyperparameters, self._values.unbind(), strict=True))
        return {name: hyperparameters[name] if name in self._fixed else scalars[name] for name in hyperparameters}


# Eager rounds with hyperparameters as scalars on the device: the memory trial then computes as recorded rounds do.
def with_device_scalars(step_config: StepConfig, device: torch.device) -> RunUpdates:
    scalars = DeviceHyperparameters(step_config, device)

    def run(state: TrainingState, config: StepConfig, hyperparameters: Hyperparameters, work: Round) -> None:
        run_updates(state, config, scalars.set(hyperparameters), work)

    return run


class Unrecordable(CannotContinue):
    """A round could not be recorded, and random generators are in the middle of it: only a new process can continue."""


class RecordedRound:
    def __init__(
        self,
        state: TrainingState,
        step_config: StepConfig,
        hyperparameters: Hyperparameters,
        work: Round,
        stream: torch.cuda.Stream,
        pool: _POOL_HANDLE,
    ) -> None:
        # Copies of the first batches: the graph reads these addresses in every replay.
        self._batches = [
            Batch(batch.images.clone(), None if batch.labels is None else batch.labels.clone())
            for batch in work.batches
        ]
        self._graph = torch.cuda.CUDAGraph()
        # So that each replay draws new numbers instead of those of the recording.
        self._graph.register_generator_state(state.noise.generator)
        # Other threads may allocate and copy meanwhile: only this one's calls are restricted.
        with torch.cuda.graph(self._graph, pool, stream, capture_error_mode="thread_local"):
            run_updates(state, step_config, hyperparameters, replace(work, batches=self._batches))

    def replay(self, batches: Sequence[Batch]) -> None:
        for kept, batch in zip(self._batches, batches, strict=True):
            kept.images.copy_(batch.images)
            if kept.labels is not None and batch.labels is not None:
                kept.labels.copy_(batch.labels)
        self._graph.replay()


class GraphRunner:
    """Runs rounds on a GPU: the first ones of each kind eagerly, the others from a recording.

    It takes whole batches of a single rank: slices and ranks need the host in the middle of a round.
    """

    def __init__(self, step_config: StepConfig, device: torch.device, log: Callable[[str], None]) -> None:
        self._log = log
        self._scalars = DeviceHyperparameters(step_config, device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # One pool for all recordings: they run one after the other and leave nothing in it.
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
        # Recording needs a stream other than the default one, and the eager rounds before it have to run there too.
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            scalars = self._scalars.set(hyperparameters)
            recorded = self._recorded.get(kind)
            if recorded is None and self._eager_rounds.get(kind, 0) >= WARM_UP:
                # Recording runs nothing, so the new graph is replayed below for this very round.
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
        try:
            recorded = RecordedRound(state, step_config, hyperparameters, work, self._stream, self._pool)
        except RuntimeError as error:
            # A generator that took part in a failed recording belongs to it for good (pytorch/pytorch issue 171263).
            raise Unrecordable(first_line(error)) from error
        penalty = " with a penalty" if any(update.regularised for update in work.updates) else ""
        self._log(f"recorded a round{penalty}{' before a tick' if work.log_gradients else ''} as a CUDA graph")
        return recorded


# The error that began a chain: the end of a failed recording fails too, with an error that hides the cause.
def first_line(error: BaseException) -> str:
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0] or type(error).__name__

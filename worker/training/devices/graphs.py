"""A round on a GPU as a CUDA graph: launched whole, instead of operator by operator.

What changes from round to round lies in fixed places on the device: the real images, and the dials. What happens in a
round is `worker.training.methods.adversarial`' business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, fields, replace
from typing import TYPE_CHECKING, Final

import torch

from worker.data.loader import Batch
from worker.training.methods.adversarial import Perform, Round, perform
from worker.training.methods.step_config import Hyperparameters, StepConfig
from worker.training.state.state import TrainingState

if TYPE_CHECKING:
    from torch.cuda import _POOL_HANDLE

WARM_UP: Final = 3
"""Rounds of each kind that are played as they are: libraries choose their kernels and allocate their workspaces."""


class Board:
    """Dials on a device: scalars that keep their places, for rounds that are recorded once.

    The second decay of an optimiser stays a number where no schedule moves it: fused Adam takes nothing else.
    """

    def __init__(self, recipe: StepConfig, device: torch.device) -> None:
        self._values = torch.zeros(len(fields(Hyperparameters)), device=device)
        self._moving = {
            "generator_beta2": recipe.generator.beta2_end is not None,
            "discriminator_beta2": recipe.discriminator.beta2_end is not None,
        }

    def set(self, hyperparameters: Hyperparameters) -> Hyperparameters:
        """Take over numbers, without waiting for the device, and give them as scalars on it."""
        on_gpu = self._values.device.type == "cuda"
        # Fresh pinned memory each time: torch uses it again only when the copy is done.
        self._values.copy_(torch.tensor(astuple(hyperparameters), pin_memory=on_gpu), non_blocking=True)
        scalars = Hyperparameters(*self._values)
        fixed = {name: getattr(hyperparameters, name) for name, moving in self._moving.items() if not moving}
        return replace(scalars, **fixed)


def by_scalars(recipe: StepConfig, device: torch.device) -> Perform:
    """Perform rounds as they are, but with their settings as scalars on the device, as those that are recorded."""
    board = Board(recipe, device)

    def performed(state: TrainingState, recipe: StepConfig, hyperparameters: Hyperparameters, this: Round) -> None:
        perform(state, recipe, board.set(hyperparameters), this)

    return performed


class Unrecordable(Exception):
    """A round could not be recorded, and random generators are left in the middle of it: only a new process mends that.

    pytorch/pytorch issue 171263: a generator that a failed recording knew takes part in it for good.
    """


class Recorded:
    """One kind of round (which steps take a penalty, whether it is watched) as a graph, and the images it looks at."""

    def __init__(
        self,
        state: TrainingState,
        recipe: StepConfig,
        hyperparameters: Hyperparameters,
        this: Round,
        stream: torch.cuda.Stream,
        pool: _POOL_HANDLE,
    ) -> None:
        self._batches = [
            Batch(batch.images.clone(), None if batch.labels is None else batch.labels.clone())
            for batch in this.batches
        ]
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(state.noise.generator)
        # Other threads may allocate and copy meanwhile: only this one's calls are restricted.
        with torch.cuda.graph(self._graph, pool, stream, capture_error_mode="thread_local"):
            perform(state, recipe, hyperparameters, this._replace(batches=self._batches))

    def replay(self, batches: Sequence[Batch]) -> None:
        """Play the round with these images."""
        for kept, batch in zip(self._batches, batches, strict=True):
            kept.images.copy_(batch.images)
            if kept.labels is not None and batch.labels is not None:
                kept.labels.copy_(batch.labels)
        self._graph.replay()


class Recorder:
    """Performs rounds on a GPU: the first ones of each kind as they are, the others from a recording.

    For whole batches of a single rank: elsewhere the host has a say in the middle of a round. Recordings share their
    memory, for one is played after the other and none leaves anything there.

    Args:
        recipe: of the training.
        device: where it is.
        log: told what was recorded.
    """

    def __init__(self, recipe: StepConfig, device: torch.device, log: Callable[[str], None]) -> None:
        self._log = log
        self._board = Board(recipe, device)
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._recorded: dict[tuple[bool, ...], Recorded] = {}
        self._played: dict[tuple[bool, ...], int] = {}

    def __call__(self, state: TrainingState, recipe: StepConfig, hyperparameters: Hyperparameters, this: Round) -> None:
        """Do a round's work; see `steps.perform`.

        Raises:
            Unrecordable: this process cannot go on.
        """
        kind = (*this.penalised, this.watched)
        current = torch.cuda.current_stream(state.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            scalars = self._board.set(hyperparameters)
            recorded = self._recorded.get(kind)
            if recorded is None and self._played.get(kind, 0) >= WARM_UP:
                recorded = self._recorded[kind] = self._record(state, recipe, scalars, this)
            if recorded is None:
                self._played[kind] = self._played.get(kind, 0) + 1
                perform(state, recipe, scalars, this)
            else:
                recorded.replay(this.batches)
        current.wait_stream(self._stream)

    def _record(
        self, state: TrainingState, recipe: StepConfig, hyperparameters: Hyperparameters, this: Round
    ) -> Recorded:
        """Record a kind of round, which does nothing yet."""
        try:
            recorded = Recorded(state, recipe, hyperparameters, this, self._stream, self._pool)
        except RuntimeError as error:
            raise Unrecordable(first_line(error)) from error
        with_penalty = " with a penalty" if any(this.penalised) else ""
        self._log(f"recorded a round{with_penalty}{' before a tick' if this.watched else ''} as a CUDA graph")
        return recorded


def first_line(error: BaseException) -> str:
    """Tell why a recording failed: its end fails too, and that says nothing."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).partition("\n")[0] or type(error).__name__

"""The networks' passes through torch's compiler, each network for itself.

Updates stay outside, and so do passes that are differentiated twice (`penalties.eager`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import nn

from worker.training.methods.adversarial import Round, perform
from worker.training.methods.step_config import StepConfig
from worker.training.state.state import TrainingState

Backend = str | Callable[..., Any]

_TOLD = 300  # characters of what a compiler says


def compile_networks(
    state: TrainingState, recipe: StepConfig, log: Callable[[str], None], backend: Backend = "inductor"
) -> bool:
    """Compile both networks of a training, by a round that is undone; tell whether it could be done.

    Where it fails they stay as they are.

    Args:
        state: of the training; after this it is the same.
        recipe: of the training.
        log: told how long it took, or why it failed.
        backend: what makes code of the captured graphs.
    """
    started = time.monotonic()
    before = state.capture()
    networks: tuple[nn.Module, ...] = state.generator, state.discriminator
    for network in networks:
        network.compile(backend=backend, fullgraph=True, dynamic=False)
    try:
        batches = [state.batches.next() for _ in range(recipe.batches())]
        perform(state, recipe, recipe.hyperparameters(state), Round(batches, (False,) * recipe.discriminator.steps))
    except Exception as error:  # noqa: BLE001  # compilers and what they need fail in many ways, none of them ours
        for network in networks:
            network._compiled_call_impl = None
        state.drop_gradients()
        reason = " ".join(str(error).split())
        log(f"the networks are not compiled, but run as they are: {reason[:_TOLD]}")
        compiled = False
    else:
        compiled = True
        log(f"compiled both networks in {time.monotonic() - started:.1f} s")
    state.restore(before.tensors, before.values)
    return compiled

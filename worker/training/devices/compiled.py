"""Compilation of a training's networks by torch's compiler, each module for itself.

Optimizer steps stay outside, and so do passes that are differentiated twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from worker.training.rounds import Round, run_updates
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

Backend = str | Callable[..., Any]

_MAX_REASON = 300  # characters of a compiler's message


def compile_networks(
    state: TrainingState, step_config: StepConfig, log: Callable[[str], None], backend: Backend = "inductor"
) -> bool:
    """Compile the modules of a training by one round, which is undone afterwards.

    Args:
        log: receives how long it took, or why it failed.
        backend: generates code from the captured graphs.

    Returns:
        Whether they are compiled; after a failure they run eagerly, as before.
    """
    started = time.monotonic()
    before = state.copy()
    modules = list(state.modules.values())
    for module in modules:
        # Full graphs only: a graph break would fall back to eager code silently. Shapes never change in a training.
        module.compile(backend=backend, fullgraph=True, dynamic=False)
    try:
        # Without regularisation: such steps run eagerly and would compile nothing.
        updates = tuple(replace(update, regularised=False) for update in step_config.method.updates(state.images))
        batches = [state.batches.next() for update in updates if update.takes_images]
        run_updates(state, step_config, step_config.hyperparameters(state), Round(updates, batches))
    except Exception as error:  # noqa: BLE001  # compilers and what they need fail in many ways, none of them ours
        for module in modules:
            # This undoes `Module.compile`: torch has no public function for it.
            module._compiled_call_impl = None
        state.drop_gradients()
        reason = " ".join(str(error).split())
        log(f"the networks are not compiled, but run eagerly: {reason[:_MAX_REASON]}")
        compiled = False
    else:
        compiled = True
        log(f"compiled {len(modules)} networks in {time.monotonic() - started:.1f} s")
    # The round changed weights, moments, random states and the position in the data.
    state.restore(before.tensors, before.values)
    return compiled

"""Takes a training back to its best point with gentler settings, or ends it there; when, `guard` decides."""

from __future__ import annotations

from worker.training.failure import GaveUp
from worker.training.guard.findings import Finding
from worker.training.guard.guard import MAX_ROLLBACKS, Memory, gone_back
from worker.training.guard.verdict import Health
from worker.training.reporting.reporter import Reporter
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState


def roll_back(
    state: TrainingState, finding: Finding, total: int, keeper: CheckpointManager, reporter: Reporter
) -> None:
    """Restore the best point, keep it as the newest checkpoint, and tell.

    Args:
        state: of the training; afterwards it is where the run goes on or ends.
        finding: why.
        total: the run's length in images.
        keeper: holds the best point.
        reporter: is told.

    Raises:
        GaveUp: there is nothing to go back to, or nothing there that is worth to be published.
        OSError: a report or a checkpoint could not be written.
    """
    left, rollbacks = state.images, state.guard.rollbacks + 1
    seen = f"At {left / 1000:g} kimg {finding.seen}"
    refuge = keeper.refuge(state.guard.refuge, reporter.log)
    if refuge is None:
        raise GaveUp(f"{seen}; there is no whole checkpoint to go back to: start a new run with lower rates")
    ends = rollbacks > MAX_ROLLBACKS
    if ends and not Memory.model_validate(refuge.values["guard"]).diverse:
        raise GaveUp(
            f"{seen}, and {MAX_ROLLBACKS} rollbacks to gentler settings did not help; nothing before that is worth to "
            "be published: start a new run with lower rates (generator.lr, discriminator.lr) or another preset"
        )
    state.restore(refuge.tensors, refuge.values)
    state.guard = gone_back(state.guard, rollbacks, total if ends else None)
    done = _ended(state.images) if ends else _done(state)
    health = Health("stopped" if ends else "rolled_back", (f"{seen}.", done), f"{seen}. {done}")
    # Before it is kept: a run killed in between tells it twice, the other way round never. Histories are cut last: a
    # run killed before that begins at the checkpoint, which cuts them as well.
    reporter.goes_back(health, state.images)
    keeper.keep(state)
    keeper.settle()
    reporter.went_back(state.images, left)


def _done(state: TrainingState) -> str:
    memory = state.guard
    where = f"the best point so far, at {state.images / 1000:g} kimg" if state.images else "its start"
    return (
        f"The run was taken back to {where} (rollback {memory.rollbacks} of {MAX_ROLLBACKS}), and goes on with its "
        f"learning rates times {memory.rate:g} and its penalty, if it has one, times {memory.penalty:g}, so that it "
        "does not take the same way again."
    )


def _ended(images: int) -> str:
    return (
        f"{MAX_ROLLBACKS} rollbacks to gentler settings did not help: the run ends with its best version, of "
        f"{images / 1000:g} kimg."
    )

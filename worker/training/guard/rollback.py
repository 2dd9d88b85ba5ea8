"""Rollback: restores a training's best checkpoint with smaller learning rates, or ends the run there."""

from __future__ import annotations

from worker.training.failure import GaveUp
from worker.training.guard.findings import Finding, Health
from worker.training.guard.guard import MAX_ROLLBACKS, GuardState, after_rollback
from worker.training.reporting.reporter import Reporter
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState


def roll_back(
    state: TrainingState, finding: Finding, total: int, checkpoints: CheckpointManager, reporter: Reporter
) -> None:
    """Restore the rollback checkpoint, save it as the newest checkpoint, and report it.

    Args:
        finding: the reason.
        total: the run's length in images.

    Raises:
        GaveUp: there is no rollback checkpoint, or its state is not worth publishing.
        OSError: a report or a checkpoint could not be written.
    """
    images, rollbacks = state.images, state.guard.rollbacks + 1
    reason = f"At {images / 1000:g} kimg {finding.evidence}"
    checkpoint = checkpoints.read_rollback_checkpoint(state.guard.rollback_target, reporter.log)
    if checkpoint is None:
        raise GaveUp(f"{reason}; there is no valid checkpoint to roll back to: start a new run with lower rates")
    ends = rollbacks > MAX_ROLLBACKS
    # A generator that has never made different images makes no version.
    if ends and not GuardState.model_validate(checkpoint.values["guard"]).diverse:
        raise GaveUp(
            f"{reason}, and {MAX_ROLLBACKS} rollbacks with smaller learning rates did not help; no earlier point is "
            "worth publishing: start a new run with lower rates (generator.lr, discriminator.lr) or another preset"
        )

    state.restore(checkpoint.tensors, checkpoint.values)
    state.guard = after_rollback(state.guard, rollbacks, total if ends else None)
    outcome = _ended(state.images) if ends else _rolled_back(state)
    health = Health("stopped" if ends else "rolled_back", (f"{reason}.", outcome), f"{reason}. {outcome}")

    # Reported before it is saved: a run killed in between reports it twice; in the other order it might never do so.
    # Histories are cut last: a run killed before that resumes from the checkpoint, which cuts them as well.
    reporter.rolling_back(health, state.images)
    checkpoints.save(state)
    checkpoints.wait()
    reporter.rolled_back(state.images, images)


def _rolled_back(state: TrainingState) -> str:
    guard = state.guard
    where = f"the best point so far, at {state.images / 1000:g} kimg" if state.images else "its start"
    return (
        f"The run was rolled back to {where} (rollback {guard.rollbacks} of {MAX_ROLLBACKS}). It continues with its "
        f"learning rates times {guard.lr_factor:g} and its penalty, if it has one, times {guard.penalty_factor:g}, so "
        "that it does not fail in the same way again."
    )


def _ended(images: int) -> str:
    return (
        f"{MAX_ROLLBACKS} rollbacks with smaller learning rates did not help: the run ends with its best version, of "
        f"{images / 1000:g} kimg."
    )

"""Failures of trainings, and the reasons of those that a retry cannot fix."""

from __future__ import annotations

from models.datasets.catalogue import DatasetProblem
from worker.jobs.exit_codes import disk_full


class TrainingFailed(Exception):
    """A failure that a retry would repeat; the message is the reason shown on the run."""


class CannotContinue(Exception):
    """This process cannot continue in the middle of a round; a new attempt resumes from the newest checkpoint."""


class GaveUp(TrainingFailed):
    """The guard has no rollback left, and nothing of the run is worth publishing."""


def explain(error: Exception) -> str | None:
    """Return the reason of an error that a retry cannot fix; None for any other."""
    if disk_full(error):
        return f"disk full: {error}; free some space, then resume the run"
    if isinstance(error, TrainingFailed | DatasetProblem):
        return str(error)
    return None

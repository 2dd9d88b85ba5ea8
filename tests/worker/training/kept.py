"""States of one tensor, to be kept without a training around them."""

from __future__ import annotations

from pathlib import Path

import torch

from models.artifacts.attempts import Attempt, Position
from worker.training.guard.guard import GuardState
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import StateCopy, TrainingState


class State(TrainingState):
    """A state of one tensor, at a position, that would go back to another."""

    def __init__(self, images: int, value: float = 1.0, rollbacks: int = 0, rollback_target: int = 0) -> None:
        self.images = images
        self.guard = GuardState(rollbacks=rollbacks, rollback_target=Position(rollbacks, rollback_target))
        self.tensor = torch.full((3,), value)

    def copy(self) -> StateCopy:
        values = {"images": self.images, "guard": self.guard.model_dump(mode="json")}
        return StateCopy(self.position, {"weight": self.tensor.clone()}, values)


def keep(attempt: Attempt, *positions: int) -> None:
    """Keep a state at each of these positions."""
    checkpoints = CheckpointManager(attempt, {"threads": 1})
    for images in positions:
        checkpoints.save(State(images))
    checkpoints.wait()


def names(folder: Path) -> list[str]:
    """List a folder of checkpoints."""
    return sorted(path.name for path in folder.iterdir())

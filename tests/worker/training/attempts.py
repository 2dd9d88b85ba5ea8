"""A run's attempts one after the other, in the test's own process, with nothing around the loop."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from models.artifacts.attempts import Attempt
from models.artifacts.events import read_events
from models.config.training import TrainingConfig
from worker.data.loader import Loader
from worker.data.prepared import Prepared
from worker.training.guard.diversity import SnapshotDiversity
from worker.training.guard.findings import Rules
from worker.training.loop import Loop
from worker.training.methods.step_config import StepConfig
from worker.training.reporting.reporter import Reporter
from worker.training.reporting.snapshots import SnapshotRenderer
from worker.training.schedule import Schedule
from worker.training.state.checkpoints import newest_valid
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState, seeds

CPU = torch.device("cpu")


class Attempts:
    """A run's attempts one after the other; each goes on from the newest checkpoint."""

    def __init__(self, run_dir: Path, digits: Prepared) -> None:
        self.run_dir = run_dir
        self.published: list[tuple[int, bool]] = []
        self.weights = b""
        self._digits = digits
        self._token = 0

    def start(
        self, config: TrainingConfig, stop_wanted: Callable[[], bool] = lambda: False, young: int | None = None
    ) -> Loop:
        """Set up an attempt; with `young` the guard's rules count from so many images on."""
        self._token += 1
        attempt = Attempt(self.run_dir, self._token)
        attempt.create()
        state = TrainingState(config, Loader(self._digits, config.batch_size, seeds(config.seed).data, CPU), CPU)
        if checkpoint := newest_valid(self.run_dir, pytest.fail):
            state.restore(checkpoint.tensors, checkpoint.values)
        attempt.config.write_text(json.dumps({"start_images": state.images}))
        painter = SnapshotRenderer(config.generator_config(), config.seed, CPU)
        rules = Rules.of(config, self._digits.count)
        return Loop(
            config=config,
            count=self._digits.count,
            state=state,
            recipe=StepConfig.of(config, state, "fp32", config.total_images(self._digits.count)),
            schedule=Schedule.of(config, self._digits.count),
            painter=painter,
            reporter=Reporter(attempt),
            keeper=CheckpointManager(attempt, {}),
            publish=self._publish,
            stop_wanted=stop_wanted,
            rules=rules if young is None else replace(rules, young=young),
            snapshot_diversity=SnapshotDiversity(self._digits, config.generator_config().classes),
        )

    def _publish(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        self.published.append((images, last))
        self.weights = weights

    def events(self, type: str) -> list[dict[str, Any]]:  # noqa: A002
        """Give what was told, of one type."""
        return [event.data for event in read_events(self.run_dir) if event.type == type]


def after(rounds: int) -> Callable[[], bool]:
    """Want a stop after so many rounds."""
    left = iter([False] * rounds)
    return lambda: next(left, True)

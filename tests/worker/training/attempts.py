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
from worker.training.guard.appearance import SnapshotAppearance
from worker.training.guard.findings import Rules
from worker.training.loop import TrainingLoop
from worker.training.monitor import Monitor
from worker.training.reporting.reporter import Reporter
from worker.training.reporting.snapshots import SnapshotRenderer
from worker.training.schedule import Schedule
from worker.training.state.checkpoints import newest_valid
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState, seeds
from worker.training.step_config import StepConfig

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
        self, config: TrainingConfig, stop_requested: Callable[[], bool] = lambda: False, young: int | None = None
    ) -> TrainingLoop:
        """Set up an attempt; with `young` the guard's rules count from so many images on."""
        self._token += 1
        attempt = Attempt(self.run_dir, self._token)
        attempt.create()
        state = TrainingState(config, Loader(self._digits, config.batch_size, seeds(config.seed).data, CPU), CPU)
        if checkpoint := newest_valid(self.run_dir, pytest.fail):
            state.restore(checkpoint.tensors, checkpoint.values)
        attempt.config.write_text(json.dumps({"start_images": state.images}))
        reporter, rules = Reporter(attempt), Rules.of(config, self._digits.count, state.method.guarded)
        total = config.total_images(self._digits.count)
        monitor = Monitor(
            state=state,
            annealed_images=total,
            total=total,
            count=self._digits.count,
            rules=rules if young is None else replace(rules, young=young),
            appearance=SnapshotAppearance(self._digits, config.generator_config().classes),
            renderer=SnapshotRenderer(config.generator_config(), config.seed, CPU),
            reporter=reporter,
        )
        return TrainingLoop(
            state=state,
            step_config=StepConfig.of(config, state, "fp32", total),
            schedule=Schedule.of(config, self._digits.count),
            monitor=monitor,
            reporter=reporter,
            checkpoints=CheckpointManager(attempt, {}),
            publish=self._publish,
            stop_requested=stop_requested,
        )

    def _publish(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        self.published.append((images, last))
        self.weights = weights

    def events(self, type: str) -> list[dict[str, Any]]:  # noqa: A002
        """Return the data of all events of one type."""
        return [event.data for event in read_events(self.run_dir) if event.type == type]


def with_evaluator(loop: TrainingLoop, evaluator: Any) -> TrainingLoop:
    """Let the loop compute scores."""
    return replace(loop, monitor=replace(loop.monitor, evaluator=evaluator))


def after(rounds: int) -> Callable[[], bool]:
    """Request a stop after so many rounds."""
    left = iter([False] * rounds)
    return lambda: next(left, True)

"""The training loop: rounds until the length is reached, with reports, publications and checkpoints between them.

What a round does is in `steps`, what a run consists of in `state`; files are written by `reports` and `checkpoints`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from models.checkpoint import generator_bytes
from models.config import TrainingConfig
from models.evaluation import Evaluation
from worker.evaluation.evaluator import Evaluator
from worker.training.checkpoints import Keeper
from worker.training.failure import Diverged
from worker.training.reports import Reporter
from worker.training.schedule import Schedule, crossed
from worker.training.snapshots import Painter
from worker.training.state import TrainingState
from worker.training.steps import Recipe, play_round
from worker.training.telemetry import Pacemaker, make_tick
from worker.training.verdict import Health, judge


class Publish(Protocol):
    """Makes a version of the generator's average."""

    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        """Publish safetensors and PNG; only the `last` publication of a run has to succeed."""


@dataclass(frozen=True)
class Loop:
    """One attempt at a run; `count` is the number of images in its data set. No `evaluator`: no scores."""

    config: TrainingConfig
    count: int
    state: TrainingState
    recipe: Recipe
    schedule: Schedule
    painter: Painter
    reporter: Reporter
    keeper: Keeper
    publish: Publish
    stop_wanted: Callable[[], bool]
    evaluator: Evaluator | None = None

    def run(self) -> bool:
        """Train to the end, or until a stop is wanted, and leave a checkpoint; tell whether the end was reached.

        Raises:
            TrainingFailed: going on makes no sense.
            OSError: a report or a checkpoint could not be written.
        """
        try:
            return self._train()
        except Diverged as error:
            self.reporter.health(Health("failed", (str(error),)))
            raise

    def _train(self) -> bool:
        state, schedule = self.state, self.schedule
        pacemaker = Pacemaker(state.images)
        next_checkpoint = self._next_checkpoint()
        if state.images == 0:
            self._snapshot()

        while state.images < schedule.total:
            if self.stop_wanted():
                self._keep()
                return False
            before, after = state.images, state.images + self.recipe.images()
            last = after >= schedule.total
            ticks = last or crossed(before, after, schedule.tick)
            play_round(state, self.recipe, watched=ticks)

            # Report.
            if ticks:
                self._tick(pacemaker)
            publishing = not last and crossed(before, state.images, schedule.publish)
            if last or publishing or crossed(before, state.images, schedule.snapshot):
                self._snapshot()

            # Evaluate: what is published has its scores.
            if last or publishing or self._is_due(before):
                self._evaluate(last=last)

            # Publish: before a checkpoint of the same position, so that a publication cut off by a kill comes again.
            if publishing:
                self._publish(last=False)

            # Keep.
            if not last and time.monotonic() >= next_checkpoint and not self.keeper.busy:
                self.keeper.keep(state)
                next_checkpoint = self._next_checkpoint()

        self._keep()
        self._publish(last=True)
        return True

    def _tick(self, pacemaker: Pacemaker) -> None:
        images, total = self.state.images, self.schedule.total
        objective = self.recipe.objective
        means = self.state.sums.take(has_probabilities=objective.has_probabilities, has_halves=not objective.paired)
        health = judge(self.config.loss, means)
        if health.verdict == "failed":
            raise Diverged(f"the run has diverged at {images / 1000:g} kimg: {health.reasons[0]}")
        pace = pacemaker.measure(images, total)
        augment_p = float(self.recipe.augment_p(self.state)) if self.recipe.augment.policy else None
        self.reporter.tick(make_tick(means, pace, images=images, total=total, count=self.count, augment_p=augment_p))
        self.reporter.health(health)

    def _snapshot(self) -> None:
        average = self.state.average
        self.reporter.snapshot(self.state.images, self.painter.grid(average), generator_bytes(average))

    def _is_due(self, before: int) -> bool:
        """Tell whether a snapshot that is to be evaluated lies behind the round that began at `before`."""
        if self.evaluator is None or not self.evaluator.plan.every:
            return False
        return crossed(before, self.state.images, self.schedule.snapshot * self.evaluator.plan.every)

    def _evaluate(self, *, last: bool) -> Evaluation | None:
        if self.evaluator is None:
            return None
        evaluation = self.evaluator(self.state.average, self.state.images, final=last)
        self.reporter.score(evaluation)
        return evaluation

    def _publish(self, *, last: bool) -> None:
        average = self.state.average
        self.publish(self.state.images, generator_bytes(average), self.painter.grid(average), last=last)

    def _keep(self) -> None:
        self.keeper.keep(self.state)
        self.keeper.settle()

    def _next_checkpoint(self) -> float:
        return time.monotonic() + 60 * self.config.checkpoint_minutes

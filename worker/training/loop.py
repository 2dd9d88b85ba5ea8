"""The training loop: rounds until the length is reached, with reports, publications and checkpoints between them.

What a round does is in `steps`, what a run consists of in `state`; files are written by `reports` and `keeper`.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from models.config.training import TrainingConfig
from models.scores import Evaluation
from models.store.weights import generator_bytes
from worker.evaluation.evaluator import Evaluator
from worker.training.assembly import share
from worker.training.devices.graphs import WARM_UP, Unrecordable
from worker.training.devices.memory import OutOfMemory, translate_oom
from worker.training.devices.ranks import Order
from worker.training.failure import GaveUp
from worker.training.guard.diversity import SnapshotDiversity
from worker.training.guard.findings import Finding, Rules
from worker.training.guard.guard import Seen, look, note_tick, note_weights, watched
from worker.training.guard.rollback import roll_back
from worker.training.guard.verdict import Health, judge
from worker.training.methods.adversarial import Perform, play_round
from worker.training.methods.step_config import StepConfig
from worker.training.reporting.reporter import Reporter
from worker.training.reporting.snapshots import SnapshotRenderer
from worker.training.reporting.telemetry import ThroughputMeter, make_tick
from worker.training.schedule import Schedule, crossed
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState

_WARM_UP = WARM_UP + 1  # rounds: after those that are played as they are one is recorded, where rounds are


class Publish(Protocol):
    """Makes a version of the generator's average."""

    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        """Publish safetensors and PNG; only the `last` publication of a run has to succeed."""


@dataclass(frozen=True)
class Loop:
    """One attempt at a run; `count` is the number of images in its data set.

    Without an `evaluator` nothing is scored; rounds are done in the plain way unless there is another one to `perform`.
    The warm-up `began` when the training was put together.
    """

    config: TrainingConfig
    count: int
    state: TrainingState
    recipe: StepConfig
    schedule: Schedule
    painter: SnapshotRenderer
    reporter: Reporter
    keeper: CheckpointManager
    publish: Publish
    stop_wanted: Callable[[], bool]
    rules: Rules
    snapshot_diversity: SnapshotDiversity
    evaluator: Evaluator | None = None
    perform: Perform | None = None
    began: float = field(default_factory=time.monotonic)

    def run(self) -> bool:
        """Train to the end, or until a stop is wanted, and leave a checkpoint; tell whether the end was reached.

        Raises:
            TrainingFailed: going on makes no sense.
            OutOfMemory: a round found no room, and the state is half of one.
            Unrecordable: a round could not be recorded, and this process cannot go on.
            OSError: a report or a checkpoint could not be written.
        """
        try:
            return self._train()
        except GaveUp as error:
            self.reporter.health(Health("failed", (str(error),)))
            raise
        except (OutOfMemory, Unrecordable):
            self.keeper.settle()  # the next attempt goes on from there
            raise

    def _train(self) -> bool:
        state, schedule = self.state, self.schedule
        throughput_meter = ThroughputMeter(state.images)
        rounds = 0
        if state.images == 0:
            self._snapshot()
            self._shelter()

        while not self._has_ended():
            if self.stop_wanted():
                self._keep()
                return False
            before, after = state.images, state.images + self.recipe.images()
            last = after >= schedule.total
            ticks = last or crossed(before, after, schedule.tick)
            self._play(watched=ticks)
            rounds += 1
            if rounds == _WARM_UP and not ticks:
                self._tell_warm_up(throughput_meter)

            # Report and evaluate: what is published has its scores.
            publishing = not last and self._crossed(before, schedule.publish)
            looks = last or publishing or self._crossed(before, schedule.snapshot)
            finding = self._tick(throughput_meter) if ticks else None
            if looks and finding is None:
                finding = self._look(scores=last or self._is_due(before, publishing=publishing), last=last)

            # Go back, where something is wrong.
            if finding is not None:
                throughput_meter = self._go_back(finding)
                continue

            # Publish: before a checkpoint of the same position, so that a publication cut off by a kill comes again.
            if publishing:
                self._publish(last=False)

            # Keep.
            self._shelter()
            if not last and self.keeper.is_due(60 * self.config.checkpoint_minutes):
                self.keeper.keep(state)

        self._keep()
        self._publish(last=True)
        return True

    def _play(self, *, watched: bool) -> None:
        self.recipe.ranks.order(Order.WATCHED_ROUND if watched else Order.ROUND)
        with translate_oom():
            play_round(self.state, self.recipe, watched=watched, by=self.perform)

    def _go_back(self, finding: Finding) -> ThroughputMeter:
        """Roll back, on all ranks, and measure the pace from there on."""
        roll_back(self.state, finding, self.schedule.total, self.keeper, self.reporter)
        self.recipe.ranks.order(Order.SYNC_STATE)
        share(self.state, self.recipe.ranks)
        return ThroughputMeter(self.state.images)

    def _tell_warm_up(self, throughput_meter: ThroughputMeter) -> None:
        """Measure the pace from here on, and tell how long it took to come so far."""
        if self.state.device.type == "cuda":
            torch.cuda.synchronize(self.state.device)
        throughput_meter.warmed_up(self.state.images)
        seconds = time.monotonic() - self.began
        told = (
            f"warm-up: {seconds:.1f} s until {_WARM_UP} rounds were done, with what was tried and compiled before them"
        )
        print(told, flush=True)  # noqa: T201  # standard output is the run's log

    def _has_ended(self) -> bool:
        """Tell whether the run's length is reached, or the guard has ended it at its best version."""
        ended = self.state.guard.ended
        return self.state.images >= self.schedule.total or (ended is not None and ended >= self.schedule.total)

    def _crossed(self, before: int, every: float) -> bool:
        """Tell whether the round that began at `before` has crossed a multiple of `every`.

        After rollbacks that is as many rounds later, for no position is published twice.
        """
        guard = self.state.guard
        late = guard.rollbacks * self.recipe.images()
        return crossed(max(before - late, guard.returned), self.state.images - late, every)

    def _tick(self, throughput_meter: ThroughputMeter) -> Finding | None:
        images, total = self.state.images, self.schedule.total
        objective = self.recipe.objective
        means = self.state.sums.take(has_probabilities=objective.has_probabilities, has_halves=not objective.paired)
        self.state.guard, finding = note_tick(self.state.guard, means)
        if finding is not None:
            return finding
        health = judge(objective, means, self.state.guard.standing)
        pace = throughput_meter.measure(images, total)
        augment_p = self._augment_p()
        tick = make_tick(
            means,
            pace,
            images=images,
            total=total,
            count=self.count,
            augment_p=augment_p,
            gentleness=self.state.guard.gentleness(),
            sentence=health.sentence,
        )
        self.reporter.tick(tick)
        self.reporter.health(health)
        return None

    def _augment_p(self) -> float | None:
        """Give the probability of each random change to an image; None where there is none."""
        augment = self.recipe.augment
        if augment.control == "adaptive":
            return float(self.state.confidence.p)
        return self.recipe.augment_p(self.state.images) if augment.policy else None

    def _look(self, *, scores: bool, last: bool) -> Finding | None:
        """Take a snapshot, let it be evaluated if it is to be, and give what the guard acts on."""
        state = self.state
        if finding := note_weights(state.not_finite()):
            return finding
        diversity = self._snapshot()
        evaluation = self._evaluate(last=last) if scores else None
        score = None if evaluation is None else evaluation.score
        state.guard = look(self.rules, state.guard, Seen(state.images, diversity, score))
        return next((finding for finding in state.guard.standing if self.rules.act_on(finding)), None)

    def _snapshot(self) -> float | None:
        """Keep a picture of the average; give how diverse it is."""
        average, images = self.state.average, self.state.images
        painted = self.painter.generate(average)
        diversity = self.snapshot_diversity.relative(painted)
        told = watched(self.state.guard, Seen(images, diversity))
        self.reporter.snapshot(images, self.painter.arrange(painted), generator_bytes(average), told)
        return diversity

    def _is_due(self, before: int, *, publishing: bool) -> bool:
        """Tell whether the snapshot behind the round that began at `before` is to be evaluated."""
        if self.evaluator is None:
            return False
        schedule = self.evaluator.schedule
        if publishing and schedule.publications:
            return True
        return schedule.every > 0 and self._crossed(before, self.schedule.snapshot * schedule.every)

    def _evaluate(self, *, last: bool) -> Evaluation | None:
        """Let the average be evaluated; what goes wrong there costs the run a score, not its life."""
        if self.evaluator is None:
            return None
        images = self.state.images
        try:
            with translate_oom():
                evaluation = self.evaluator(self.state.average, images, final=last)
        except (OutOfMemory, LinAlgError) as error:
            why = "there was not the memory for it" if isinstance(error, OutOfMemory) else "it came to no numbers"
            self.reporter.log(f"not scored at {images / 1000:g} kimg: {why} ({error})")
            evaluation = None
        if evaluation is None:
            gc.collect()
            torch.cuda.empty_cache()
            return None
        self.reporter.score(evaluation)
        return evaluation

    def _publish(self, *, last: bool) -> None:
        average, images = self.state.average, self.state.images
        preview = self.reporter.picture(images) or self.painter.grid(average)
        self.publish(images, generator_bytes(average), preview, last=last)

    def _shelter(self) -> None:
        """Keep this point if it is what the run would go back to now."""
        if self.state.position == self.state.guard.refuge:
            self.keeper.shelter(self.state)

    def _keep(self) -> None:
        self.keeper.keep(self.state)
        self.keeper.settle()

"""The training loop: rounds until the length is reached, with reports, publications and checkpoints between them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch

from worker.training.devices.ranks import Command
from worker.training.failure import CannotContinue, GaveUp
from worker.training.guard.findings import Finding, Health
from worker.training.guard.rollback import roll_back
from worker.training.monitor import Monitor
from worker.training.reporting.reporter import Reporter
from worker.training.rounds import WARM_UP, RunUpdates, run_round
from worker.training.schedule import Schedule, crossed
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig

_WARM_UP = WARM_UP + 1  # rounds: the eager ones, then one that is recorded on a GPU


class Publish(Protocol):
    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:
        """Publish safetensors and PNG; only the `last` publication of a run has to succeed."""


@dataclass(frozen=True)
class TrainingLoop:
    """One attempt at a run.

    Attributes:
        stop_requested: called before each round.
        run_updates: another way to do a round's work than the eager one.
        started_at: when the training was set up, by the monotonic clock: the warm-up is measured from there.
    """

    state: TrainingState
    step_config: StepConfig
    schedule: Schedule
    monitor: Monitor
    reporter: Reporter
    checkpoints: CheckpointManager
    publish: Publish
    stop_requested: Callable[[], bool]
    run_updates: RunUpdates | None = None
    started_at: float = field(default_factory=time.monotonic)

    def run(self) -> bool:
        """Train to the end, or until a stop is requested, and leave a checkpoint; return whether the end was reached.

        Raises:
            TrainingFailed: a retry would fail too.
            CannotContinue: this process cannot continue from the middle of a round.
            OSError: a report or a checkpoint could not be written.
        """
        try:
            return self._train()
        except GaveUp as error:
            self.reporter.health(Health("failed", (str(error),)))
            raise
        except CannotContinue:
            self.checkpoints.wait()  # the next attempt resumes from there
            raise

    def _train(self) -> bool:
        state, schedule = self.state, self.schedule
        rounds = 0
        self.monitor.restart_throughput()
        if state.images == 0:
            self.monitor.snapshot()
            # The first rounds can fail too: the start is the first rollback target.
            self._save_rollback_checkpoint()

        while not self._has_ended():
            if self.stop_requested():
                self._save()
                return False

            # One round.
            before, after = state.images, state.images + self.step_config.images_per_round
            last = after >= schedule.total
            ticks = last or crossed(before, after, schedule.tick)
            self._run_round(log_gradients=ticks)
            rounds += 1
            if rounds == _WARM_UP and not ticks:
                self._log_warm_up()

            # Report and evaluate first, so that what is published has its scores.
            publishes = not last and self._crossed(before, schedule.publish)
            inspects = last or publishes or self._crossed(before, schedule.snapshot)
            finding = self.monitor.tick() if ticks else None
            if inspects and finding is None:
                scores = last or self._is_evaluation_due(before, publishes=publishes)
                finding = self.monitor.inspect(scores=scores, last=last)

            # Roll back on a finding of the guard.
            if finding is not None:
                self._roll_back(finding)
                continue

            # Publish before a checkpoint of the same position: a publication that a kill cuts off comes again.
            if publishes:
                self._publish(last=False)

            # Save.
            self._save_rollback_checkpoint()
            if not last and self.checkpoints.is_due(schedule.checkpoint_seconds):
                self.checkpoints.save(state)

        self._save()
        self._publish(last=True)
        return True

    def _run_round(self, *, log_gradients: bool) -> None:
        # The other ranks wait for a command before each round.
        self.step_config.ranks.command(Command.LOGGED_ROUND if log_gradients else Command.ROUND)
        run_round(self.state, self.step_config, log_gradients=log_gradients, run=self.run_updates)

    def _roll_back(self, finding: Finding) -> None:
        roll_back(self.state, finding, self.schedule.total, self.checkpoints, self.reporter)
        # Only rank 0 reads checkpoints: the others receive its state.
        self.step_config.ranks.command(Command.SYNC_STATE)
        self.state.broadcast(self.step_config.ranks)
        self.monitor.restart_throughput()

    def _log_warm_up(self) -> None:
        if self.state.device.type == "cuda":
            # Launched work is not done yet; without this the warm-up would seem to be over too early.
            torch.cuda.synchronize(self.state.device)
        self.monitor.warmed_up()
        seconds = time.monotonic() - self.started_at
        message = f"warm-up: {seconds:.1f} s for setup, compilation and {_WARM_UP} rounds"
        print(message, flush=True)  # noqa: T201  # standard output is the run's log

    def _has_ended(self) -> bool:
        ended = self.state.guard.ended
        return self.state.images >= self.schedule.total or (ended is not None and ended >= self.schedule.total)

    def _crossed(self, before: int, every: float) -> bool:
        """Return whether the round that began at `before` has crossed a multiple of `every`."""
        guard = self.state.guard
        # After n rollbacks multiples are n rounds later, so that no position is published twice.
        late = guard.rollbacks * self.step_config.images_per_round
        return crossed(max(before - late, guard.rolled_back_to), self.state.images - late, every)

    def _is_evaluation_due(self, before: int, *, publishes: bool) -> bool:
        evaluation = self.monitor.evaluation
        if evaluation is None:
            return False
        if publishes and evaluation.publications:
            return True
        return evaluation.every > 0 and self._crossed(before, self.schedule.snapshot * evaluation.every)

    def _publish(self, *, last: bool) -> None:
        self.publish(self.state.images, self.state.version_weights(), self.monitor.preview(), last=last)

    def _save_rollback_checkpoint(self) -> None:
        # The guard moves its target only to the position of the last evaluation.
        if self.state.position == self.state.guard.rollback_target:
            self.checkpoints.save_rollback_checkpoint(self.state)

    def _save(self) -> None:
        self.checkpoints.save(self.state)
        self.checkpoints.wait()

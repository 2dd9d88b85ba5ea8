"""Measurements of a training at ticks and snapshots: figures, images and scores, reported and handed to the guard."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field

import torch
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from models.scores import Evaluation, EvaluationSchedule
from worker.evaluation.evaluator import Evaluator
from worker.training.devices.allocator import OutOfMemory, translate_oom
from worker.training.guard.appearance import Appearance, SnapshotAppearance
from worker.training.guard.findings import Finding, Health, Rules
from worker.training.guard.guard import Observation, check_tick, check_weights, monitored, observe
from worker.training.guard.looks import look, name_looks
from worker.training.reporting.reporter import Reporter
from worker.training.reporting.snapshots import SnapshotRenderer
from worker.training.reporting.telemetry import ThroughputMeter, make_tick
from worker.training.state.state import TrainingState


@dataclass
class Monitor:
    """Measures and reports a training.

    Attributes:
        annealed_images: after which schedules reach their ends.
        total: the run's length in images.
        count: images in the data set, which are an epoch.
        evaluator: computes scores; None computes none.
    """

    state: TrainingState
    annealed_images: int
    total: int
    count: int
    rules: Rules
    appearance: SnapshotAppearance
    renderer: SnapshotRenderer
    reporter: Reporter
    evaluator: Evaluator | None = None
    _throughput: ThroughputMeter = field(init=False)
    _judged: Health | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.restart_throughput()

    @property
    def evaluation(self) -> EvaluationSchedule | None:
        """The schedule of evaluations; None without an evaluator."""
        return None if self.evaluator is None else self.evaluator.schedule

    def restart_throughput(self) -> None:
        self._throughput = ThroughputMeter(self.state.images)

    def warmed_up(self) -> None:
        """Start the measurement of the throughput here, unless there was a tick."""
        self._throughput.warmed_up(self.state.images)

    def tick(self) -> Finding | None:
        """Report a tick, or return a finding if a figure is not finite."""
        state, method = self.state, self.state.method
        # Reading the sums is the one point at which a tick waits for the device.
        figures = method.report(state.sums.take(), state.buffers, state.images / self.annealed_images)
        # Checked before it is reported: JSON has no NaN.
        state.guard, finding = check_tick(state.guard, figures, self._gradients)
        if finding is not None:
            return finding
        self._judged = method.judge(figures)
        tick = make_tick(
            figures,
            self._throughput.measure(state.images, self.total),
            images=state.images,
            total=self.total,
            count=self.count,
            backoff=state.guard.backoff(),
            sentence=self._judged.sentence,
        )
        self.reporter.tick(tick)
        self._report_health()
        return None

    def inspect(self, *, scores: bool, last: bool) -> Finding | None:
        """Take a snapshot, compute scores if requested, and return the finding on which the guard acts, if any."""
        state = self.state
        # Figures of the last tick can be finite although the last step has broken the weights.
        if finding := check_weights(state.not_finite()):
            return finding
        seen = self.snapshot()
        evaluation = self._evaluate(last=last) if scores else None
        score = None if evaluation is None else evaluation.score
        guard = observe(self.rules, state.guard, Observation(state.images, seen.diversity, score))
        measured = {} if evaluation is None else evaluation.scores
        looks = look(state.images, seen, measured, state.guard.looks, rules=self.rules)
        state.guard = guard.model_copy(update={"looks": looks})
        finding = next((finding for finding in guard.active if self.rules.act_on(finding)), None)
        # A rollback has a report of its own.
        if finding is None:
            self._report_health()
        return finding

    def snapshot(self) -> Appearance:
        """Write a snapshot of the averages, and return how its images look."""
        state = self.state
        images = self.renderer.generate(state.shown)
        seen = self.appearance.measure(images)
        values = monitored(state.guard, Observation(state.images, seen.diversity), self._gradients)
        self.reporter.snapshot(
            state.images, self.renderer.arrange(images), state.version_weights(), values | seen.values()
        )
        return seen

    def preview(self) -> bytes:
        return self.reporter.picture(self.state.images) or self.renderer.grid(self.state.shown)

    def _report_health(self) -> None:
        guard = self.state.guard
        if self._judged is not None:
            looks = name_looks(guard.looks, self.rules)
            named = {finding.kind for finding in looks}
            # What the eye sees comes first.
            findings = (*looks, *(finding for finding in guard.active if finding.kind not in named))
            self.reporter.health(self._judged.after(findings))

    @property
    def _gradients(self) -> list[str]:
        method = self.state.method
        return [method.optimizers[name].gradient for name in method.guarded]

    def _evaluate(self, *, last: bool) -> Evaluation | None:
        if self.evaluator is None:
            return None
        images = self.state.images
        try:
            # An error in an evaluation costs the run a score, but does not end it.
            with translate_oom():
                evaluation = self.evaluator(self.state.shown, images, final=last)
        except (OutOfMemory, LinAlgError) as error:
            why = "not enough memory" if isinstance(error, OutOfMemory) else "the result is not finite"
            self.reporter.log(f"not scored at {images / 1000:g} kimg: {why} ({error})")
            evaluation = None
        # Return the memory of a failed evaluation to the training.
        if evaluation is None:
            gc.collect()
            torch.cuda.empty_cache()
            return None
        self.reporter.score(evaluation)
        return evaluation

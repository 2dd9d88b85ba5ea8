"""Atelier's training loop for benchmarks: that of `worker.jobs.train`, without row, supervisor and publication."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from models.artifacts.attempts import Attempt
from models.config.resolved import ComputePrecision
from models.config.training import TrainingConfig
from worker.data.ingest import prepare
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


@dataclass
class PublishedWeights:
    """Replaces the model store: holds the weights published last, as safetensors."""

    weights: bytes = b""

    def __call__(self, images: int, weights: bytes, preview: bytes, *, last: bool) -> None:  # noqa: ARG002
        self.weights = weights


def prepare_mnist(datasets: Path, work: Path) -> Prepared:
    """Prepare MNIST from `datasets/mnist` in `work`."""
    return prepare("mnist", 28, 1, datasets_dir=datasets, images_dir=work, prepared_dir=work / "prepared")


def make_loop(
    config: TrainingConfig, prepared: Prepared, run_dir: Path, precision: ComputePrecision, publish: PublishedWeights
) -> TrainingLoop:
    """Build a training on the CPU as the trainer does; it resumes from the newest checkpoint in `run_dir`."""
    attempt = Attempt(run_dir, 1)
    attempt.create()
    state = TrainingState(config, Loader(prepared, config.batch_size, seeds(config.seed).data, CPU), CPU)
    if checkpoint := newest_valid(run_dir, print):
        state.restore(checkpoint.tensors, checkpoint.values)
    reporter, total = Reporter(attempt), config.total_images(prepared.count)
    monitor = Monitor(
        state=state,
        annealed_images=total,
        total=total,
        count=prepared.count,
        rules=Rules.of(config, prepared.count, state.method.guarded),
        appearance=SnapshotAppearance(prepared, config.generator_config().classes),
        renderer=SnapshotRenderer(config.generator_config(), config.seed, CPU),
        reporter=reporter,
    )
    return TrainingLoop(
        state=state,
        step_config=StepConfig.of(config, state, precision, total),
        schedule=Schedule.of(config, prepared.count),
        monitor=monitor,
        reporter=reporter,
        checkpoints=CheckpointManager(attempt, {}),
        publish=publish,
        stop_requested=lambda: False,
    )

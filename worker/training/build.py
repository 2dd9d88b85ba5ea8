"""Construction of the training loop of an attempt, with all that it reports to and writes."""

from __future__ import annotations

from models.store.publishing import TrainedRun
from worker.evaluation.evaluator import create_evaluator
from worker.training.context import Context, TrainingJob
from worker.training.devices.graphs import GraphRunner
from worker.training.guard.appearance import SnapshotAppearance
from worker.training.guard.findings import Rules
from worker.training.loop import TrainingLoop
from worker.training.monitor import Monitor
from worker.training.reporting.publisher import Publisher, software
from worker.training.reporting.snapshots import SnapshotRenderer
from worker.training.schedule import Schedule
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig


def build_loop(
    context: Context, job: TrainingJob, state: TrainingState, step_config: StepConfig, started_at: float
) -> TrainingLoop:
    log = context.reporter.log
    return TrainingLoop(
        state=state,
        step_config=step_config,
        schedule=Schedule.of(job.config, job.prepared.count),
        monitor=build_monitor(context, job, state),
        reporter=context.reporter,
        checkpoints=CheckpointManager(context.attempt, job.resolved.model_dump()),
        publish=build_publisher(context, job),
        stop_requested=context.stop_requested,
        run_updates=GraphRunner(step_config, state.device, log) if job.resolved.recorded else None,
        started_at=started_at,
    )


def build_monitor(context: Context, job: TrainingJob, state: TrainingState) -> Monitor:
    config, prepared, settings = job.config, job.prepared, context.settings
    generator = config.generator_config()
    return Monitor(
        state=state,
        annealed_images=job.resolved.annealed_images,
        total=config.total_images(prepared.count),
        count=prepared.count,
        rules=Rules.of(config, prepared.count, state.method.guarded),
        appearance=SnapshotAppearance(prepared, generator.classes),
        renderer=SnapshotRenderer(generator, config.seed, state.device),
        reporter=context.reporter,
        evaluator=create_evaluator(
            config,
            prepared,
            state.device,
            job.resolved.evaluation,
            settings.evaluation_dir,
            context.reporter.log,
            download=settings.fetch_inception,
            held_out=job.resolved.held_out,
        ),
    )


def build_publisher(context: Context, job: TrainingJob) -> Publisher:
    return Publisher(
        context.store,
        context.records,
        TrainedRun(context.run.claim, job.config, job.resolved.preset, software()),
        context.attempt.dir.parent,
        job.prepared,
        context.reporter,
    )

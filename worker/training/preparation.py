"""Preparation of an attempt: its configuration, data set, decisions and checkpoint, before anything is trained."""

from __future__ import annotations

from pydantic import ValidationError

from models.config.training import TrainingConfig
from models.datasets.catalogue import is_uploaded
from models.files import replace_file
from models.records import Run
from worker.data import mirroring
from worker.evaluation.schedule import explain_substitution
from worker.training.auto_preset import choose_configuration
from worker.training.context import Context, TrainingJob
from worker.training.dataset import open_dataset
from worker.training.failure import TrainingFailed
from worker.training.reporting.snapshots import real_grid
from worker.training.resolution import resolve
from worker.training.state.checkpoints import newest_valid


def prepare_job(context: Context) -> tuple[Context, TrainingJob]:
    """Complete the configuration of a run, open its data set, and find the checkpoint to resume from.

    Raises:
        TrainingFailed, DatasetProblem: a retry would fail too.
        StopRequested: the process was asked to stop.
        ClaimLost: another attempt owns the run.
    """
    settings, log = context.settings, context.reporter.log
    context = context.with_run(choose_configuration(context.run, context.records, settings, log))
    config = _read_configuration(context.run)
    prepared = open_dataset(config, context.records, settings, log, context.check_stop)
    checkpoint = newest_valid(context.attempt.dir.parent, log)
    resolved = resolve(config, settings, prepared, context.run.resolved)
    if is_uploaded(config.dataset) and context.run.resolved.get("data", resolved.data) != resolved.data:
        raise TrainingFailed(f'the data set "{config.dataset}" has changed since the run was started: start a new run')

    # Write what was decided before anything that depends on it.
    context.write_resolved(resolved)
    schedule, is_first = resolved.evaluation, "evaluation" not in context.run.resolved
    # Logged once in a run, not at every resumption.
    if schedule is not None and is_first and (substitution := explain_substitution(config, schedule)):
        log(substitution)
    if config.augment.mirror == "auto" and "mirrored" not in context.run.resolved:
        log(str(mirroring.judge(prepared)))
    context.write_start(config, resolved, checkpoint)
    replace_file(context.attempt.real, real_grid(prepared, config.generator_config().classes))
    return context, TrainingJob(config, prepared, resolved, checkpoint)


def _read_configuration(run: Run) -> TrainingConfig:
    try:
        return TrainingConfig.model_validate(run.config)
    except ValidationError as error:
        raise TrainingFailed(f"the run's configuration does not fit this version of the program: {error}") from error

"""One attempt at a run: prepare, resume, train, and an exit code that says how it ended.

It writes only into its own attempt's folder and, through the store, into the model directory. The process around it
(`worker.jobs.train`) passes the request to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from pydantic import ValidationError

from models.artifacts.attempts import Attempt
from models.config.training import TrainingConfig
from models.datasets.catalogue import is_uploaded
from models.files import replace_file
from models.records import Claim, ClaimLost, Records, RecordsUnavailable, Run
from worker.evaluation.schedule import explain_substitution
from worker.jobs.exit_codes import ExitCode
from worker.settings import WorkerSettings
from worker.training.auto_preset import choose_configuration
from worker.training.context import Context, Job, StopRequested
from worker.training.dataset import open_dataset
from worker.training.failure import FailureNote, TrainingFailed, explain
from worker.training.reporting.reporter import Reporter
from worker.training.reporting.snapshots import real_grid
from worker.training.resolution import resolve
from worker.training.state.checkpoints import newest_valid
from worker.training.trainer import train


def attempt_run(run_id: str, token: int, settings: WorkerSettings, stop_requested: Callable[[], bool]) -> ExitCode:
    """Work on a run, and turn errors into an exit code and a reason."""
    records = Records(settings.database_url)
    attempt = Attempt(settings.runs_dir / run_id, token)
    try:
        run = records.claimed_run(Claim("run", run_id, token))
        attempt.create()
        note = FailureNote(attempt.dir)
        try:
            context = Context(run, attempt, records, settings, Reporter(attempt), stop_requested)
            return train(*prepare_job(context))
        except Exception as error:
            reason = explain(error)
            if reason is None:
                raise
            note.write(reason)
            with suppress(OSError):  # the log may lie on the disk that is full
                _print(f"failed: {reason}")
            return ExitCode.REFUSED
        finally:
            note.discard()
    except StopRequested:
        return ExitCode.STOPPED
    except RecordsUnavailable as error:
        # Not the run's fault: its supervisor releases it once the database answers, and the next attempt resumes.
        _print(f"stopped: the database is unavailable ({error})")
        return ExitCode.STOPPED
    except ClaimLost as error:
        _print(str(error))
        return ExitCode.FENCED
    finally:
        records.close()


def prepare_job(context: Context) -> tuple[Context, Job]:
    """Choose what the run leaves open, open its data set, and find the checkpoint to resume from.

    Raises:
        TrainingFailed, DatasetProblem: there is a reason that a retry would not mend.
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

    # Write down what was decided, before anything can be seen of it.
    context.write_resolved(resolved)
    schedule, is_first = resolved.evaluation, "evaluation" not in context.run.resolved
    if schedule is not None and is_first and (substitution := explain_substitution(config, schedule)):
        log(substitution)
    context.write_start(config, resolved, checkpoint)
    replace_file(context.attempt.real, real_grid(prepared, config.generator_config().classes))
    return context, Job(config, prepared, resolved, checkpoint)


def _read_configuration(run: Run) -> TrainingConfig:
    try:
        return TrainingConfig.model_validate(run.config)
    except ValidationError as error:
        raise TrainingFailed(f"the run's configuration does not fit this version of the program: {error}") from error


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # standard output is the run's log

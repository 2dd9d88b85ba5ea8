"""One attempt at a run: prepare, resume, train, and an exit code that says how it ended.

It writes only into its own attempt's folder and, through the store, into the model directory. The process around it
(`worker.jobs.train`) passes the request to stop.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from models.artifacts.attempts import Attempt
from models.records import Claim, ClaimLost, Records, RecordsUnavailable
from worker.jobs.exit_codes import ExitCode, FailureNote
from worker.settings import WorkerSettings
from worker.training.context import Context, StopRequested
from worker.training.failure import explain
from worker.training.preparation import prepare_job
from worker.training.reporting.reporter import Reporter
from worker.training.trainer import train


def attempt_run(run_id: str, token: int, settings: WorkerSettings, stop_requested: Callable[[], bool]) -> ExitCode:
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
            # A reason means that a retry would end the same way: write it down for the row. Other errors are raised,
            # and the supervisor starts another attempt.
            reason = explain(error)
            if reason is None:
                raise
            note.write(reason)
            with suppress(OSError):  # the log may lie on the disk that is full
                _print(f"failed: {reason}")
            return ExitCode.REFUSED
        finally:
            # Frees the space that was reserved for a note on a full disk; a written note stays.
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


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # standard output is the run's log

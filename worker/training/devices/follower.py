"""Ranks other than the first: they run the rounds that rank 0 commands, decide nothing and write nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from models.artifacts.attempts import Attempt
from models.config.resolved import Resolved
from models.config.training import TrainingConfig
from models.records import Claim, ClaimLost, Records
from worker.data.prepared import read_prepared
from worker.jobs.exit_codes import ExitCode, FailureNote
from worker.settings import WorkerSettings
from worker.training.devices.memory import finer
from worker.training.devices.ranks import Command, join_ranks
from worker.training.failure import CannotContinue, TrainingFailed
from worker.training.resolution import devices_of
from worker.training.rounds import run_commands
from worker.training.setup import configure_torch, fit_slices, new_state

_POLL_SECONDS = 0.1


def follow(run_id: str, token: int, settings: WorkerSettings, stop_requested: Callable[[], bool]) -> ExitCode:
    """Wait until rank 0 has written the start of the attempt, then run its commands until it ends.

    Raises:
        RuntimeError: rank 0 is gone.
    """
    attempt = Attempt(settings.runs_dir / run_id, token)
    while not attempt.config.exists():
        if stop_requested():  # rank 0 does not rely on this rank yet, and reports the stop itself
            return ExitCode.COMPLETED
        time.sleep(_POLL_SECONDS)
    start = json.loads(attempt.config.read_text())
    config, resolved = TrainingConfig.model_validate(start["config"]), Resolved.model_validate(start["resolved"])
    ranks = join_ranks(devices_of(resolved))
    configure_torch(resolved)
    prepared = read_prepared(Path(ranks.broadcast()))
    if prepared is None:
        raise RuntimeError(f"rank {ranks.rank} does not find the prepared data set that rank 0 has opened")
    state = new_state(config, resolved, prepared, ranks)
    if ranks.command() is Command.SYNC_STATE:
        state.broadcast(ranks)
        try:
            # Every rank takes the same steps as `trainer.train`: both contain collective operations.
            step_config, slices = fit_slices(config, resolved, state, ranks)
            run_commands(state, step_config)
        except TrainingFailed:
            ranks.command()  # rank 0 has found the same, and sends the end
        except CannotContinue:  # memory ran out
            # This rank decides how the attempt ends: rank 0 waits in a collective operation that never completes.
            return _slice_finer(attempt, settings, resolved, partial(finer, state, step_config, slices))
    ranks.close()
    return ExitCode.COMPLETED


# Make the next attempt use smaller slices, or write the reason why there can be none.
def _slice_finer(attempt: Attempt, settings: WorkerSettings, resolved: Resolved, slices: Callable[[], int]) -> ExitCode:
    try:
        finer = resolved.model_copy(update={"accumulate": slices()})
    except TrainingFailed as error:
        FailureNote(attempt.dir).write(str(error))
        return ExitCode.REFUSED
    with closing(Records(settings.database_url)) as records:
        try:
            records.set_resolved(Claim("run", attempt.dir.parent.name, attempt.token), finer.row())
        except ClaimLost:
            return ExitCode.FENCED
    return ExitCode.STOPPED

"""A rank other than the first: it plays the rounds that rank 0 orders, decides nothing and writes nothing."""

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
from worker.jobs.exit_codes import ExitCode
from worker.settings import WorkerSettings
from worker.training.assembly import configure_torch, fitted, new_state, share
from worker.training.devices.memory import OutOfMemory, finer, translate_oom
from worker.training.devices.ranks import Order, Ranks, join
from worker.training.failure import FailureNote, TrainingFailed
from worker.training.methods.adversarial import play_round
from worker.training.methods.step_config import StepConfig
from worker.training.resolution import devices_of
from worker.training.state.state import TrainingState

_LOOK_SECONDS = 0.1


def follow(run_id: str, token: int, house: WorkerSettings, stop_wanted: Callable[[], bool]) -> ExitCode:
    """Wait until rank 0 has written down what the attempt is, then do as it says until it says that this is the end.

    Where this rank finds no room for a round, it says itself how the attempt ends: rank 0 waits for its share in vain.

    Raises:
        RuntimeError: rank 0 is gone.
    """
    attempt = Attempt(house.runs_dir / run_id, token)
    while not attempt.config.exists():
        if stop_wanted():  # before rank 0 relies on this one, whose end is rank 0's business, or rank 0's fault
            return ExitCode.COMPLETED
        time.sleep(_LOOK_SECONDS)
    begun = json.loads(attempt.config.read_text())
    config, resolved = TrainingConfig.model_validate(begun["config"]), Resolved.model_validate(begun["resolved"])
    ranks = join(devices_of(resolved))
    configure_torch(resolved)
    found = read_prepared(Path(ranks.tell()))
    if found is None:
        raise RuntimeError(f"rank {ranks.rank} does not find the prepared data set that rank 0 has opened")
    state = new_state(config, resolved, found, ranks)
    if ranks.order() is Order.SYNC_STATE:
        share(state, ranks)
        try:
            recipe, slices = fitted(config, resolved, state, ranks)
            obey(state, recipe, ranks)
        except TrainingFailed:
            ranks.order()  # rank 0 has found the same, and says that this is the end
        except OutOfMemory:
            return _slice_finer(attempt, house, resolved, partial(finer, state, recipe, slices))
    ranks.close()
    return ExitCode.COMPLETED


def obey(state: TrainingState, recipe: StepConfig, ranks: Ranks) -> None:
    """Play the rounds that rank 0 orders, and take its state over where it says so, until the end.

    Raises:
        OutOfMemory: this rank found no room for a round.
    """
    while (order := ranks.order()) is not Order.END:
        if order is Order.SYNC_STATE:
            share(state, ranks)
        else:
            with translate_oom():
                play_round(state, recipe, watched=order is Order.WATCHED_ROUND)


def _slice_finer(attempt: Attempt, house: WorkerSettings, resolved: Resolved, slices: Callable[[], int]) -> ExitCode:
    """Let the next attempt find room, in smaller slices, or say why none could."""
    try:
        finer = resolved.model_copy(update={"accumulate": slices()})
    except TrainingFailed as error:
        FailureNote(attempt.dir).write(str(error))
        return ExitCode.REFUSED
    with closing(Records(house.database_url)) as records:
        try:
            records.set_resolved(Claim("run", attempt.dir.parent.name, attempt.token), finer.row())
        except ClaimLost:
            return ExitCode.FENCED
    return ExitCode.STOPPED

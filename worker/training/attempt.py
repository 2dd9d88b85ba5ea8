"""One attempt at a run: reads its row, prepares, resumes, trains, and says how it ended.

It writes only into its own attempt's folder and, through `models.store.publishing`, into the model directory. The
process around it (`worker.jobs.train`) brings the wish to stop.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import ValidationError

from models.artifacts.attempts import Attempt
from models.config.resolved import Resolved
from models.config.training import TrainingConfig
from models.datasets.catalogue import is_uploaded
from models.files import replace_file
from models.records import Claim, ClaimLost, Records, RecordsUnavailable, Run
from models.store.local import LocalStore
from models.store.publishing import TrainedRun
from worker.data.prepared import Prepared
from worker.evaluation.evaluator import create_evaluator
from worker.evaluation.schedule import explain_substitution
from worker.jobs.exit_codes import ExitCode
from worker.settings import WorkerSettings
from worker.training.assembly import configure_torch, fitted, new_state, share
from worker.training.choice import settle
from worker.training.devices.compiled import compile_networks
from worker.training.devices.graphs import Recorder, Unrecordable
from worker.training.devices.memory import OutOfMemory, finer
from worker.training.devices.ranks import Order, Ranks, join
from worker.training.failure import FailureNote, TrainingFailed, explain
from worker.training.guard.diversity import SnapshotDiversity
from worker.training.guard.findings import Rules
from worker.training.loop import Loop
from worker.training.material import opened
from worker.training.methods.step_config import StepConfig
from worker.training.reporting.description import describe
from worker.training.reporting.publisher import Publisher, software
from worker.training.reporting.real_images import real_grid
from worker.training.reporting.reporter import Reporter
from worker.training.reporting.snapshots import SnapshotRenderer
from worker.training.resolution import devices_of, differences, resolve
from worker.training.schedule import Schedule
from worker.training.state.checkpoints import Checkpoint, newest_valid
from worker.training.state.manager import CheckpointManager
from worker.training.state.state import TrainingState


class StopWanted(Exception):
    """A stop was asked for before there was anything to keep."""


class Training:
    """One attempt at one run."""

    def __init__(
        self, run: Run, attempt: Attempt, records: Records, house: WorkerSettings, stop_wanted: Callable[[], bool]
    ) -> None:
        self._run = run
        self._attempt = attempt
        self._records = records
        self._house = house
        self._reporter = Reporter(attempt)
        self._stop_wanted = stop_wanted

    def work(self) -> ExitCode:
        """Prepare, resume, train.

        Raises:
            TrainingFailed, DatasetProblem: there is a reason that a retry would not mend.
            ClaimLost: another attempt owns the run.
        """
        self._run = settle(self._run, self._records, self._house, self._reporter.log)
        config = self._config()
        prepared = self._prepare(config)
        checkpoint = newest_valid(self._attempt.dir.parent, self._reporter.log)
        resolved = self._resolve(config, prepared)
        self._begin(config, resolved, checkpoint)
        replace_file(self._attempt.real, real_grid(prepared, config.generator_config().classes))

        ranks = join(devices_of(resolved))
        ranks.tell(str(prepared.path))
        return self._train(config, prepared, resolved, checkpoint, ranks)

    def _train(
        self,
        config: TrainingConfig,
        prepared: Prepared,
        resolved: Resolved,
        checkpoint: Checkpoint | None,
        ranks: Ranks,
    ) -> ExitCode:
        began = time.monotonic()
        configure_torch(resolved)
        print(describe(config), flush=True)  # noqa: T201  # standard output is the run's log
        state = new_state(config, resolved, prepared, ranks)
        try:
            if checkpoint is not None:
                self._restore(state, checkpoint, resolved)
            ranks.order(Order.SYNC_STATE)
            share(state, ranks)
            recipe, slices = fitted(config, resolved, state, ranks)
            found = self._found(resolved, state, recipe, slices)
            if found != resolved:
                resolved = found
                self._write_down(resolved)
                self._begin(config, resolved, checkpoint)
            reached = self._loop(config, prepared, resolved, state, recipe, began).run()
        except Unrecordable as error:
            self._stop_recording(resolved, str(error))
            return ExitCode.STOPPED
        except OutOfMemory as error:
            # Other ranks are in the middle of a round, and end when this one does.
            if resolved.recorded:  # what was recorded holds memory beside the round that found none
                self._stop_recording(resolved, str(error))
            else:
                sliced = finer(state, recipe, slices)
                self._tell_slices(resolved, sliced, f"from its newest checkpoint on ({error})")
                self._write_down(resolved.model_copy(update={"accumulate": sliced}))
            return ExitCode.STOPPED
        except TrainingFailed:
            ranks.close()
            raise
        ranks.close()
        return ExitCode.COMPLETED if reached else ExitCode.STOPPED

    def _found(self, resolved: Resolved, state: TrainingState, recipe: StepConfig, slices: int) -> Resolved:
        """Compile the networks if they are to be, and give what has turned out to be possible."""
        if slices != resolved.accumulate:
            self._tell_slices(resolved, slices, "from here on")
        # Each slice would be compiled for itself; slices turn random generators back, which cannot be recorded.
        whole = slices == 1
        compiled = whole and resolved.compiled and compile_networks(state, recipe, self._reporter.log)
        recorded = whole and resolved.recorded
        return resolved.model_copy(update={"accumulate": slices, "compiled": compiled, "recorded": recorded})

    def _stop_recording(self, resolved: Resolved, why: str) -> None:
        """Decide that rounds are no longer recorded, and tell."""
        self._reporter.log(
            f"rounds are not recorded as CUDA graphs, but played as they are from the newest checkpoint on: {why}"
        )
        self._write_down(resolved.model_copy(update={"recorded": False}))

    def _config(self) -> TrainingConfig:
        try:
            return TrainingConfig.model_validate(self._run.config)
        except ValidationError as error:
            raise TrainingFailed(
                f"the run's configuration does not fit this version of the program: {error}"
            ) from error

    def _prepare(self, config: TrainingConfig) -> Prepared:
        return opened(config, self._records, self._house, self._reporter.log, self._check_stop)

    def _check_stop(self, _done: int, _total: int) -> None:
        if self._stop_wanted():
            raise StopWanted

    def _resolve(self, config: TrainingConfig, prepared: Prepared) -> Resolved:
        resolved = resolve(config, self._house, prepared, self._run.resolved)
        if is_uploaded(config.dataset) and self._run.resolved.get("data", resolved.data) != resolved.data:
            raise TrainingFailed(
                f'the data set "{config.dataset}" is another one than when the run was started: start a new run'
            )
        self._write_down(resolved)
        schedule = resolved.evaluation
        is_first = "evaluation" not in self._run.resolved
        if schedule is not None and is_first and (substitution := explain_substitution(config, schedule)):
            self._reporter.log(substitution)
        return resolved

    def _write_down(self, resolved: Resolved) -> None:
        self._records.set_resolved(self._run.claim, resolved.row())

    def _tell_slices(self, resolved: Resolved, slices: int, when: str) -> None:
        """Tell that batches are cut into more slices."""
        each = resolved.batch_size // len(resolved.device_names)
        self._reporter.log(
            f"{resolved.device_name} has not the memory for {each // resolved.accumulate} images at a time: the run "
            f"takes {each // slices} at a time {when}, and adds up the gradients of {slices} such slices; a step is "
            f"still made of {resolved.batch_size} images"
        )

    def _begin(self, config: TrainingConfig, resolved: Resolved, checkpoint: Checkpoint | None) -> None:
        """Write down from where this attempt starts, before anything of it can be seen."""
        value = {
            "config": config.model_dump(mode="json"),
            "resolved": resolved.model_dump(),
            "start_images": 0 if checkpoint is None else checkpoint.position.images,
            "start_rollbacks": 0 if checkpoint is None else checkpoint.position.rollbacks,
            "resumed_from": None if checkpoint is None else checkpoint.name,
        }
        replace_file(self._attempt.config, json.dumps(value, indent=1).encode())

    def _restore(self, state: TrainingState, checkpoint: Checkpoint, resolved: Resolved) -> None:
        try:
            state.restore(checkpoint.tensors, checkpoint.values)
        except (KeyError, RuntimeError) as error:
            raise TrainingFailed(
                f"checkpoint {checkpoint.name} is of another configuration or of another version of the program, and "
                f"the run cannot go on from it: start a new run ({error})"
            ) from error
        checkpoint.tensors.clear()  # else they would fill as much memory again for as long as the run trains
        told = f"resumed from {checkpoint.name} at {checkpoint.images / 1000:g} kimg"
        if state.guard.rollbacks:
            told += f", with what {state.guard.rollbacks} rollbacks have changed"
        if changed := differences(checkpoint.facts, resolved):
            told += f"; not exact, a run never stopped would differ: {'; '.join(changed)}"
        self._reporter.log(told)

    def _loop(
        self,
        config: TrainingConfig,
        prepared: Prepared,
        resolved: Resolved,
        state: TrainingState,
        recipe: StepConfig,
        began: float,
    ) -> Loop:
        painter = SnapshotRenderer(config.generator_config(), config.seed, state.device)
        publisher = Publisher(
            LocalStore(self._house.model_dir),
            self._records,
            TrainedRun(self._run.claim, config, resolved.preset, software()),
            self._attempt.dir.parent,
            prepared,
            self._reporter,
        )
        return Loop(
            config=config,
            count=prepared.count,
            state=state,
            recipe=recipe,
            schedule=Schedule.of(config, prepared.count),
            painter=painter,
            reporter=self._reporter,
            keeper=CheckpointManager(self._attempt, resolved.model_dump()),
            publish=publisher,
            stop_wanted=self._stop_wanted,
            rules=Rules.of(config, prepared.count),
            snapshot_diversity=SnapshotDiversity(prepared, config.generator_config().classes),
            evaluator=create_evaluator(
                config,
                prepared,
                state.device,
                resolved.evaluation,
                self._house.evaluation_dir,
                self._reporter.log,
                download=self._house.fetch_inception,
            ),
            began=began,
            perform=Recorder(recipe, state.device, self._reporter.log) if resolved.recorded else None,
        )


def attempt_run(run_id: str, token: int, house: WorkerSettings, stop_wanted: Callable[[], bool]) -> ExitCode:
    """Work on a run, and turn what went wrong into an exit code and a reason."""
    records = Records(house.database_url)
    attempt = Attempt(house.runs_dir / run_id, token)
    try:
        run = records.claimed_run(Claim("run", run_id, token))
        attempt.create()
        note = FailureNote(attempt.dir)
        try:
            return Training(run, attempt, records, house, stop_wanted).work()
        except Exception as error:
            reason = explain(error)
            if reason is None:
                raise
            note.write(reason)
            with suppress(OSError):  # the log may lie on the disk that is full
                print(f"failed: {reason}", flush=True)  # noqa: T201  # standard output is the run's log
            return ExitCode.REFUSED
        finally:
            note.discard()
    except StopWanted:
        return ExitCode.STOPPED
    except RecordsUnavailable as error:
        # No fault of the run's: its supervisor hands it back once the database answers, and it goes on from there.
        print(f"stopped, for the database is away: {error}", flush=True)  # noqa: T201  # standard output is the log
        return ExitCode.STOPPED
    except ClaimLost as error:
        print(error, flush=True)  # noqa: T201  # standard output is the run's log
        return ExitCode.FENCED
    finally:
        records.close()

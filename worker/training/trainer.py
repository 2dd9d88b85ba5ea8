"""The trainer of an attempt on rank 0: state, resumption, slices and compilation, then the loop."""

from __future__ import annotations

import time
from dataclasses import replace

from models.config.resolved import Resolved
from worker.jobs.exit_codes import ExitCode
from worker.training.build import build_loop
from worker.training.context import Context, TrainingJob
from worker.training.devices.allocator import OutOfMemory
from worker.training.devices.compiled import compile_networks
from worker.training.devices.graphs import Unrecordable
from worker.training.devices.memory import finer
from worker.training.devices.ranks import Command, join_ranks
from worker.training.failure import TrainingFailed
from worker.training.resolution import changes, devices_of
from worker.training.setup import configure_torch, describe, fit_slices, fit_to_data, new_state
from worker.training.state.state import TrainingState
from worker.training.step_config import StepConfig
from worker.training.transfer import start_from


def train(context: Context, job: TrainingJob) -> ExitCode:
    """Train to the end, or until a stop is requested.

    Raises:
        TrainingFailed: a retry would fail too.
        ClaimLost: another attempt owns the run.
    """
    ranks = join_ranks(devices_of(job.resolved))
    # The others do not prepare the data: they open what rank 0 has opened.
    ranks.broadcast(str(job.prepared.path))
    started_at = time.monotonic()
    configure_torch(job.resolved)
    # Before the state is made: the summary draws initial weights from torch's generator, which the state seeds.
    print(describe(job.config), flush=True)  # noqa: T201  # standard output is the run's log
    state = new_state(job.config, job.resolved, job.prepared, ranks)
    try:
        # Resume, on all ranks.
        if job.checkpoint is not None:
            _restore(context, job, state)
        elif job.config.transfer is not None:
            start_from(job.config.transfer, state, context.store, context.reporter.log)
        if job.checkpoint is None:
            fit_to_data(job.config, job.resolved, state, job.prepared.count)
        ranks.command(Command.SYNC_STATE)
        state.broadcast(ranks)

        # Try memory and compilation, and write down the results.
        step_config, slices = fit_slices(job.config, job.resolved, state, ranks)
        resolved = _compile(context, job.resolved, state, step_config, slices)
        if resolved != job.resolved:
            job = replace(job, resolved=resolved)
            context.write_resolved(resolved)
            context.write_start(job.config, resolved, job.checkpoint)

        # Train.
        reached = build_loop(context, job, state, step_config, started_at).run()
    except Unrecordable as error:
        _stop_recording(context, job.resolved, str(error))
        return ExitCode.STOPPED
    except OutOfMemory as error:
        # Other ranks are in the middle of a round, and end when this one does.
        if job.resolved.recorded:  # recordings hold memory beside that of the round that ran out of it
            _stop_recording(context, job.resolved, str(error))
        else:
            _slice_finer(context, job.resolved, finer(state, step_config, slices), str(error))
        return ExitCode.STOPPED
    except TrainingFailed:
        ranks.close()
        raise
    ranks.close()
    return ExitCode.COMPLETED if reached else ExitCode.STOPPED


def _restore(context: Context, job: TrainingJob, state: TrainingState) -> None:
    checkpoint = job.checkpoint
    assert checkpoint is not None
    try:
        state.restore(checkpoint.tensors, checkpoint.values)
    except (KeyError, RuntimeError) as error:
        raise TrainingFailed(
            f"checkpoint {checkpoint.name} is of another configuration or of another version of the program, and the "
            f"run cannot resume from it: start a new run ({error})"
        ) from error
    checkpoint.tensors.clear()  # they would hold that memory again as long as the run trains
    message = f"resumed from {checkpoint.name} at {checkpoint.images / 1000:g} kimg"
    if state.guard.rollbacks:
        message += f", after {state.guard.rollbacks} rollbacks"
    if changed := changes(checkpoint.environment, job.resolved):
        message += f"; not exact, a run never stopped would differ: {'; '.join(changed)}"
    context.reporter.log(message)


def _compile(
    context: Context, resolved: Resolved, state: TrainingState, step_config: StepConfig, slices: int
) -> Resolved:
    if slices != resolved.accumulate:
        _log_slices(context, resolved, slices, "from here on")
    # With slices neither: each would be compiled by itself, and they reset random states, which cannot be recorded.
    whole = slices == 1
    compiled = whole and resolved.compiled and compile_networks(state, step_config, context.reporter.log)
    recorded = whole and resolved.recorded
    return resolved.model_copy(update={"accumulate": slices, "compiled": compiled, "recorded": recorded})


def _stop_recording(context: Context, resolved: Resolved, why: str) -> None:
    context.reporter.log(
        f"rounds are no longer recorded as CUDA graphs, but run eagerly from the newest checkpoint on: {why}"
    )
    context.write_resolved(resolved.model_copy(update={"recorded": False}))


def _slice_finer(context: Context, resolved: Resolved, slices: int, why: str) -> None:
    _log_slices(context, resolved, slices, f"from its newest checkpoint on ({why})")
    context.write_resolved(resolved.model_copy(update={"accumulate": slices}))


def _log_slices(context: Context, resolved: Resolved, slices: int, when: str) -> None:
    each = resolved.batch_size // len(resolved.device_names)
    context.reporter.log(
        f"{resolved.device_name} has not enough memory for {each // resolved.accumulate} images at a time: the run "
        f"takes {each // slices} at a time {when}, and accumulates the gradients of {slices} such slices; a step is "
        f"still made of {resolved.batch_size} images"
    )

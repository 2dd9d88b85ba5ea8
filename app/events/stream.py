"""Server-sent events of runs, data sets and models, read from files and rows.

An event's id is its position in the run's files.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from fastapi.sse import format_sse_event
from starlette.responses import StreamingResponse

from app.datasets import views as datasets
from app.runs import views as runs
from app.state import AppState
from models.artifacts.events import Event, EventId, EventTail
from models.datasets.catalogue import BUILTIN
from models.records import RecordsUnavailable, Run, State
from models.store.catalogue import ModelInfo

POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2000
MAX_RUNS = 200
UNFINISHED: tuple[State, ...] = ("running", "queued", "paused")

Frames = AsyncGenerator[bytes]


class EventStream(StreamingResponse):
    """A streaming response without buffering or caching by proxies."""

    media_type = "text/event-stream"

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def _frame(type: str, data: dict[str, Any], id: EventId | None = None) -> bytes:  # noqa: A002  # the names of the format
    return format_sse_event(event=type, data_str=json.dumps(data), id=None if id is None else str(id))


def _file_frame(run_id: str, event: Event) -> bytes:
    return _frame(event.type, {"run": run_id, "time": event.time, **event.data}, event.id)


class RunFollower:
    """Follows one run: its row, and new events in its files."""

    def __init__(self, app_state: AppState, run: Run, after: EventId | None = None) -> None:
        self.app_state = app_state
        self.run = run
        self.tail = EventTail(app_state.settings.runs_dir / run.id, after)
        self._sent: tuple[object, ...] | None = None

    @property
    def ended(self) -> bool:
        """Whether the run is final; only a resume can add events."""
        return self.run.state in runs.ENDED

    def poll(self) -> list[bytes]:
        """Return new frames: events of the files, then a changed state; without the database only the events."""
        run = self.run
        # Read the row first: events that were written before it changed are then included.
        with suppress(RecordsUnavailable):
            run = self.app_state.records.get_run(run.id) or run
        frames = [_file_frame(run.id, event) for event in self.tail.read()]
        with suppress(RecordsUnavailable):
            frames += self.read_row(run)
        return frames

    def read_row(self, run: Run) -> list[bytes]:
        """Return a state frame, without an id, if the row has changed since the last one sent."""
        self.run = run
        position = self.app_state.records.queue_position(run)
        snapshot = run.state, run.wanted, run.token, run.failures, run.error, run.config, run.resolved, position
        if snapshot == self._sent:
            return []
        # No id: a row is in no file, and its changes cannot be replayed.
        state = {"run": run.id, **runs.view(self.app_state, run).model_dump(mode="json")}
        self._sent = snapshot
        return [_frame("state", state)]


async def follow_run(follower: RunFollower) -> Frames:
    """Yield the current state, the history, then live events; ends when the run is final."""
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    for part in await asyncio.to_thread(follower.read_row, follower.run):
        yield part
    async for part in _poll(follower.app_state, follower.poll, lambda: follower.ended):
        yield part


class ServiceFollower:
    """Follows all unfinished runs, the data sets and the models."""

    def __init__(self, app_state: AppState) -> None:
        self.app_state = app_state
        self._runs: dict[str, RunFollower] = {}
        self._models = _model_states(app_state.store.models())
        self._datasets: dict[str, dict[str, Any]] | None = None

    def poll(self) -> list[bytes]:
        """Return the frames of all changes since the last call."""
        with suppress(RecordsUnavailable):
            self._find_runs()
        frames = [part for follower in self._runs.values() for part in follower.poll()]
        self._runs = {run_id: follower for run_id, follower in self._runs.items() if not follower.ended}
        with suppress(RecordsUnavailable):
            frames += self._dataset_frames()
        return frames + self._model_frames()

    def _find_runs(self) -> None:
        # Only events from now on: the history is in `/train/ID/events`.
        for state in UNFINISHED:
            for run in self.app_state.records.list_runs(state, limit=MAX_RUNS)[0]:
                if run.id not in self._runs and len(self._runs) < MAX_RUNS:
                    self._runs[run.id] = follower = RunFollower(self.app_state, run)
                    follower.tail.skip()

    def _dataset_frames(self) -> list[bytes]:
        # The first call reports the data sets that are being prepared, later ones every change.
        views = [datasets.builtin_view(self.app_state, dataset) for dataset in BUILTIN.values()]
        views += [datasets.upload_view(row) for row in self.app_state.records.list_datasets()]
        states = {view.name: view.model_dump(mode="json") for view in views}
        before = self._datasets
        if before is None:
            before = {name: state for name, state in states.items() if state["state"] != "preparing"}
        self._datasets = states
        gone = {"state": "deleted"}
        return [
            _frame("dataset", {"dataset": name, **states.get(name, gone)})
            for name in sorted(before.keys() | states.keys())
            if before.get(name) != states.get(name)
        ]

    def _model_frames(self) -> list[bytes]:
        before, self._models = self._models, _model_states(self.app_state.store.models())
        names = sorted(before.keys() | self._models.keys())
        gone: dict[str, Any] = {"versions": {}, "aliases": {}}
        return [
            _frame("model", {"model": name, **self._models.get(name, gone)})
            for name in names
            if before.get(name) != self._models.get(name)
        ]


def _model_states(models: list[ModelInfo]) -> dict[str, dict[str, Any]]:
    return {
        model.name: {"versions": {v.number: v.state for v in model.versions}, "aliases": model.aliases}
        for model in models
    }


async def follow_service(follower: ServiceFollower) -> Frames:
    """Yield the state of every unfinished run, then all changes."""
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    async for part in _poll(follower.app_state, follower.poll, lambda: False):
        yield part


async def _poll(app_state: AppState, poll: Callable[[], list[bytes]], ended: Callable[[], bool]) -> Frames:
    """Poll, yield and wait for the next change, until `ended()` or shutdown."""
    # Notifications only trigger the next read; without them everything is read once a second. No state is kept between
    # connections: ids are positions in files.
    last_sent = time.monotonic()
    while not app_state.stopping:
        changed = app_state.notifications.next()
        for part in await asyncio.to_thread(poll):
            last_sent = time.monotonic()
            yield part
        if ended():
            return
        if time.monotonic() - last_sent > HEARTBEAT_SECONDS:
            last_sent = time.monotonic()
            yield format_sse_event(comment="heartbeat")
        with suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), POLL_SECONDS)

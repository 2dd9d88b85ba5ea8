"""Server-sent events: what happens to runs, data sets and models, read from files and rows, as it happens.

Redis only says when to look; without it everything is looked at once a second. Nothing is remembered here between two
connections: an event's id is its place in the run's files.
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
    """An answer that goes on; nothing between here and the client should keep it."""

    media_type = "text/event-stream"

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


def _frame(type: str, data: dict[str, Any], id: EventId | None = None) -> bytes:  # noqa: A002  # the format's words
    return format_sse_event(event=type, data_str=json.dumps(data), id=None if id is None else str(id))


def _file_frame(run_id: str, event: Event) -> bytes:
    return _frame(event.type, {"run": run_id, "time": event.time, **event.data}, event.id)


class RunFollower:
    """Looks at one run: its row, and the events that its files have gained since."""

    def __init__(self, app_state: AppState, run: Run, after: EventId | None = None) -> None:
        self.app_state = app_state
        self.run = run
        self.tail = EventTail(app_state.settings.runs_dir / run.id, after)
        self._shown: tuple[object, ...] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come unless somebody resumes the run."""
        return self.run.state in runs.ENDED

    def look(self) -> list[bytes]:
        """Give what is new, the files' events first; where the database is away, only those."""
        run = self.run
        # The row is read first: what was written before it changed is then among the events.
        with suppress(RecordsUnavailable):
            run = self.app_state.records.get_run(run.id) or run
        frames = [_file_frame(run.id, event) for event in self.tail.read()]
        with suppress(RecordsUnavailable):
            frames += self.look_at(run)
        return frames

    def look_at(self, run: Run) -> list[bytes]:
        """Give the state that a row tells, if it is not the one that was given last; it has no id, being in no file."""
        self.run = run
        position = self.app_state.records.queue_position(run)
        face = run.state, run.wanted, run.token, run.failures, run.error, run.config, run.resolved, position
        if face == self._shown:
            return []
        state = {"run": run.id, **runs.view(self.app_state, run).model_dump(mode="json")}
        self._shown = face
        return [_frame("state", state)]


async def follow_run(follower: RunFollower) -> Frames:
    """Send the present state, then the history, then what comes; ends after a run that has ended."""
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    for part in await asyncio.to_thread(follower.look_at, follower.run):
        yield part
    async for part in _looking(follower.app_state, follower.look, lambda: follower.ended):
        yield part


class ServiceFollower:
    """Looks at every run that is not finished, at the data sets and at the models."""

    def __init__(self, app_state: AppState) -> None:
        self.app_state = app_state
        self._runs: dict[str, RunFollower] = {}
        self._models = _faces(app_state.store.models())
        self._datasets: dict[str, dict[str, Any]] | None = None

    def look(self) -> list[bytes]:
        """Give what is new about any of them."""
        with suppress(RecordsUnavailable):
            self._find_runs()
        frames = [part for follower in self._runs.values() for part in follower.look()]
        self._runs = {run_id: follower for run_id, follower in self._runs.items() if not follower.ended}
        with suppress(RecordsUnavailable):
            frames += self._look_at_datasets()
        return frames + self._look_at_models()

    def _find_runs(self) -> None:
        """Begin to follow what is not finished, from here on: history is in `/train/ID/events`."""
        for state in UNFINISHED:
            for run in self.app_state.records.list_runs(state, limit=MAX_RUNS)[0]:
                if run.id not in self._runs and len(self._runs) < MAX_RUNS:
                    self._runs[run.id] = follower = RunFollower(self.app_state, run)
                    follower.tail.skip()

    def _look_at_datasets(self) -> list[bytes]:
        """Tell of uploaded data sets that are being prepared, then of any that changes."""
        views = [datasets.builtin_view(self.app_state, dataset) for dataset in BUILTIN.values()]
        views += [datasets.upload_view(row) for row in self.app_state.records.list_datasets()]
        faces = {view.name: view.model_dump(mode="json") for view in views}
        before = self._datasets
        if before is None:
            before = {name: face for name, face in faces.items() if face["state"] != "preparing"}
        self._datasets = faces
        gone = {"state": "deleted"}
        return [
            _frame("dataset", {"dataset": name, **faces.get(name, gone)})
            for name in sorted(before.keys() | faces.keys())
            if before.get(name) != faces.get(name)
        ]

    def _look_at_models(self) -> list[bytes]:
        before, self._models = self._models, _faces(self.app_state.store.models())
        names = sorted(before.keys() | self._models.keys())
        gone: dict[str, Any] = {"versions": {}, "aliases": {}}
        return [
            _frame("model", {"model": name, **self._models.get(name, gone)})
            for name in names
            if before.get(name) != self._models.get(name)
        ]


def _faces(models: list[ModelInfo]) -> dict[str, dict[str, Any]]:
    return {
        model.name: {"versions": {v.number: v.state for v in model.versions}, "aliases": model.aliases}
        for model in models
    }


async def follow_service(follower: ServiceFollower) -> Frames:
    """Send the state of every unfinished run, then what comes."""
    yield format_sse_event(retry=RETRY_MILLISECONDS)
    async for part in _looking(follower.app_state, follower.look, lambda: False):
        yield part


async def _looking(app_state: AppState, look: Callable[[], list[bytes]], ended: Callable[[], bool]) -> Frames:
    """Look, send, wait for news, and so on until it has ended or the service stops."""
    spoke = time.monotonic()
    while not app_state.stopping:
        news = app_state.notifications.next()
        for part in await asyncio.to_thread(look):
            spoke = time.monotonic()
            yield part
        if ended():
            return
        if time.monotonic() - spoke > HEARTBEAT_SECONDS:
            spoke = time.monotonic()
            yield format_sse_event(comment="still here")
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), POLL_SECONDS)

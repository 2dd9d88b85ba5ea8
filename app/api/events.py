"""`/train/ID/events` and `/events`: server-sent events; `app.events.stream` makes them."""

from __future__ import annotations

from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from app.api.dependencies import AppStateDep, no_query
from app.events.stream import EventStream, Frames, RunFollower, ServiceFollower, follow_run, follow_service
from app.http.problems import invalid, responses, retry_later
from app.runs import views as runs
from app.security.keys import Requires
from app.state import AppState
from models.artifacts.events import EventId, read_events

router = APIRouter(tags=["events"], dependencies=[Requires("train"), Depends(no_query)])

LastEventId = Annotated[
    str | None, Header(description="continue after this event; browsers send it automatically", examples=["1.42"])
]

_EXAMPLE = 'event: tick\ndata: {"run": "…", "kimg": 512.0, "loss_d": 1.2, "loss_g": 0.9}\nid: 1.42\n\n'
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EXAMPLE}}}
}


@router.get(
    "/train/{run_id}/events",
    summary="One run's events",
    response_class=StreamingResponse,
    responses={
        **_STREAM,
        204: {"description": "the run is final and the client has all events: it should not reconnect"},
        **responses(404, 503),
    },
)
async def run_events(run_id: str, app_state: AppStateDep, last_event_id: LastEventId = None) -> Response:
    """Send `state`, then the run's history from the start or after `Last-Event-ID`, then live events.

    Types are `state` `tick` `snapshot` `score` `health` `published` `log`. A `state` event without an id is the run
    as `GET /train/ID` returns it; it comes first, and whenever the row changes. The stream of a final run ends, and a
    browser that reconnects with the last id gets 204, which stops it.
    """
    run = await run_in_threadpool(runs.find, app_state, run_id)
    after = _parse(last_event_id)
    if (
        after is not None
        and run.state in runs.ENDED
        and not await run_in_threadpool(_has_more, app_state, run.id, after)
    ):
        return Response(status_code=204)
    return EventStream(_limited(app_state, follow_run(RunFollower(app_state, run, after))))


@router.get(
    "/events",
    summary="All events",
    response_class=StreamingResponse,
    responses={**_STREAM, **responses(503)},
)
async def all_events(app_state: AppStateDep) -> Response:
    """Send the `state` of every unfinished run, then the events of all runs, and changes of a `dataset` or `model`.

    Each event's data contains `run`, `dataset` or `model`. `Last-Event-ID` is ignored: a client that reconnects gets
    the current state again, and reads `GET /train` for runs that have ended since, or `GET /train/ID/ticks` for the
    ticks that it missed.
    """
    return EventStream(_limited(app_state, follow_service(ServiceFollower(app_state))))


def _has_more(app_state: AppState, run_id: str, after: EventId) -> bool:
    return bool(read_events(app_state.settings.runs_dir / run_id, after))


def _parse(last_event_id: str | None) -> EventId | None:
    if last_event_id is None:
        return None
    try:
        return EventId.parse(last_event_id)
    except ValueError as error:
        raise invalid([{"loc": ("header", "Last-Event-ID"), "msg": str(error)}]) from error


def _limited(app_state: AppState, frames: Frames) -> Frames:
    if app_state.streams >= app_state.settings.max_streams:
        raise retry_later("Too many streams", f"{app_state.streams} event streams are open, which is the limit", 10)
    return _counted(app_state, frames)


async def _counted(app_state: AppState, frames: Frames) -> Frames:
    app_state.streams += 1
    try:
        async with aclosing(frames) as open_frames:
            async for part in open_frames:
                yield part
    finally:
        app_state.streams -= 1

"""A run's artifacts: ticks, loss chart, snapshots, time-lapse, log; and publishing a snapshot as a version."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from PIL import Image
from pydantic import BaseModel, Field

from app.api.dependencies import AppStateDep, no_query
from app.http.headers import etag, matches_etag
from app.http.paging import Page, PagingQuery, page
from app.http.problems import Problem, phrase, responses
from app.runs import views as runs
from app.runs.publish import PublishedView, publish_snapshot
from app.sampling.encoders import ANIMATION_TYPES
from app.security.keys import Requires
from models.artifacts import history
from models.artifacts.attempts import Attempt, kimg_name, list_attempts
from models.artifacts.history import Snapshot
from models.artifacts.payloads import Tick
from models.config.values import Frozen
from models.pictures import Animation, AnimationFormat, Pixels, animation_encoder, loss_chart
from models.scores import Score

router = APIRouter(prefix="/train/{run_id}", tags=["train"], dependencies=[Requires("train")])

_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
_LOG_CHUNK = 1 << 16


class TicksQuery(Frozen):
    """Format of the response."""

    format: Literal["json", "csv"] = "json"


class Ticks(BaseModel):
    """All ticks, oldest first."""

    items: list[Tick]


class SnapshotView(BaseModel):
    """A grid of images from the run's fixed latents."""

    kimg: float
    picture: str = Field(examples=["/train/ID/snapshots/512.0.png"])
    publishable: bool = Field(description="whether its weights are still stored")
    scores: dict[str, Score] = Field(description="empty if it was not evaluated")


class TimelapseQuery(Frozen):
    """Format and speed of the animation."""

    format: AnimationFormat = "webp"
    fps: Annotated[float, Field(ge=0.1, le=60, description="pictures per second")] = 10.0


class LogQuery(Frozen):
    """Length of the excerpt."""

    tail: Annotated[int | None, Field(ge=1, le=100_000, description="only the last lines")] = None


class PublishRequest(Frozen):
    """Position of the snapshot."""

    kimg: Annotated[float, Field(ge=0, examples=[512.0])]


@router.get(
    "/ticks",
    summary="A run's ticks",
    response_model=Ticks,
    responses={200: {"content": {"text/csv": {}}}, **responses(404, 503)},
)
def ticks(run_id: str, query: Annotated[TicksQuery, Query()], app_state: AppStateDep) -> Any:
    """Return every tick as one history, without the ticks that a resume has undone."""
    items = history.read_ticks(_run_dir(app_state, run_id))
    if query.format == "json":
        return Ticks(items=items)
    name = f'attachment; filename="{run_id}-ticks.csv"'
    return Response(to_csv(items), media_type="text/csv", headers={"Content-Disposition": name})


def to_csv(items: list[Tick]) -> str:
    """Return ticks as CSV, with a column per field of any tick, in order of appearance."""
    columns = list(dict.fromkeys(name for item in items for name in item))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(items)
    return text.getvalue()


@router.get(
    "/losses.png",
    summary="A run's loss curves",
    dependencies=[Depends(no_query)],
    response_class=Response,
    responses={**_PNG, **responses(404, 503)},
)
def losses(run_id: str, app_state: AppStateDep, request: Request) -> Response:
    """Plot the losses, D(x) and D(G(z)), with the values at equilibrium if the loss has them."""
    run = runs.find(app_state, run_id)
    items = history.read_ticks(_run_dir(app_state, run_id))

    def draw() -> Response:
        with app_state.rendering:
            chart = loss_chart(items, f"{run.model}: {run.preset} on {run.dataset}")
        return Response(chart, media_type="image/png")

    return _cached(request, etag(run.id, len(items), items[-1:]), draw)


@router.get("/snapshots", summary="A run's snapshots", responses=responses(404, 503))
def snapshots(run_id: str, paging: PagingQuery, app_state: AppStateDep) -> Page[SnapshotView]:
    """List the grids of fixed latents, oldest first."""
    found = history.list_snapshots(_run_dir(app_state, run_id))
    return page({kimg_name(snapshot.images): _view(run_id, snapshot) for snapshot in found}, paging)


def _view(run_id: str, snapshot: Snapshot) -> SnapshotView:
    evaluation = snapshot.evaluation()
    return SnapshotView(
        kimg=snapshot.kimg,
        picture=f"/train/{run_id}/snapshots/{snapshot.kimg}.png",
        publishable=snapshot.weights is not None,
        scores=evaluation.scores if evaluation is not None else {},
    )


@router.get(
    "/snapshots/{kimg}.png",
    summary="One snapshot",
    dependencies=[Depends(no_query)],
    response_class=FileResponse,
    responses={**_PNG, **responses(404, 503)},
)
def snapshot_picture(run_id: str, kimg: float, app_state: AppStateDep, request: Request) -> Response:
    """Return the snapshot at a position."""
    return _file(request, _snapshot(app_state, run_id, kimg).picture, run_id, kimg)


def _file(request: Request, picture: Path, *parts: object) -> Response:
    status = picture.stat()
    tag = etag(*parts, status.st_mtime_ns, status.st_size)
    return _cached(request, tag, lambda: FileResponse(picture, media_type="image/png"))


@router.get(
    "/real.png",
    summary="Real images of a run",
    dependencies=[Depends(no_query)],
    response_class=FileResponse,
    responses={**_PNG, **responses(404, 503)},
)
def real_picture(run_id: str, app_state: AppStateDep, request: Request) -> Response:
    """Return real images of the run's data set, laid out as its snapshots."""
    picture = history.find_real_grid(_run_dir(app_state, run_id))
    if picture is None:
        raise Problem(404, phrase(404), f"run {run_id} has not read its data set yet")
    return _file(request, picture, run_id)


@router.get(
    "/timelapse",
    summary="A run as an animation",
    response_class=Response,
    responses={200: {"content": {media_type: {} for media_type in ANIMATION_TYPES.values()}}, **responses(404, 503)},
)
def timelapse(
    run_id: str, query: Annotated[TimelapseQuery, Query()], app_state: AppStateDep, request: Request
) -> Response:
    """Return an animation of the snapshots."""
    found = history.list_snapshots(_run_dir(app_state, run_id))
    if not found:
        raise Problem(404, phrase(404), f"run {run_id} has no snapshots yet")

    def animate() -> Response:
        with app_state.rendering:
            animation = Animation(query.format, query.fps, len(found))
            chunks = [animation.add(_pixels(snapshot.picture)) for snapshot in found]
            return Response(b"".join([*chunks, animation.end()]), media_type=ANIMATION_TYPES[query.format])

    positions = [(snapshot.token, snapshot.images) for snapshot in found]
    return _cached(request, etag(run_id, animation_encoder(query.format), query.format, query.fps, positions), animate)


def _pixels(picture: Path) -> Pixels:
    with Image.open(picture) as image:
        pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return pixels.reshape(*pixels.shape[:2], -1)


@router.get(
    "/log",
    summary="A run's log",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/plain": {}}}, **responses(404, 503)},
)
def log(run_id: str, query: Annotated[LogQuery, Query()], app_state: AppStateDep) -> Response:
    """Return the output of the training processes, attempt by attempt."""
    found = list_attempts(_run_dir(app_state, run_id))
    if query.tail is None:
        return StreamingResponse(_all_lines(found), media_type="text/plain")
    return Response(b"".join(_last_lines(found, query.tail)), media_type="text/plain")


def _heading(attempt: Attempt) -> bytes:
    return f"--- attempt {attempt.token}\n".encode()


def _all_lines(found: list[Attempt]) -> Iterator[bytes]:
    for attempt in found:
        if attempt.log.exists():
            yield _heading(attempt)
            with attempt.log.open("rb") as file:
                while chunk := file.read(_LOG_CHUNK):
                    yield chunk


def _last_lines(found: list[Attempt], count: int) -> list[bytes]:
    """Return the last `count` lines with the headings of their attempts, oldest first."""
    parts: list[bytes] = []
    for attempt in reversed(found):
        if count <= 0:
            break
        lines = _tail(attempt.log, count)
        count -= len(lines)
        parts[:0] = [_heading(attempt), *lines] if lines else []
    return parts


def _tail(path: Path, count: int) -> list[bytes]:
    """Return the last `count` lines of a file, read backwards in growing steps."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, io.SEEK_END)
        reach = _LOG_CHUNK
        while True:
            file.seek(max(0, size - reach))
            lines = file.read().splitlines(keepends=True)
            if len(lines) > count or reach >= size:
                return lines[-count:]
            reach *= 4


@router.post(
    "/publish",
    status_code=201,
    summary="Publish a snapshot as a version",
    dependencies=[Depends(no_query)],
    responses=responses(404, 409, 503),
)
def publish(run_id: str, request: PublishRequest, app_state: AppStateDep, response: Response) -> PublishedView:
    """Publish the averaged generator of a snapshot; a repeat returns the same version."""
    run = runs.find(app_state, run_id)
    published = publish_snapshot(app_state, run, _snapshot(app_state, run_id, request.kimg))
    if published.already:
        response.status_code = 200
    response.headers["Location"] = f"/models/{published.model}@{published.version}"
    return published


def _run_dir(app_state: AppStateDep, run_id: str) -> Path:
    return app_state.settings.runs_dir / runs.find(app_state, run_id).id


def _snapshot(app_state: AppStateDep, run_id: str, kimg: float) -> Snapshot:
    for snapshot in history.list_snapshots(_run_dir(app_state, run_id)):
        # Positions are whole images, so two of them differ by at least one.
        if abs(snapshot.images - kimg * 1000) < 0.5:
            return snapshot
    raise Problem(404, phrase(404), f"run {run_id} has no snapshot at {kimg:g} kimg: /train/{run_id}/snapshots has all")


def _cached(request: Request, tag: str, make: Callable[[], Response]) -> Response:
    """Return 304 if the client has the response, else make it; clients must revalidate."""
    has = matches_etag(request.headers.getlist("if-none-match"), tag)
    response = Response(status_code=304) if has else make()
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "no-cache"
    return response

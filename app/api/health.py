"""`/healthz`, `/readyz`, `/metrics`: how the service is, for machines."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from app.api.dependencies import AppStateDep, no_query
from app.http.problems import Problem, phrase, responses
from app.metrics import CONTENT_TYPE
from app.security.keys import Requires
from app.state import AppState
from models.records import RecordsUnavailable

router = APIRouter(tags=["health"], dependencies=[Depends(no_query)])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether pictures can be had at once, and the state of what sampling does not need."""

    status: Literal["ready"] = "ready"
    detail: str = Field(examples=["digits@3 is loaded"])
    redis: str = Field(examples=["up"], description="up, away, or none where none is configured")
    database: str = Field(examples=["up"], description="up or away")
    workers: str = Field(
        examples=["1 train, 1 background"], description="by queue; none, or unknown without the database"
    )


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Alive:
    """Answer, whatever else may be away."""
    return Alive()


@router.get("/readyz", summary="Is the default model loaded and warm?", responses=responses(503))
def readyz(app_state: AppStateDep) -> Ready:
    """Answer 200 when it is, else 503 and why. Redis, database and workers are told, and decide nothing."""
    ready, reason = app_state.engine.ready()
    services = {"redis": app_state.notifications.state, **_records(app_state)}
    if not ready:
        raise Problem(503, phrase(503), reason, headers={"Retry-After": "1"}, members=services)
    return Ready.model_validate({"detail": reason, **services})


def _records(app_state: AppState) -> dict[str, str]:
    try:
        seen = app_state.workers()
    except RecordsUnavailable:
        return {"database": "away", "workers": "unknown"}
    queues = Counter(worker.queue for worker in seen)
    return {"database": "up", "workers": ", ".join(f"{n} {queue}" for queue, n in sorted(queues.items())) or "none"}


@router.get(
    "/metrics",
    summary="Figures for Prometheus",
    response_class=Response,
    dependencies=[Requires("sample")],
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(app_state: AppStateDep) -> Response:
    """Count requests, images, runs, streams and loaded versions; per model what became of its requests, and times."""
    figures = app_state.metrics
    # Here on the loop, whose figures they are; what takes long is done in a thread.
    figures.wait.set(app_state.engine.admission.seconds_ahead())
    figures.flight.set(app_state.engine.admission.bytes)
    figures.cache.set(app_state.answer_cache.bytes)
    figures.streams.set(app_state.streams)
    figures.loaded.set(len(app_state.engine.loaded()))
    figures.up.labels("redis").set(app_state.notifications.state == "up")
    try:
        for state, count in (await asyncio.to_thread(app_state.records.count_runs)).items():
            figures.runs.labels(state).set(count)
        figures.up.labels("database").set(1)
    except RecordsUnavailable:
        figures.up.labels("database").set(0)
    return Response(await asyncio.to_thread(figures.render), media_type=CONTENT_TYPE)

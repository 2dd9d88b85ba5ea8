"""`/healthz`, `/readyz`, `/metrics`: liveness, readiness and Prometheus metrics."""

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
    """The process responds."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Readiness to sample, and the state of services that sampling does not need."""

    status: Literal["ready"] = "ready"
    detail: str = Field(examples=["digits@3 is loaded"])
    redis: str = Field(examples=["up"], description="up, away, or none if none is configured")
    database: str = Field(examples=["up"], description="up or away")
    workers: str = Field(
        examples=["1 train, 1 background"], description="by queue; none, or unknown without the database"
    )


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Alive:
    """Respond, independent of other services."""
    return Alive()


@router.get("/readyz", summary="Is the default model loaded and warm?", responses=responses(503))
def readyz(app_state: AppStateDep) -> Ready:
    """Respond with 200 if ready, else 503 with the reason. Redis, the database and the workers do not count."""
    ready, reason = app_state.engine.ready()
    services = {"redis": app_state.notifications.state, **_records(app_state)}
    if not ready:
        raise Problem(503, phrase(503), reason, headers={"Retry-After": "1"}, members=services)
    return Ready.model_validate({"detail": reason, **services})


def _records(app_state: AppState) -> dict[str, str]:
    try:
        workers = app_state.workers()
    except RecordsUnavailable:
        return {"database": "away", "workers": "unknown"}
    queues = Counter(worker.queue for worker in workers)
    return {"database": "up", "workers": ", ".join(f"{n} {queue}" for queue, n in sorted(queues.items())) or "none"}


@router.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=Response,
    dependencies=[Requires("sample")],
    responses={200: {"content": {"text/plain": {}}}},
)
async def metrics(app_state: AppStateDep) -> Response:
    """Return counts of requests, images, runs and streams, and per model the outcomes and times of requests."""
    registry = app_state.metrics
    # Read on the event loop, which owns these values; the slow parts run in a thread.
    registry.wait.set(app_state.engine.admission.seconds_ahead())
    registry.flight.set(app_state.engine.admission.bytes)
    registry.cache.set(app_state.answer_cache.bytes)
    registry.streams.set(app_state.streams)
    registry.loaded.set(len(app_state.engine.loaded()))
    registry.up.labels("redis").set(app_state.notifications.state == "up")
    try:
        for state, count in (await asyncio.to_thread(app_state.records.count_runs)).items():
            registry.runs.labels(state).set(count)
        registry.up.labels("database").set(1)
    except RecordsUnavailable:
        registry.up.labels("database").set(0)
    return Response(await asyncio.to_thread(registry.render), media_type=CONTENT_TYPE)

"""Publication of a run's snapshot as a version, on request."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.http.problems import Problem, phrase, retry_later
from app.state import AppState
from models.artifacts.history import Snapshot
from models.config.training import TrainingConfig
from models.records import ClaimLost, Run
from models.store.publishing import TrainedRun, publish


class PublishedView(BaseModel):
    """A version made from a snapshot."""

    model: str
    version: int
    kimg: float
    already: bool = Field(description="it had been published before")


def publish_snapshot(app_state: AppState, run: Run, snapshot: Snapshot) -> PublishedView:
    """Publish the averaged generator at a snapshot; reads and writes files, so call it from a thread.

    Raises:
        Problem: 409, its weights are no longer kept; 503, the run changed hands meanwhile, or a file could not be
            written.
    """
    draft = _trained_run(run).draft(
        snapshot.images, _weights(run, snapshot), snapshot.picture.read_bytes(), snapshot.evaluation()
    )
    try:
        published = publish(app_state.store, app_state.records, draft)
    except ClaimLost as error:
        raise retry_later(
            "Run changed hands", f"{error}: nothing was published; another worker has just taken the run, try again", 1
        ) from error
    except OSError as error:
        raise retry_later("Not written", f"the version could not be written: {error.strerror}", 30) from error
    app_state.store.refresh()
    return PublishedView(
        model=published.model, version=published.version, kimg=snapshot.kimg, already=published.already
    )


def _trained_run(run: Run) -> TrainedRun:
    torch = run.resolved.get("torch")
    return TrainedRun(
        run.claim,
        TrainingConfig.model_validate(run.config),
        preset=run.resolved.get("preset", run.preset),
        software={"torch": torch} if isinstance(torch, str) else {},
    )


def _weights(run: Run, snapshot: Snapshot) -> bytes:
    try:
        if snapshot.weights is not None:
            return snapshot.weights.read_bytes()
    except FileNotFoundError:
        pass  # thinned out since it was listed
    raise Problem(
        409,
        phrase(409),
        f"the weights at {snapshot.kimg:g} kimg are no longer kept, only the picture is: "
        f"/train/{run.id}/snapshots tells which can be published",
    )

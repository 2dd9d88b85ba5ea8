"""A snapshot of a run becomes a version because somebody asked for it; `models.store.publishing` does the work."""

from __future__ import annotations

from pydantic import BaseModel, Field

from app.http.problems import Problem, phrase, retry_later
from app.state import AppState
from models.artifacts.history import Snapshot
from models.config.training import TrainingConfig
from models.records import ClaimLost, Run
from models.store.manifest import Provenance
from models.store.publishing import Published, publish


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
    weights = _weights(run, snapshot)
    try:
        published = _publish(app_state, run, snapshot, weights)
    except ClaimLost as error:
        raise retry_later(
            "Run changed hands", f"{error}: nothing was published; another worker has just taken the run, try again", 1
        ) from error
    except OSError as error:
        raise retry_later("Not written", f"the version could not be written: {error.strerror}", 30) from error
    app_state.directory.refresh()
    return PublishedView(
        model=published.model, version=published.version, kimg=snapshot.kimg, already=published.already
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


def _publish(app_state: AppState, run: Run, snapshot: Snapshot, weights: bytes) -> Published:
    config = TrainingConfig.model_validate(run.config)
    torch = run.resolved.get("torch")
    evaluation = snapshot.evaluation()
    return publish(
        app_state.directory,
        app_state.records,
        run=run.id,
        token=run.token,
        images=snapshot.images,
        model=run.model,
        weights=weights,
        preview=snapshot.picture.read_bytes(),
        generator=config.generator_config(),
        classes=config.classes,
        provenance=Provenance(
            run=run.id,
            preset=str(run.resolved.get("preset", run.preset)),
            dataset=run.dataset,
            kimg=snapshot.kimg,
            seed=config.seed,
            software={"torch": torch} if isinstance(torch, str) else {},
        ),
        scores=evaluation.scores if evaluation is not None else {},
        training=config,
    )

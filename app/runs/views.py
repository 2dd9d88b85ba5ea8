"""Views of runs in the API: a row, with the progress, health and scores from its files. Read-only."""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from app.http.problems import Problem, phrase
from app.state import AppState
from models.artifacts.events import last_health
from models.artifacts.history import last_tick, list_snapshots
from models.artifacts.payloads import HealthData, Tick
from models.config.resolved import ResolvedRow
from models.config.training import TrainingConfig
from models.datasets.catalogue import BUILTIN, is_uploaded
from models.records import Run, State, Wanted
from models.scores import Score
from models.verdicts import VerdictName

ENDED = frozenset(("succeeded", "failed", "cancelled"))
_LATEST = ("loss_d", "loss_d_real", "loss_d_fake", "loss_g", "d_real", "d_fake")


class Progress(BaseModel):
    """Progress of a run; values that are not known yet are null."""

    kimg: float = Field(description="thousands of real images shown to the discriminator")
    total_kimg: float | None
    epoch: float
    fraction: float
    images_per_second: float | None
    eta_seconds: float | None


class Latest(BaseModel):
    """Means of the newest tick; null before it, and for a loss without probabilities."""

    loss_d: float | None
    loss_d_real: float | None
    loss_d_fake: float | None
    loss_g: float | None
    d_real: float | None
    d_fake: float | None


class HealthView(BaseModel):
    """The newest verdict of the run's guard."""

    verdict: VerdictName | None
    reasons: list[str] = []
    sentence: str | None = Field(default=None, description="what the newest tick's values mean")


class RunView(BaseModel):
    """One training job."""

    id: str
    state: State
    wanted: Wanted | None = Field(description="a request to the worker that is not fulfilled yet")
    preset: str
    dataset: str
    model: str
    queue_position: int | None = Field(description="from 1, while queued")
    token: int = Field(description="number of attempts")
    failures: int = Field(description="crashes in a row without a new checkpoint")
    progress: Progress
    latest: Latest
    health: HealthView
    scores: dict[str, Score] = Field(description="of the newest evaluation, the deciding score first")
    published: list[str] = Field(examples=[["digits@1"]])
    resolved: ResolvedRow = Field(description="what the worker decided at the first start")
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    error: str | None


def find(app_state: AppState, run_id: str) -> Run:
    """Return a run's row.

    Raises:
        Problem: 404, there is no such run.
    """
    run = app_state.records.get_run(run_id)
    if run is None:
        raise Problem(404, phrase(404), f'there is no run "{run_id}"')
    return run


def view(app_state: AppState, run: Run) -> RunView:
    """Return the view of a run. It reads files and rows: call it from a thread."""
    run_dir = app_state.settings.runs_dir / run.id
    tick = last_tick(run_dir)
    return RunView(
        id=run.id,
        state=run.state,
        wanted=run.wanted,
        preset=run.preset,
        dataset=run.dataset,
        model=run.model,
        queue_position=app_state.records.queue_position(run),
        token=run.token,
        failures=run.failures,
        progress=_progress(app_state, run, tick),
        latest=_latest(tick),
        health=_health(last_health(run_dir), tick),
        scores=_scores(run_dir),
        published=published(app_state, run),
        resolved=run.resolved,
        created_at=run.created_at,
        started_at=run.started_at,
        ended_at=run.ended_at,
        error=run.error,
    )


def _latest(tick: Tick | None) -> Latest:
    return Latest.model_validate(dict.fromkeys(_LATEST) if tick is None else {name: tick.get(name) for name in _LATEST})


def _health(health: HealthData | None, tick: Tick | None) -> HealthView:
    return HealthView(
        verdict=None if health is None else health["verdict"],
        reasons=[] if health is None else health["reasons"],
        sentence=None if tick is None else tick.get("sentence"),
    )


def configuration(run: Run) -> TrainingConfig | None:
    """Return a run's configuration; None if another version of the program wrote it and it is not valid here."""
    try:
        return TrainingConfig.model_validate(run.config)
    except ValidationError:
        return None


def _scores(run_dir: Path) -> dict[str, Score]:
    """Return the scores of the newest evaluation that no rollback has undone."""
    found = (snapshot.evaluation() for snapshot in reversed(list_snapshots(run_dir)))
    newest = next((evaluation for evaluation in found if evaluation is not None), None)
    return {} if newest is None else newest.scores


def images_shown(app_state: AppState, run: Run) -> int:
    """Return the images of a run's newest tick, 0 before the first."""
    tick = last_tick(app_state.settings.runs_dir / run.id)
    return tick["images"] if tick is not None else 0


def published(app_state: AppState, run: Run) -> list[str]:
    """Return the existing versions that a run has published, by position."""
    rows = app_state.records.publications(run.id)
    numbers = {model: app_state.store.numbers(model) for model in {row.model for row in rows}}
    return [f"{row.model}@{row.version}" for row in rows if row.version in numbers[row.model]]


def image_count(app_state: AppState, dataset: str, resolved: ResolvedRow) -> int | None:
    """Return the number of images of a data set; None if it is not known without decoding them."""
    if (count := resolved.get("dataset_images")) is not None:
        return count
    if is_uploaded(dataset):
        row = app_state.records.get_dataset(dataset)
        return row.report.get("count") if row is not None else None
    return BUILTIN[dataset].count if dataset in BUILTIN else None


def total_images(config: TrainingConfig, count: int | None) -> int | None:
    """Return a run's length in images; None if it is in epochs of a data set that was not counted yet."""
    if count is None and config.epochs is not None:
        return None
    return config.total_images(count or 0)


def _progress(app_state: AppState, run: Run, tick: Tick | None) -> Progress:
    config = configuration(run)
    total = None if config is None else total_images(config, image_count(app_state, run.dataset, run.resolved))
    # The row has the current target: a resume after the tick may have made the run longer.
    images = 0 if tick is None else tick["images"]
    return Progress(
        kimg=images / 1000,
        total_kimg=None if total is None else total / 1000,
        epoch=tick.get("epoch", 0.0) if tick is not None else 0.0,
        fraction=min(1.0, images / total) if total else 0.0,
        images_per_second=tick.get("images_per_second") if tick is not None else None,
        eta_seconds=tick.get("eta_seconds") if tick is not None and run.state == "running" else None,
    )

"""`/train`: create, list and control runs. Their artifacts and event streams are in modules of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Response
from fastapi.openapi.models import Example
from pydantic import BaseModel, Field

from app.api.dependencies import AppStateDep, no_query
from app.http.paging import Page
from app.http.problems import Problem, invalid, phrase, responses, wrong_parameter
from app.runs import views as runs
from app.runs.estimate import Estimate, estimate
from app.runs.planning import ChosenPreset, TrainingPlan, plan_training
from app.runs.views import RunView
from app.security.keys import Requires
from app.state import AppState
from models.config.requests import TrainRequest
from models.config.training import TrainingConfig
from models.config.values import Frozen, Name
from models.datasets import catalogue
from models.records import IdempotencyConflict, InvalidCursor, InvalidLength, Run, State, UnknownRun, WrongState

router = APIRouter(prefix="/train", tags=["train"], dependencies=[Requires("train")])

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="a repeat with the same key returns the existing run"),
]


EXAMPLES: dict[str, Example] = {
    "auto": {
        "summary": "Settings chosen for the images and the machine",
        "value": {"preset": "auto", "dataset": "mnist-mini", "model": "digits"},
    },
    "digits": {
        "summary": "A few minutes, on digits that ship with Atelier",
        "value": {"preset": "mlp-mnist", "dataset": "mnist-mini", "model": "digits", "epochs": 20},
    },
    "folder": {
        "summary": "A folder of your own images",
        "value": {"preset": "dcgan-64", "dataset": "folder:flowers", "model": "flowers", "kimg": 500, "seed": 7},
    },
    "overrides": {
        "summary": "Settings other than the preset's",
        "value": {"preset": "mlp-mnist", "overrides": {"batch_size": 128, "generator.lr": 0.0004}},
    },
}


class CreateQuery(Frozen):
    """Options of the request."""

    dry_run: Annotated[bool, Field(description="only resolve and estimate")] = False


class DryRun(BaseModel):
    """The resolved configuration of a run that was not created, with an estimate."""

    config: TrainingConfig
    estimate: Estimate
    chosen: ChosenPreset | None = Field(description="for the preset auto: its choice on this machine, with reasons")


class ListQuery(Frozen):
    """Filters and paging."""

    state: State | None = None
    model: Name | None = None
    limit: Annotated[int, Field(ge=1, le=200, description="items per page")] = 50
    cursor: Annotated[str | None, Field(description="`next` of the previous page")] = None


class ResumeRequest(Frozen):
    """A new target; without one the old target stays."""

    kimg: Annotated[float, Field(gt=0, le=100_000_000)] | None = None
    epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None


class EmptyBody(Frozen):
    """An optional body without fields."""


@router.post(
    "",
    status_code=202,
    response_model=RunView,
    summary="Start a run",
    responses={
        200: {"model": DryRun, "description": "`dry_run`: the resolved configuration"},
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "/train/ID"}}},
        **responses(503),
    },
)
def create(
    request: Annotated[TrainRequest, Body(openapi_examples=EXAMPLES)],
    query: Annotated[CreateQuery, Query()],
    app_state: AppStateDep,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Any:
    """Queue a training. Only `preset` is required; data set, model and length default to the preset's.

    The preset `auto` needs a data set: it chooses settings for it and, at the first start, for the worker's device.
    """
    sent = request.model_dump(mode="json")
    try:
        # First: a repeat returns its run even if the data set is gone by now, or the disk is full.
        run = None if query.dry_run or idempotency_key is None else app_state.records.repeated(idempotency_key, sent)
        if run is None:
            made = plan_training(app_state, request)
            if query.dry_run:
                dry = DryRun(config=made.config, estimate=estimate(app_state, made), chosen=made.chosen)
                return Response(dry.model_dump_json(), media_type="application/json")
            run, created = app_state.records.create_run(made.config, sent, idempotency_key)
            if created:
                _notify(app_state, made)
    except IdempotencyConflict as conflict:
        raise invalid([{"loc": ("header", "Idempotency-Key"), "msg": str(conflict)}]) from conflict
    response.headers["Location"] = f"/train/{run.id}"
    return runs.view(app_state, run)


def _notify(app_state: AppState, made: TrainingPlan) -> None:
    """Wake the workers: one to prepare the data set, if its size and channels are decided, and one to claim the run."""
    config = made.config
    undecided = set() if made.chosen is None else {"size", "channels"} & set(made.chosen.undecided)
    if not undecided and not catalogue.is_uploaded(config.dataset):
        app_state.notifications.prepare(config.dataset, config.size, config.channels)
    app_state.runs_changed()


@router.get("", summary="List runs", responses=responses(503))
def list_(query: Annotated[ListQuery, Query()], app_state: AppStateDep) -> Page[RunView]:
    """List runs, newest first."""
    try:
        items, following = app_state.records.list_runs(query.state, query.model, query.limit, query.cursor)
    except InvalidCursor as error:
        raise invalid([wrong_parameter("cursor", str(error))]) from error
    return Page(items=[runs.view(app_state, run) for run in items], next=following)


@router.get("/{run_id}", summary="One run", dependencies=[Depends(no_query)], responses=responses(404, 503))
def one(run_id: str, app_state: AppStateDep) -> RunView:
    """Return a run's state, progress, health and published versions."""
    return runs.view(app_state, runs.find(app_state, run_id))


_CONTROL: dict[str, Any] = {
    "status_code": 202,
    "dependencies": [Depends(no_query)],
    "responses": responses(404, 409, 503),
}


@router.post("/{run_id}/cancel", summary="Cancel a run", **_CONTROL)
def cancel(run_id: str, app_state: AppStateDep, _: EmptyBody | None = None) -> RunView:
    """End a run early; its checkpoints and versions stay. Repeating it is not an error."""
    return _control(app_state, lambda: app_state.records.cancel(run_id))


@router.post("/{run_id}/pause", summary="Pause a run", **_CONTROL)
def pause(run_id: str, app_state: AppStateDep, _: EmptyBody | None = None) -> RunView:
    """Stop a run after a checkpoint, and free its worker. Repeating it is not an error."""
    return _control(app_state, lambda: app_state.records.pause(run_id))


@router.post("/{run_id}/resume", summary="Resume a run", **_CONTROL)
def resume(run_id: str, app_state: AppStateDep, length: ResumeRequest | None = None) -> RunView:
    """Continue from the newest checkpoint; a run that has succeeded needs a longer target."""
    length = length or ResumeRequest()
    if length.kimg is not None and length.epochs is not None:
        raise invalid([{"loc": ("body", "epochs"), "msg": "give the length as epochs or as kimg, not both"}])
    images = runs.images_shown(app_state, runs.find(app_state, run_id))
    return _control(app_state, lambda: app_state.records.resume(run_id, length.kimg, length.epochs, images))


def _control(app_state: AppState, action: Callable[[], Run]) -> RunView:
    try:
        run = action()
    except UnknownRun as error:
        raise Problem(404, phrase(404), str(error)) from error
    except WrongState as error:
        raise Problem(409, phrase(409), str(error), members={"state": error.state}) from error
    except InvalidLength as error:
        raise invalid([{"loc": ("body",), "msg": str(error)}]) from error
    app_state.runs_changed()
    return runs.view(app_state, run)

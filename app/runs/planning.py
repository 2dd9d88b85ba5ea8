"""Training plans: a request becomes a complete configuration, or is refused before it is queued."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel, Field

from app.datasets import views as datasets
from app.http.problems import invalid
from app.runs import transfer
from app.state import AppState
from models import broker
from models.config import auto, fit, presets, requests, resources
from models.config.presets import AUTO
from models.config.requests import ConfigError, ErrorItem, TrainRequest
from models.config.training import TrainingConfig
from models.datasets.catalogue import DatasetProblem
from models.datasets.info import DatasetInfo


class ChosenPreset(BaseModel):
    """The preset and settings that `preset=auto` would choose."""

    preset: str = Field(description="the preset behind it")
    reasons: list[str] = Field(description="a sentence for each choice")
    device: str = Field(description="what was assumed: a worker on this machine")
    undecided: list[str] = Field(description="settings that another device would change; the worker decides on its own")


@dataclass(frozen=True)
class TrainingPlan:
    """A training that can be queued; `count` is the number of images in its data set, as far as it is known."""

    config: TrainingConfig
    count: int
    chosen: ChosenPreset | None = None

    @property
    def preset(self) -> str:
        return self.config.preset if self.chosen is None else self.chosen.preset


def plan_training(app_state: AppState, request: TrainRequest) -> TrainingPlan:
    """Plan a training; reads rows and files, so call it from a thread.

    Raises:
        Problem: 422, with every reason that is known now.
    """

    @cache
    def info_of(name: str) -> DatasetInfo:
        return datasets.dataset_info(app_state, name)

    try:
        if (start := transfer.find_start(app_state.store, request)) is not None:
            request = transfer.as_trained(request, start)
        if request.preset == AUTO:
            plan = _auto(app_state, request, info_of(_named(request)))
        else:
            config = requests.resolve(request, info_of)
            plan = TrainingPlan(config, info_of(config.dataset).count)
        errors = [*fit.conflicts(plan.config, info_of(plan.config.dataset)), *_devices(app_state, plan.config)]
        if start is not None:
            errors += transfer.conflicts(plan.config, start)
    except ConfigError as error:
        errors = error.errors
    except DatasetProblem as problem:
        errors = [ErrorItem(loc=("dataset",), msg=str(problem))]
    if errors:
        raise invalid([{"loc": ("body", *item.loc), "msg": item.msg} for item in errors])
    return plan


def _named(request: TrainRequest) -> str:
    if errors := list(requests.request_errors(request, presets.listed()[AUTO])):
        raise ConfigError(errors)
    assert request.dataset is not None
    return request.dataset


def _auto(app_state: AppState, request: TrainRequest, info: DatasetInfo) -> TrainingPlan:
    if errors := auto.conflicts(request, info):
        raise ConfigError(errors)
    device = resources.local(app_state.settings)
    config, choice = auto.complete(request, info, device)
    chosen = ChosenPreset(
        preset=choice.preset,
        reasons=list(choice.reasons.values()),
        device=str(device),
        undecided=auto.undecided(request, info, config, choice),
    )
    return TrainingPlan(config, info.count, chosen)


def _devices(app_state: AppState, config: TrainingConfig) -> list[ErrorItem]:
    """Refuse more devices than any present worker has."""
    # Without any worker nothing is refused: one may start later.
    owned = [worker.devices for worker in app_state.workers() if broker.TRAIN in worker.queue.split(",")]
    if not owned or config.devices <= max(owned):
        return []
    message = (
        f"the run requests {config.devices} devices and no worker here owns more than {max(owned)}: request fewer, or "
        "start a worker whose ATELIER_DEVICE names more"
    )
    return [ErrorItem(loc=("overrides", "devices"), msg=message)]

"""What a request for a training comes to: a complete configuration, or a refusal of all that cannot be, before it runs.

The data set's facts are `app.datasets.views`'s, what fits what `models.config.fit`'s, choices `models.config.auto`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import BaseModel, Field

from app.datasets import views as datasets
from app.http.problems import invalid
from app.state import AppState
from models import broker
from models.config import auto, fit, presets, resources
from models.config.presets import AUTO, ConfigError, ErrorItem, TrainRequest
from models.config.training import TrainingConfig
from models.datasets.catalogue import DatasetProblem
from models.datasets.info import DatasetInfo


class Chosen(BaseModel):
    """What `preset=auto` would come to."""

    preset: str = Field(description="the preset behind it")
    reasons: list[str] = Field(description="a sentence for each choice")
    device: str = Field(description="what was assumed: a worker on this machine")
    undecided: list[str] = Field(description="settings that another device would change; the worker decides on its own")


@dataclass(frozen=True)
class Plan:
    """A training that can be queued; `count` is that of the data set's images, as far as it is known."""

    config: TrainingConfig
    count: int
    chosen: Chosen | None = None

    @property
    def preset(self) -> str:
        """The preset whose networks and settings it has."""
        return self.config.preset if self.chosen is None else self.chosen.preset


def plan(app_state: AppState, request: TrainRequest) -> Plan:
    """Complete a request; reads rows and files, so call it from a thread.

    Raises:
        Problem: 422, with every reason that can be told now.
    """

    @cache
    def facts(name: str) -> DatasetInfo:
        return datasets.dataset_info(app_state, name)

    try:
        if request.preset == AUTO:
            made = _auto(app_state, request, facts(_named(request)))
        else:
            config = presets.resolve(request, facts)
            made = Plan(config, facts(config.dataset).count)
        errors = [*fit.conflicts(made.config, facts(made.config.dataset)), *_devices(app_state, made.config)]
    except ConfigError as error:
        errors = error.errors
    except DatasetProblem as problem:
        errors = [ErrorItem(loc=("dataset",), msg=str(problem))]
    if errors:
        raise invalid([{"loc": ("body", *item.loc), "msg": item.msg} for item in errors])
    return made


def _named(request: TrainRequest) -> str:
    if errors := list(presets.request_errors(request, presets.listed()[AUTO])):
        raise ConfigError(errors)
    assert request.dataset is not None
    return request.dataset


def _auto(app_state: AppState, request: TrainRequest, facts: DatasetInfo) -> Plan:
    if errors := auto.conflicts(request, facts):
        raise ConfigError(errors)
    device = resources.local(app_state.settings)
    config, choice = auto.complete(request, facts, device)
    chosen = Chosen(
        preset=choice.preset,
        reasons=list(choice.reasons.values()),
        device=str(device),
        undecided=auto.undecided(request, facts, config, choice),
    )
    return Plan(config, facts.count, chosen)


def _devices(app_state: AppState, config: TrainingConfig) -> list[ErrorItem]:
    """Refuse what none of the workers that are there could take; where there is none yet, there may be one later."""
    owned = [worker.devices for worker in app_state.workers() if broker.TRAIN in worker.queue.split(",")]
    if not owned or config.devices <= max(owned):
        return []
    message = (
        f"the run asks for {config.devices} devices and no worker here owns more than {max(owned)}: ask for fewer, or "
        "start a worker whose ATELIER_DEVICE names more"
    )
    return [ErrorItem(loc=("overrides", "devices"), msg=message)]

"""Requests for a training, and their completion to configurations.

Descriptions of data sets are in `models.datasets.catalogue`; the worker decides what depends on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from itertools import combinations
from types import UnionType
from typing import Annotated, Any, Final, Self, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from models.config.presets import Preset, listed, load
from models.config.training import TrainingConfig
from models.config.values import ConfigConflict, Frozen, Name, Seed
from models.datasets.catalogue import BUILTIN, DatasetProblem
from models.datasets.info import DatasetInfo, builtin_info
from models.families.spec import FAMILIES, DiscriminatorNetwork, GeneratorNetwork


def _no_objects(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError('write nested settings with dots, such as "generator.lr"')
    return value


Scalar = bool | int | float | Annotated[str, Field(max_length=256)] | None
Override = Annotated[Scalar | Annotated[list[Scalar], Field(max_length=64)], BeforeValidator(_no_objects)]
Overrides = Annotated[dict[Annotated[str, Field(max_length=128)], Override], Field(max_length=64)]
Location = tuple[str | int, ...]
InfoOf = Callable[[str], DatasetInfo | None]

# Value of `conditional` until the data set is known: then true if it has classes that can be learned separately.
WHERE_POSSIBLE: Final = "auto"


RESERVED_MODELS = frozenset({"starter"})
# Settings that are fields of the request.
_REQUEST_FIELDS = ("preset", "dataset", "model", "seed", "epochs", "kimg")
# Settings that follow from the data set.
_DATASET_FIELDS = ("classes",)
# Where a configuration has the version that a request starts from, and how the request names it.
_START, _FROM = "transfer.version", "from"


class ErrorItem(Frozen):
    """One thing wrong with a request: where (`("overrides", "generator.lr")`), and what to do."""

    loc: Location
    msg: str


class ConfigError(ValueError):
    """A request that makes no complete configuration; `errors` has at least one problem."""

    def __init__(self, errors: list[ErrorItem]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, error.loc))}: {error.msg}" for error in errors))
        self.errors = errors


class TrainRequest(Frozen):
    """A request for a training: a preset and what to do differently.

    `start`, written `from`, is a published version, whose weights are the first ones instead of random numbers.
    """

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    preset: Name
    dataset: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    model: Name | None = None
    start: Annotated[
        Annotated[str, Field(min_length=1, max_length=160)] | None,
        Field(
            alias="from",
            description="a version of the same shape to start from: NAME@NUMBER, NAME@ALIAS or NAME",
            exclude_if=lambda ref: ref is None,
        ),
    ] = None
    epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    kimg: Annotated[float, Field(gt=0, le=100_000_000)] | None = None
    seed: Seed = 0
    overrides: Overrides = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.kimg is not None:
            raise ValueError("give the length as epochs or as kimg, not both")
        return self


def _builtin_or_none(dataset: str) -> DatasetInfo | None:
    """Describe a built-in data set; None for any other name."""
    return builtin_info(dataset) if dataset in BUILTIN else None


def resolve(request: TrainRequest, info_of: InfoOf = _builtin_or_none) -> TrainingConfig:
    """Complete a request from its preset, and from its data set the classes of a conditional training.

    Args:
        request: `start`, if any, is a pinned reference.
        info_of: describes a data set, if that matters; it may raise a `DatasetProblem`.

    Raises:
        ConfigError: the preset or an override is unknown, overrides contradict each other or do not fit, the model's
            name is reserved, or the data set is missing or has no labels where they are needed.
    """
    preset = load().get(request.preset)
    if preset is None:
        raise ConfigError([_item("preset", f'no preset is named "{request.preset}": there are {", ".join(listed())}')])
    if errors := [*request_errors(request, preset), *_override_errors(request.overrides), *_start_errors(request)]:
        raise ConfigError(errors)
    values = _values(request, preset)
    if values.get("conditional") in (True, WHERE_POSSIBLE):
        values |= _classes(values["dataset"], info_of, needed=values["conditional"] is True)
    try:
        return TrainingConfig.model_validate(values, strict=True)
    except ValidationError as error:
        raise ConfigError([item for detail in error.errors() for item in _readable(detail)]) from error


# Whether a training is conditional, and on which classes.
def _classes(dataset: str, info_of: InfoOf, *, needed: bool) -> dict[str, Any]:
    try:
        info = info_of(dataset)
    except DatasetProblem as problem:
        raise ConfigError([_item("dataset", str(problem))]) from problem
    if needed and (info is None or not info.classes):
        raise ConfigError([_no_labels(dataset)])
    if info is None or not (needed or info.class_problem() is None):
        return {"conditional": False}
    return {"conditional": True, "classes": info.classes}


def _no_labels(dataset: str) -> ErrorItem:
    return _item(
        "dataset",
        f'"{dataset}" has no labels, which a conditional training needs: put the images of each class into '
        "a folder of its own, or choose a preset that is not conditional",
    )


def _item(field: str, message: str) -> ErrorItem:
    return ErrorItem(loc=(field,), msg=message)


def _override_item(path: str, message: str, *index: int) -> ErrorItem:
    return ErrorItem(loc=("overrides", path, *index), msg=message)


def request_errors(request: TrainRequest, preset: Preset) -> Iterator[ErrorItem]:
    """Yield the problems of a request for a preset, without those of its overrides."""
    if request.dataset is None and preset.dataset is None:
        yield _item("dataset", f"the preset {preset.name} has no data set of its own: name one")
    if (request.model or preset.model) in RESERVED_MODELS:
        yield _item("model", f'the model "{request.model or preset.model}" comes with the package: choose another name')


def _override_errors(overrides: Mapping[str, Override]) -> Iterator[ErrorItem]:
    for shorter, longer in combinations(sorted(overrides), 2):
        if longer.startswith(f"{shorter}."):
            yield _override_item(shorter, f'contradicts the override "{longer}": give one of the two')
    for path in overrides:
        if path in (*_REQUEST_FIELDS, _START, _FROM):
            field = _FROM if path == _START else path
            yield _override_item(path, f'use the field "{field}" of the request instead')
        elif path not in _paths():
            yield _override_item(path, _unknown(path))


def _start_errors(request: TrainRequest) -> Iterator[ErrorItem]:
    if request.start is None:
        for path in request.overrides:
            if path.startswith("transfer."):
                yield _override_item(path, f'is for a training that starts from a version: name it in "{_FROM}"')


def _unknown(path: str) -> str:
    if parts := [known for known in _paths() if known.startswith(f"{path}.")]:
        return f"is a group of settings: override one of {', '.join(parts)}"
    nearest = get_close_matches(path, (*_paths(), *_REQUEST_FIELDS, _FROM), n=1, cutoff=0.0)
    return f"is no setting: the nearest is {nearest[0]}"


# Every setting that can be overridden, such as `generator.network.hidden`, of all families.
def _paths() -> tuple[str, ...]:
    return _paths_of(FAMILIES.names())


@cache
def _paths_of(families: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001  # the cache follows the registry
    found = dict.fromkeys(_leaves(TrainingConfig, ""))
    return tuple(path for path in found if path not in (*_REQUEST_FIELDS, *_DATASET_FIELDS, _START))


def _leaves(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        nested = _models(field.annotation)
        for part in nested:
            yield from _leaves(part, f"{prefix}{name}.")
        if not nested:
            yield f"{prefix}{name}"


def _models(annotation: Any) -> list[type[BaseModel]]:
    if annotation is GeneratorNetwork:
        return [family.generator for family in FAMILIES if family.generator is not None]
    if annotation is DiscriminatorNetwork:
        return [family.discriminator for family in FAMILIES if family.discriminator is not None]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType, Annotated):
        return [model for part in get_args(annotation) for model in _models(part)]
    return []


def _values(request: TrainRequest, preset: Preset) -> dict[str, Any]:
    values: dict[str, Any] = _frozen(preset.training)
    if request.epochs is not None or request.kimg is not None:
        values |= {"epochs": request.epochs, "kimg": request.kimg}
    values |= {
        "preset": preset.name,
        "dataset": request.dataset or preset.dataset,
        "model": request.model or preset.model,
        "seed": request.seed,
    }
    if request.start is not None:
        values["transfer"] = {"version": request.start}
    # Families first: they replace a whole network, into which the other overrides then go.
    for path, value in sorted(request.overrides.items(), key=lambda item: not item[0].endswith(".family")):
        *groups, name = path.split(".")
        target = values
        for group in groups:
            target = target.setdefault(group, {})
        # Settings of the old family do not fit the new one.
        if name == "family" and target.get("family") != value:
            target.clear()
        target[name] = _frozen(value)
    return values


# A copy of a TOML or JSON value, with tuples for its lists, as strict validation requires.
def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _readable(detail: ErrorDetails) -> Iterator[ErrorItem]:
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ConfigConflict):
        for path, message in cause.problems:
            yield _override_item(path, message)
        return
    path, index = _path(detail["loc"])
    if detail["type"] == "union_tag_invalid":
        yield _override_item(f"{path}.family", f"no such family: there are {detail['ctx']['expected_tags']}")
    elif detail["type"] == "extra_forbidden":
        group, _, name = path.rpartition(".")
        yield _override_item(path, f'{group} of this family has no "{name}"')
    else:
        yield _override_item(path, f"{detail['msg']}, got {_short(detail['input'])}", *index)


# A location as a path, without the tags that pydantic inserts for the chosen family.
def _path(loc: Location) -> tuple[str, tuple[int, ...]]:
    names = [str(part) for i, part in enumerate(loc) if isinstance(part, str) and not (i and loc[i - 1] == "network")]
    if loc[-2:-1] == ("network",):
        names.append(str(loc[-1]))
    return ".".join(names), tuple(part for part in loc if isinstance(part, int))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

"""Trainings that start from a published version: the version is found, pinned and compared before a run is queued."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.config import presets
from models.config.presets import AUTO
from models.config.requests import WHERE_POSSIBLE, ConfigError, ErrorItem, TrainRequest
from models.config.training import TrainingConfig
from models.store.base import ModelStore
from models.store.errors import ModelError
from models.store.manifest import Manifest
from models.store.versions import WholeVersion


def find_start(store: ModelStore, request: TrainRequest) -> WholeVersion | None:
    """Return the version that a request starts from; None if it starts from random weights.

    Raises:
        ConfigError: there is no such version, it is not whole, or it is of another task.
    """
    if request.start is None:
        return None
    try:
        version = store.resolve(request.start)
    except ModelError as error:
        raise _refused(str(error)) from error
    if version.manifest.task != "sample":
        raise _refused(f"{version.ref} translates images: a training that makes them from latents cannot start from it")
    return version


def as_trained(request: TrainRequest, version: WholeVersion) -> TrainRequest:
    """Pin the version of a request, and settle by that version what the request leaves open.

    `preset=auto` becomes the preset and the generator of the version. A preset that learns classes apart where it can
    does so if the version does.

    Raises:
        ConfigError: the version's preset is not known here.
    """
    manifest = version.manifest
    preset = presets.load().get(manifest.provenance.preset if request.preset == AUTO else request.preset)
    if preset is None and request.preset == AUTO:
        raise _refused(f'{version.ref} was trained by "{manifest.provenance.preset}", no preset here: name one')
    settled: dict[str, Any] = {}
    if preset is not None and request.preset == AUTO:
        settled = _differences(preset.training, manifest)
    elif preset is not None and preset.training.get("conditional") == WHERE_POSSIBLE:
        settled = {"conditional": bool(manifest.classes)}
    return request.model_copy(
        update={
            "start": version.ref,
            "preset": request.preset if preset is None else preset.name,
            "overrides": {**settled, **request.overrides},
        }
    )


# Overrides that make a preset's generator that of a version.
def _differences(training: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    generator = manifest.generator.model_dump(mode="json")
    wanted = {
        "size": generator["size"],
        "channels": generator["channels"],
        **{f"latent.{name}": value for name, value in generator["latent"].items()},
        **{f"generator.network.{name}": value for name, value in generator["network"].items()},
    }
    found = {path: value for path, value in wanted.items() if _value(training, path) != value}
    conditional = bool(manifest.classes)
    if training.get("conditional", False) is not conditional:
        found["conditional"] = conditional
    return found


def _value(training: Mapping[str, Any], path: str) -> Any:
    value: Any = training
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def conflicts(config: TrainingConfig, version: WholeVersion) -> list[ErrorItem]:
    """List the settings in which a training's generator differs from that of the version that it starts from."""
    wanted, found = (each.model_dump(mode="json") for each in (version.manifest.generator, config.generator_config()))
    problems = []
    for path, setting in (
        ("size", "size"),
        ("channels", "channels"),
        ("latent", "latent"),
        ("network", "generator.network"),
    ):
        if wanted[path] != found[path]:
            message = f"{version.ref} has {_short(wanted[path])}, this training {_short(found[path])}: make them equal"
            problems.append(ErrorItem(loc=("overrides", setting), msg=message))
    if len(version.manifest.classes) != len(config.classes):
        message = (
            f"{version.ref} has {len(version.manifest.classes) or 'no'} classes, this training "
            f"{len(config.classes) or 'none'}: start from a version with as many"
        )
        problems.append(ErrorItem(loc=("from",), msg=message))
    return problems


def _short(value: object) -> str:
    return ", ".join(f"{name}={each}" for name, each in value.items()) if isinstance(value, dict) else str(value)


def _refused(message: str) -> ConfigError:
    return ConfigError([ErrorItem(loc=("from",), msg=message)])

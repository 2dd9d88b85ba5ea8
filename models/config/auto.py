"""Choice of the settings of `preset=auto`: preset, size, classes, augmentation, batch, penalty and length."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from models.config import requests
from models.config.choice import FEW, suggest_preset
from models.config.presets import AUTO
from models.config.requests import RESERVED_MODELS, ConfigError, ErrorItem, TrainRequest
from models.config.resources import Device, memory_bytes, operations
from models.config.training import TrainingConfig
from models.config.values import CHOSEN_SIZES, NAME, Frozen, ImageShape, Name, Size
from models.datasets.catalogue import FOLDER
from models.datasets.info import DatasetInfo
from models.families.spec import FAMILIES
from models.objectives.augmentations import AUGMENTATIONS, DIFF_AUGMENT
from models.objectives.losses import LOSSES
from models.objectives.penalties import PENALTIES

# Number of images from which on a discriminator does not memorise them in a training of usual length.
MANY: Final = 20_000
# Largest size chosen on a CPU for many grey images: more would take days.
CPU_SIZE: Final = 32
# Largest size chosen on a CPU for colour images, which have networks that learn quickly, and for a few grey ones.
CPU_COLOUR_SIZE: Final = 64
# Usable share of the device's memory: libraries take some, and so may an app on the same device.
MEMORY_SHARE: Final = 0.75
SMALLEST_BATCH: Final = 8
CPU_SECONDS: Final = 3600
# Floating-point operations per second that a core reaches in training, roughly: 130e9 with bf16 units, 40e9 without.
CORE_OPERATIONS: Final = 80e9
SHORTEST_KIMG: Final = 50
# One device for each different choice: a request that fits all of them fits any worker.
DEVICES: Final = (
    Device(kind="cpu", cores=2, memory_bytes=8 << 30),
    Device(kind="cuda", cores=8, memory_bytes=8 << 30),
    Device(kind="cuda", cores=8, memory_bytes=80 << 30),
)


class Choice(Frozen):
    """A preset, overrides of it and a length; `reasons` has a sentence for each setting."""

    preset: Name
    overrides: dict[str, Any]
    kimg: float
    reasons: dict[str, str]


def choose(info: DatasetInfo, device: Device, size: int | None = None) -> Choice:
    """Choose settings for a data set on a device.

    Args:
        info: of at least two images, none smaller than the smallest size (see `complete`).
        device: that will train it.
        size: the requested one; None leaves it open.
    """
    size, why_size = _size(info, device, size)
    suggestion = suggest_preset(size, info.channels, info.count, device.kind)
    assert suggestion is not None, "on a known device there is a rule for every size"
    preset, training = suggestion.preset.name, suggestion.preset.training
    overrides: dict[str, Any] = {}
    if size != training["size"]:
        overrides["size"] = size
    if info.channels != training["channels"]:
        overrides["channels"] = info.channels
    overrides |= suggestion.overrides
    reasons = {"size": why_size, "preset": f"{preset} for {device}: {suggestion.because}."}
    if changes := _resized(training, overrides, ImageShape(size, size, info.channels)):
        overrides |= changes
        reasons["networks"] = f"The networks are those of the preset, as deep as {size} px need them."
    for decide in (_classes, _augmentation, _penalty):
        changes, reason = decide(info, training, size)
        overrides |= changes
        reasons |= reason
    request = TrainRequest(preset=preset, dataset=info.name, overrides=overrides)
    config = requests.resolve(request, lambda _: info)
    batch, reasons["batch_size"] = _batch(config, info, device)
    if batch != config.batch_size:
        overrides["batch_size"] = batch
    kimg, reasons["kimg"] = _length(config, info, device)
    return Choice(preset=preset, overrides=overrides, kimg=kimg, reasons=reasons)


def _size(info: DatasetInfo, device: Device, requested: int | None) -> tuple[int, str]:
    if requested is not None:
        return requested, f"{requested} px, as requested."
    size = max(known for known in CHOSEN_SIZES if known <= info.side)
    bound = CHOSEN_SIZES[-1]
    if device.kind == "cpu":
        bound = CPU_COLOUR_SIZE if info.channels == 3 or info.count <= FEW else CPU_SIZE
    if size > bound:
        return bound, f"{bound} px: the images have {info.side} px, but larger ones take a CPU many times as long."
    if size == info.side:
        return size, f"{size} px: the size of the images."
    return size, f"{size} px: the largest size that nine of ten images have; they are {info.side} px or more."


# Overrides by which a preset's networks fit images of another shape.
def _resized(training: Mapping[str, Any], overrides: Mapping[str, Any], shape: ImageShape) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for side in ("generator", "discriminator"):
        prefix = f"{side}.network."
        chosen = {path.removeprefix(prefix): value for path, value in overrides.items() if path.startswith(prefix)}
        values = {**training[side]["network"], **chosen}
        family = FAMILIES.get(values["family"])
        kind = family.generator if side == "generator" else family.discriminator
        assert kind is not None, "presets name families that have such a network"
        network = kind.model_validate(values)
        before, after = network.model_dump(mode="json"), network.resized(shape).model_dump(mode="json")
        changes |= {f"{prefix}{name}": value for name, value in after.items() if value != before[name]}
    return changes


_Decision = tuple[dict[str, Any], dict[str, str]]


def _classes(info: DatasetInfo, training: Mapping[str, Any], size: int) -> _Decision:  # noqa: ARG001  # one of several
    count = len(info.classes)
    if count < 2:
        return {}, {}
    if training.get("codes"):
        # Conditional networks made one image of each class of 3,000 photographs.
        reason = "The classes are not learned separately: photographs of all of them teach each other"
        return {"conditional": False}, {"conditional": f"{reason}; conditional=true learns them apart."}
    if problem := info.class_problem():
        return {"conditional": False}, {"conditional": f"The classes are not learned separately: {problem}."}
    why = f"the {count} classes have {info.count // count:,} images on average"
    return {"conditional": True}, {"conditional": f"The classes are learned apart, to be asked for one by one: {why}."}


def _augmentation(info: DatasetInfo, training: Mapping[str, Any], size: int) -> _Decision:  # noqa: ARG001
    known = f"{info.count:,} images"
    if usual := training.get("augment", {}).get("policy"):
        # In grey drawings brightness is the drawing itself.
        kept = [name for name in usual if info.channels == 3 or not AUGMENTATIONS.get(name).changes_color]
        message = "Images are changed at random before they are judged, as the preset does by itself"
        if kept == list(usual):
            return {}, {"augment": f"{message}."}
        return {"augment.policy": kept}, {"augment": f"{message}, but for their colours: they are grey."}
    policy = [name for name in DIFF_AUGMENT if info.channels == 3 or not AUGMENTATIONS.get(name).changes_color]
    if info.count <= FEW:
        message = f"All images are changed at random ({', '.join(policy)}): {known} would be learned by heart."
        return {"augment.policy": policy, "augment.p": 1.0, "augment.control": "constant"}, {"augment": message}
    if info.count < MANY and info.channels == 3 and LOSSES.get(training["loss"]).sign_separates:
        message = f"Images are changed at random, with a probability that follows the discriminator: {known} are few."
        return {"augment.policy": policy, "augment.p": 0.85, "augment.control": "adaptive"}, {"augment": message}
    return {}, {"augment": f"Images are not changed at random: {known} are not soon learned by heart."}


def _penalty(info: DatasetInfo, training: Mapping[str, Any], size: int) -> _Decision:  # noqa: ARG001
    penalty = training.get("penalty", {})
    if not PENALTIES.get(penalty.get("kind", "none")).grows_with_size:
        return {}, {}
    if size == training["size"]:
        return {}, {"penalty": f"Gamma, the weight of R1 + R2, is {penalty['weight']:g}, as the preset has it."}
    # It grows as 0.25 (size / 32)^3, the first guess for any size.
    scaled = {
        f"penalty.{name}": _rounded(penalty[name] * (size / training["size"]) ** 3)
        for name in ("weight", "weight_end")
        if name in penalty
    }
    message = (
        f"Gamma, the weight of R1 + R2, is {scaled['penalty.weight']:g}: it grows with the third power of the size."
    )
    return scaled, {"penalty": message}


def _batch(config: TrainingConfig, info: DatasetInfo, device: Device) -> tuple[int, str]:
    usual = config.batch_size
    # The largest power of two that the data set fills.
    batch = min(usual, 1 << int(math.log2(info.count)))
    if batch < usual:
        return batch, f"A batch of {batch} images, not {usual}: there are only {info.count}."
    room = MEMORY_SHARE * device.memory_bytes - memory_bytes(config, 0)
    while batch > SMALLEST_BATCH and room < 0:
        batch //= 2
        smaller = config.model_copy(update={"batch_size": batch})
        room = MEMORY_SHARE * device.memory_bytes - memory_bytes(smaller, 0)
    if batch < usual:
        return batch, f"A batch of {batch} images, not {usual}: more would not fit into the memory of {device}."
    megabytes = memory_bytes(config, 0) / 1e6
    return (
        batch,
        f"A batch of {batch} images, some {_rounded(megabytes):,g} MB; a round of it is tried first.",
    )


def _length(config: TrainingConfig, info: DatasetInfo, device: Device) -> tuple[float, str]:
    usual = config.total_images(max(info.count, MANY)) / 1000 if config.epochs is not None else config.kimg or 0.0
    if device.kind == "cuda":
        return usual, f"{usual:g} kimg, as the preset has it; stop when you are content, the best version is kept."
    # The length that the CPU reaches in the time of `CPU_SECONDS`, by counted operations.
    affordable = CPU_SECONDS * device.cores * CORE_OPERATIONS / operations(config) / 1000
    kimg = max(SHORTEST_KIMG, _rounded(affordable))
    if kimg >= usual:
        return usual, f"{usual:g} kimg, as the preset has it."
    return (
        kimg,
        f"{kimg:g} kimg, not {usual:g}: what this CPU does in an hour or so; it can go on later.",
    )


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def complete(request: TrainRequest, info: DatasetInfo, device: Device) -> tuple[TrainingConfig, Choice]:
    """Complete a request for `preset=auto` for one device; settings of the request take precedence.

    Raises:
        ConfigError: the data set is too small, or an override does not fit the choice.
    """
    info = _as_requested(request, info)
    if errors := _unsuitable(info):
        raise ConfigError(errors)
    choice = choose(info, device, _requested_size(request))
    has_length = request.epochs is not None or request.kimg is not None
    given = {path.partition(".")[0] for path in request.overrides} | ({"kimg"} if has_length else set())
    choice = choice.model_copy(
        update={"reasons": {name: reason for name, reason in choice.reasons.items() if name not in given}}
    )
    chosen = TrainRequest(
        preset=choice.preset,
        dataset=info.name,
        model=request.model or model_name(info.name),
        epochs=request.epochs,
        kimg=request.kimg if has_length else choice.kimg,
        seed=request.seed,
        overrides={**_still_fitting(choice.overrides, request), **request.overrides},
    )
    config = requests.resolve(chosen, lambda _: info)
    return config.model_copy(update={"preset": AUTO}), choice


# Without choices for networks of another family than the requested one.
def _still_fitting(overrides: dict[str, Any], request: TrainRequest) -> dict[str, Any]:
    others = [path.removesuffix("family") for path in request.overrides if path.endswith(".network.family")]
    return {path: value for path, value in overrides.items() if not path.startswith(tuple(others))}


def conflicts(request: TrainRequest, info: DatasetInfo) -> list[ErrorItem]:
    """Return conflicts of the settings of a request with the choice for any of the devices on which it may run."""
    found: list[tuple[Device, list[ErrorItem]]] = []
    for device in DEVICES:
        try:
            complete(request, info, device)
        except ConfigError as error:
            found.append((device, error.errors))
    # The same on every device: then the device is no part of the message.
    if len(found) in (0, len(DEVICES)):
        return found[0][1] if found else []
    device, errors = found[0]
    message = f"; so it is on {device}, which may be where it runs: name a preset to change its parts"
    return [error.model_copy(update={"msg": error.msg + message}) for error in errors]


def undecided(request: TrainRequest, info: DatasetInfo, config: TrainingConfig, choice: Choice) -> list[str]:
    """Return the names of settings that would differ on another device than the assumed one."""
    names: dict[str, None] = {}
    mine = config.model_dump()
    for device in DEVICES:
        other, others_choice = complete(request, info, device)
        if others_choice.preset != choice.preset:
            names["preset"] = None
        names |= dict.fromkeys(name for name, value in other.model_dump().items() if value != mine.get(name))
    return list(names)


def model_name(dataset: str) -> str:
    """Return the default name to publish under: that of the data set, if it is a valid name, else `auto`."""
    name = dataset.removeprefix(FOLDER)
    return name if re.fullmatch(NAME, name) and name not in RESERVED_MODELS else AUTO


# A size or channels of the request replace the images' own: everything else is chosen to suit them.
def _as_requested(request: TrainRequest, info: DatasetInfo) -> DatasetInfo:
    channels = request.overrides.get("channels")
    return info.model_copy(update={"channels": channels}) if channels in (1, 3) else info


# None also for a size that is none: resolving the request then says what is wrong with it.
def _requested_size(request: TrainRequest) -> Size | None:
    size = request.overrides.get("size")
    return next((known for known in get_args(Size) if known == size), None)


def _unsuitable(info: DatasetInfo) -> list[ErrorItem]:
    smallest = CHOSEN_SIZES[0]
    message = ""
    if info.count < 2:
        message = f"holds {info.count} image: a training needs two at least"
    elif info.side < smallest:
        message = f"holds images of {info.side} px: they need at least {smallest} px on each side"
    return [ErrorItem(loc=("dataset",), msg=f'"{info.name}" {message}')] if message else []

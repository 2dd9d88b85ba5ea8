"""`preset=auto`: which preset, size, classes, augmentation, batch, penalty and length suit a data set and a device.

Facts in, a choice with its reasons out. The app calls it to refuse at once what no device could train; the worker that
first takes the run has the last word, for it knows its device.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from models.config import presets
from models.config.presets import AUTO, RESERVED_MODELS, ConfigError, ErrorItem, TrainRequest
from models.config.resources import Device, memory_bytes, operations
from models.config.training import TrainingConfig
from models.config.values import CHOSEN_SIZES, NAME, Frozen, Name
from models.datasets.catalogue import FOLDER
from models.datasets.info import DatasetInfo
from models.objectives.augmentations import AUGMENTATIONS, DIFF_AUGMENT
from models.objectives.losses import LOSSES
from models.objectives.penalties import PENALTIES

FEW: Final = 2000
"""Up to so many images a discriminator soon knows by heart."""
MANY: Final = 20_000
"""From so many images on it does not, in a training of usual length."""
SIZES: Final[tuple[int, ...]] = CHOSEN_SIZES
CPU_SIZE: Final = 32
"""Pixels beyond which a CPU takes days, where the images leave the choice and there are many."""
FEW_SIZE: Final = 64
"""Pixels beyond which a few images teach a network little, where they leave the choice and there is only a CPU."""
MEMORY_SHARE: Final = 0.75
"""Of the device's memory: libraries take some, and so may an app on the same device."""
SMALLEST_BATCH: Final = 8
CPU_SECONDS: Final = 2 * 3600
CORE_OPERATIONS: Final = 40e9
"""Floating-point operations that a core trains with in a second, roughly."""
SHORTEST_KIMG: Final = 50
DEVICES: Final = (
    Device(kind="cpu", cores=2, memory_bytes=8 << 30),
    Device(kind="cuda", cores=8, memory_bytes=8 << 30),
    Device(kind="cuda", cores=8, memory_bytes=80 << 30),
)
"""One of each kind between which choices differ: what fits all of them fits wherever a run may land."""


class Choice(Frozen):
    """What suits: a preset, what to change about it, and how long to train; a sentence for each setting says why."""

    preset: Name
    overrides: dict[str, Any]
    kimg: float
    reasons: dict[str, str]


class _Rule(NamedTuple):
    """Where a preset is taken: for one of these sizes, on such a device, for a few images or many, in such colours."""

    preset: str
    sizes: tuple[int, ...]
    because: str
    kind: str | None = None
    few: bool | None = None
    channels: int | None = None

    def holds(self, size: int, facts: DatasetInfo, device: Device) -> bool:
        return (
            size in self.sizes
            and self.kind in (None, device.kind)
            and self.few in (None, facts.count <= FEW)
            and self.channels in (None, facts.channels)
        )


# The first that holds counts.
_RULES: Final = (
    _Rule("small-data-64", (64,), "it is made for a few images, which others learn by heart", few=True),
    _Rule("small-data-128", (128,), "it is made for a few images, which others learn by heart", few=True),
    _Rule("quick-28", (28, 32), "its networks see patches of pixels, which a CPU trains in minutes", "cpu", channels=1),
    _Rule("dcgan-28", (28,), "small convolutional networks are what a CPU can train", "cpu"),
    _Rule("dcgan-32", (32,), "small convolutional networks are what a CPU can train", "cpu"),
    _Rule("dcgan-28", (28,), "a few images need small networks", few=True),
    _Rule("dcgan-32", (32,), "a few images need small networks", few=True),
    _Rule("dcgan-64", (64, 128), "convolutional networks, at half their widths, are what a CPU can train", "cpu"),
    _Rule("r3gan-28", (28,), "a GPU affords residual networks, which train steadily", "cuda"),
    _Rule("r3gan-32", (32,), "a GPU affords residual networks, which train steadily", "cuda"),
    _Rule("r3gan-64", (64,), "a GPU affords residual networks, which train steadily", "cuda"),
    _Rule("r3gan-128", (128,), "a GPU affords residual networks, which train steadily", "cuda"),
)
_HALVED: Final = {
    "generator.network.widths": [256, 128, 64, 32],
    "discriminator.network.widths": [32, 64, 128, 256],
}


def choose(facts: DatasetInfo, device: Device) -> Choice:
    """Choose what suits a data set on a device.

    Args:
        facts: of at least two images that are as large as the smallest size, see `complete`.
        device: where it will be trained.
    """
    size, why_size = _size(facts, device)
    rule = next(rule for rule in _RULES if rule.holds(size, facts, device))
    training = presets.load()[rule.preset].training
    overrides: dict[str, Any] = {}
    if size != training["size"]:
        overrides["size"] = size
    if facts.channels != training["channels"]:
        overrides["channels"] = facts.channels
    if rule.preset == "dcgan-64":
        overrides |= _HALVED
    reasons = {"size": why_size, "preset": f"{rule.preset} for {device}: {rule.because}."}
    for decide in (_classes, _augmentation, _penalty):
        changes, reason = decide(facts, training, size)
        overrides |= changes
        reasons |= reason
    request = TrainRequest(preset=rule.preset, dataset=facts.name, overrides=overrides)
    config = presets.resolve(request, lambda _: facts)
    batch, reasons["batch_size"] = _batch(config, facts, device)
    if batch != config.batch_size:
        overrides["batch_size"] = batch
    kimg, reasons["kimg"] = _length(config, facts, device)
    return Choice(preset=rule.preset, overrides=overrides, kimg=kimg, reasons=reasons)


def _size(facts: DatasetInfo, device: Device) -> tuple[int, str]:
    if facts.prepared:
        return facts.side, f"{facts.side} px: the images were prepared in that size."
    size = max(known for known in SIZES if known <= facts.side)
    bound = SIZES[-1]
    if device.kind == "cpu":
        bound = FEW_SIZE if facts.count <= FEW else CPU_SIZE
    if size > bound:
        return bound, f"{bound} px: the images have {facts.side} px, but a CPU would take days for more than that."
    if size == facts.side:
        return size, f"{size} px: the size of the images."
    return size, f"{size} px: the largest size that nine of ten images have; they are {facts.side} px or more."


_Decision = tuple[dict[str, Any], dict[str, str]]


def _classes(facts: DatasetInfo, training: Mapping[str, Any], size: int) -> _Decision:  # noqa: ARG001  # one of several
    count = len(facts.classes)
    if count < 2:
        return {}, {}
    if blurred := facts.class_problem():
        return {"conditional": False}, {"conditional": f"The classes are not told apart: {blurred}."}
    why = f"the {count} classes have {facts.count // count:,} images on average"
    return {"conditional": True}, {"conditional": f"The classes are learned apart, to be asked for one by one: {why}."}


def _augmentation(facts: DatasetInfo, training: Mapping[str, Any], size: int) -> _Decision:  # noqa: ARG001
    known = f"{facts.count:,} images"
    if usual := training.get("augment", {}).get("policy"):
        # In grey drawings brightness is the drawing itself.
        kept = [name for name in usual if facts.channels == 3 or not AUGMENTATIONS.get(name).changes_color]
        told = "Images are changed at random before they are judged, as the preset does by itself"
        if kept == list(usual):
            return {}, {"augment": f"{told}."}
        return {"augment.policy": kept}, {"augment": f"{told}, but for their colours: they are grey."}
    policy = [name for name in DIFF_AUGMENT if facts.channels == 3 or not AUGMENTATIONS.get(name).changes_color]
    if facts.count <= FEW:
        told = f"All images are changed at random ({', '.join(policy)}): {known} would be learned by heart."
        return {"augment.policy": policy, "augment.p": 1.0, "augment.control": "constant"}, {"augment": told}
    if facts.count < MANY and facts.channels == 3 and LOSSES.get(training["loss"]).sign_separates:
        told = f"Images are changed at random, as often as the discriminator's confidence asks for: {known} are few."
        return {"augment.policy": policy, "augment.p": 0.85, "augment.control": "adaptive"}, {"augment": told}
    return {}, {"augment": f"Images are not changed at random: {known} are not soon learned by heart."}


def _penalty(facts: DatasetInfo, training: Mapping[str, Any], size: int) -> _Decision:  # noqa: ARG001
    penalty = training.get("penalty", {})
    if not PENALTIES.get(penalty.get("kind", "none")).grows_with_size:
        return {}, {}
    if size == training["size"]:
        return {}, {"penalty": f"Gamma, the weight of R1 + R2, is {penalty['weight']:g}, as the preset has it."}
    # As 0.25 (size / 32)^3, the first guess for any size, grows.
    scaled = {
        f"penalty.{name}": _rounded(penalty[name] * (size / training["size"]) ** 3)
        for name in ("weight", "weight_end")
        if name in penalty
    }
    told = f"Gamma, the weight of R1 + R2, is {scaled['penalty.weight']:g}: it grows with the third power of the size."
    return scaled, {"penalty": told}


def _batch(config: TrainingConfig, facts: DatasetInfo, device: Device) -> tuple[int, str]:
    usual = config.batch_size
    batch = min(usual, 1 << int(math.log2(facts.count)))
    if batch < usual:
        return batch, f"A batch of {batch} images, not {usual}: there are only {facts.count}."
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


def _length(config: TrainingConfig, facts: DatasetInfo, device: Device) -> tuple[float, str]:
    usual = config.total_images(max(facts.count, MANY)) / 1000 if config.epochs is not None else config.kimg or 0.0
    if device.kind == "cuda":
        return usual, f"{usual:g} kimg, as the preset has it; stop when you are content, the best version is kept."
    affordable = CPU_SECONDS * device.cores * CORE_OPERATIONS / operations(config) / 1000
    kimg = max(SHORTEST_KIMG, _rounded(affordable))
    if kimg >= usual:
        return usual, f"{usual:g} kimg, as the preset has it."
    return (
        kimg,
        f"{kimg:g} kimg, not {usual:g}: what this CPU does in two hours or so; it can go on later.",
    )


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def complete(request: TrainRequest, facts: DatasetInfo, device: Device) -> tuple[TrainingConfig, Choice]:
    """Complete a request for `preset=auto` as a certain device would; what the request says itself counts.

    The configuration keeps "auto" as the name of its preset; the choice tells the one behind it.

    Raises:
        ConfigError: the data set is too small, or an override does not fit what was chosen.
    """
    facts = _as_wished(request, facts)
    if trouble := list(_too_little(facts)):
        raise ConfigError(trouble)
    choice = choose(facts, device)
    has_length = request.epochs is not None or request.kimg is not None
    said = {path.partition(".")[0] for path in request.overrides} | ({"kimg"} if has_length else set())
    choice = choice.model_copy(
        update={"reasons": {name: reason for name, reason in choice.reasons.items() if name not in said}}
    )
    chosen = TrainRequest(
        preset=choice.preset,
        dataset=facts.name,
        model=request.model or model_name(facts.name),
        epochs=request.epochs,
        kimg=request.kimg if has_length else choice.kimg,
        seed=request.seed,
        overrides={**_still_fitting(choice.overrides, request), **request.overrides},
    )
    config = presets.resolve(chosen, lambda _: facts)
    return config.model_copy(update={"preset": AUTO}), choice


def _still_fitting(overrides: dict[str, Any], request: TrainRequest) -> dict[str, Any]:
    """Leave out what was chosen for networks of another family than the one that is asked for."""
    others = [path.removesuffix("family") for path in request.overrides if path.endswith(".network.family")]
    return {path: value for path, value in overrides.items() if not path.startswith(tuple(others))}


def misfits(request: TrainRequest, facts: DatasetInfo) -> list[ErrorItem]:
    """Say what a request's own settings would not fit of what may be chosen, on whatever device it will be."""
    troubles: list[tuple[Device, list[ErrorItem]]] = []
    for device in DEVICES:
        try:
            complete(request, facts, device)
        except ConfigError as error:
            troubles.append((device, error.errors))
    if len(troubles) in (0, len(DEVICES)):
        return troubles[0][1] if troubles else []
    device, errors = troubles[0]
    told = f"; so it is on {device}, which may be where it runs: name a preset to change its parts"
    return [error.model_copy(update={"msg": error.msg + told}) for error in errors]


def undecided(request: TrainRequest, facts: DatasetInfo, config: TrainingConfig, choice: Choice) -> list[str]:
    """Name the settings that another device than the assumed one would change."""
    names: dict[str, None] = {}
    mine = config.model_dump()
    for device in DEVICES:
        other, others_choice = complete(request, facts, device)
        if others_choice.preset != choice.preset:
            names["preset"] = None
        names |= dict.fromkeys(name for name, value in other.model_dump().items() if value != mine[name])
    return list(names)


def model_name(dataset: str) -> str:
    """Give the name to publish under where a request leaves it open: that of the data set, if it can be one."""
    name = dataset.removeprefix(FOLDER)
    return name if re.fullmatch(NAME, name) and name not in RESERVED_MODELS else AUTO


def _as_wished(request: TrainRequest, facts: DatasetInfo) -> DatasetInfo:
    """Let a size or colours that are asked for count as the images' own: everything else is chosen for them."""
    size, channels = request.overrides.get("size"), request.overrides.get("channels")
    wishes: dict[str, Any] = {"side": size, "prepared": True} if size in SIZES else {}
    return facts.model_copy(update={**wishes, "channels": channels} if channels in (1, 3) else wishes)


def _too_little(facts: DatasetInfo) -> list[ErrorItem]:
    told = f'"{facts.name}" holds '
    if facts.count < 2:
        return [ErrorItem(loc=("dataset",), msg=f"{told}{facts.count} image: a training needs two at least")]
    if facts.side < SIZES[0]:
        least = f"images of {facts.side} px: they need at least {SIZES[0]} px on each side"
        return [ErrorItem(loc=("dataset",), msg=told + least)]
    return []

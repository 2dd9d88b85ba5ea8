"""What a generator, a discriminator and a training are: plain values, checked by arithmetic, without torch.

Networks are built from these by `models.networks`; presets are TOML files read into `TrainingConfig` by
`models.config.presets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from models.config.base import ConfigConflict, Frozen
from models.config.families import (
    DcganDiscriminator,
    DcganGenerator,
    MlpDiscriminator,
    MlpGenerator,
    PatchDiscriminator,
    PatchGenerator,
    R3ganDiscriminator,
    R3ganGenerator,
    Work,
)
from models.config.inputs import Channels, FixedOutput, InputSpec, LabelInput, Latent, LatentInput, OutputSpec
from models.objectives.augmentations import AUGMENTATIONS
from models.objectives.losses import LOSSES
from models.objectives.methods import ADVERSARIAL, METHODS
from models.objectives.penalties import PENALTIES
from models.registry import Registered

__all__ = [
    "EMBEDDED",
    "MAX_CLASSES",
    "MAX_PARAMETERS",
    "MAX_SEED",
    "NAME",
    "Augmentation",
    "AugmentationName",
    "Channels",
    "Chosen",
    "ConfigConflict",
    "DcganDiscriminator",
    "DcganGenerator",
    "DiscriminatorConfig",
    "DiscriminatorTraining",
    "Frozen",
    "GeneratorConfig",
    "GeneratorTraining",
    "Guard",
    "Label",
    "Latent",
    "LossName",
    "MethodName",
    "MlpDiscriminator",
    "MlpGenerator",
    "Name",
    "PatchDiscriminator",
    "PatchGenerator",
    "Penalty",
    "PenaltyName",
    "Precision",
    "R3ganDiscriminator",
    "R3ganGenerator",
    "Seed",
    "Size",
    "TrainingConfig",
]

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
MAX_SEED = 2**63 - 1
MAX_PARAMETERS = 100_000_000
MAX_CLASSES = 100_000
MAX_ADAPTED = 0.85
EMBEDDED = 64
"""Values that a conditional generator learns for each class and takes beside the latent."""

Name = Annotated[str, Field(pattern=NAME)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Classes = Annotated[
    int, Field(ge=0, le=MAX_CLASSES, description="0: not conditional", exclude_if=lambda count: count == 0)
]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Size = Literal[28, 32, 64, 128]
Rate = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
LossName = Annotated[str, Registered(LOSSES)]
PenaltyName = Annotated[str, Registered(PENALTIES)]
AugmentationName = Annotated[str, Registered(AUGMENTATIONS)]
MethodName = Annotated[str, Registered(METHODS)]
Precision = Literal["auto", "fp32", "bf16"]
Switch = Literal["auto", "off", "on"]
Chosen = Literal["auto", "classifier_frechet", "sliced_wasserstein", "fid", "kid"]
Guard = Literal["full", "numbers"]


GeneratorNetwork = Annotated[
    MlpGenerator | DcganGenerator | PatchGenerator | R3ganGenerator, Field(discriminator="family")
]
DiscriminatorNetwork = Annotated[
    MlpDiscriminator | DcganDiscriminator | PatchDiscriminator | R3ganDiscriminator, Field(discriminator="family")
]


def _check_fit(size: int, network: GeneratorNetwork | DiscriminatorNetwork, parameters: Callable[[], int]) -> None:
    network.check(size)
    if (count := parameters()) > MAX_PARAMETERS:
        raise ConfigConflict(
            [("network", f"{count:,} parameters are too many: at most {MAX_PARAMETERS:,}, make it narrower")]
        )


class _ImageConfig(Frozen):
    size: Size
    channels: Channels

    @property
    def pixels(self) -> int:
        """Values in one image, height x width x channels."""
        return self.size * self.size * self.channels


class GeneratorConfig(_ImageConfig):
    """Everything needed to build a generator again: what a manifest carries.

    A conditional one is told which of its `classes` to make an image of; without any, the field is left out of JSON.
    """

    latent: Latent
    network: GeneratorNetwork
    classes: Classes = 0

    @property
    def inputs(self) -> dict[str, InputSpec]:
        """Inputs by name, in the order in which the network takes them."""
        specs: dict[str, InputSpec] = {"z": LatentInput(dim=self.latent.dim, prior=self.latent.prior)}
        if self.classes:
            specs["label"] = LabelInput(classes=self.classes)
        return specs

    @property
    def output(self) -> OutputSpec:
        """Shape of the images."""
        return FixedOutput(height=self.size, width=self.size, channels=self.channels)

    @property
    def input_width(self) -> int:
        """Values that the first layer takes: the latent, and what is learned for the class."""
        return self.latent.dim + (EMBEDDED if self.classes else 0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_fit(self.size, self.network, self.parameters)
        return self

    def parameters(self) -> int:
        """Count the weights, by arithmetic."""
        return self.classes * EMBEDDED + self.network.parameters(self.size, self.channels, self.input_width)

    def work(self) -> Work:
        """Count what a pass takes for one image, by arithmetic."""
        return self.network.work(self.size, self.channels, self.input_width)


class DiscriminatorConfig(_ImageConfig):
    """Everything needed to build a discriminator again; a conditional one is told each image's class."""

    network: DiscriminatorNetwork
    classes: Classes = 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _check_fit(self.size, self.network, self.parameters)
        return self

    def parameters(self) -> int:
        """Count the weights, by arithmetic."""
        return self.network.parameters(self.size, self.channels, self.classes)

    def work(self) -> Work:
        """Count what a pass takes for one image, by arithmetic."""
        return self.network.work(self.size, self.channels, self.classes)


class _Side(Frozen):
    lr: Rate = 2e-4
    lr_end: Annotated[Rate | None, Field(description="reached by a cosine over the run")] = None
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    beta2_end: Annotated[Beta | None, Field(description="of the second beta, reached by a cosine over the run")] = None
    steps: Annotated[int, Field(ge=1, le=16, description="updates per round")] = 1


class GeneratorTraining(_Side):
    """The generator's network, its Adam settings and its updates per round."""

    network: GeneratorNetwork


class DiscriminatorTraining(_Side):
    """The discriminator's network, its Adam settings and its updates (each on a fresh batch) per round."""

    network: DiscriminatorNetwork


class Penalty(Frozen):
    """What steep gradients with respect to images cost the discriminator, on top of its loss.

    `gradient` is weight x mean (|gradient| - 1)^2 between real and generated images, as in WGAN-GP (arXiv 1704.00028);
    `r1_r2` is weight / 2 x mean |gradient|^2 at real and at generated images, where the weight is known as gamma (arXiv
    2501.05441). Of `every` k steps one takes it, k times as heavy.
    """

    kind: PenaltyName = "none"
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = 10.0
    weight_end: Annotated[float | None, Field(gt=0, le=1_000_000, description="reached by a cosine over the run")] = (
        None
    )
    every: Annotated[int, Field(ge=1, le=64)] = 1


class Augmentation(Frozen):
    """Random changes to real and generated images alike before the discriminator sees them (arXiv 2006.10738).

    Each hits an image with probability `p`: always, from 0 up to it by a cosine over the run, or as far up to it as the
    discriminator's confidence on real images asks for (ADA, arXiv 2006.06676).
    """

    policy: Annotated[tuple[AugmentationName, ...], Field(max_length=3)] = ()
    p: Annotated[float, Field(gt=0, le=1)] = 1.0
    control: Literal["constant", "cosine", "adaptive"] = "constant"


def _misfits(side: str, build: Callable[[], Frozen]) -> list[tuple[str, str]]:
    try:
        build()
    except ValidationError as error:
        causes = [detail["ctx"]["error"] for detail in error.errors()]
        return [(f"{side}.{path}", message) for cause in causes for path, message in cause.problems]
    return []


class TrainingConfig(Frozen):
    """A complete training configuration; the length is in epochs or in kimg, exactly one of them.

    `conditional` networks learn the data set's classes apart; `classes` then holds their names, label by label.
    """

    preset: Name
    dataset: str
    model: Name
    seed: Seed = 0
    epochs: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    kimg: Annotated[float, Field(gt=0, le=100_000_000)] | None = None

    size: Size
    channels: Channels
    conditional: Annotated[bool, Field(description="learn the data set's classes apart; it needs labels")] = False
    classes: Annotated[tuple[Label, ...], Field(max_length=MAX_CLASSES)] = ()
    latent: Latent = Latent()
    generator: GeneratorTraining
    discriminator: DiscriminatorTraining
    method: Annotated[
        MethodName,
        Field(
            description="how the networks are trained; left out of JSON where it is adversarial",
            exclude_if=lambda name: name == ADVERSARIAL.name,
        ),
    ] = ADVERSARIAL.name
    loss: LossName = "non_saturating"
    penalty: Penalty = Penalty()
    augment: Augmentation = Augmentation()
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 64
    ema_half_life_kimg: Annotated[float, Field(ge=0, description="0: the average is the last weights")] = 10.0
    ema_half_life_share: Annotated[
        float | None,
        Field(gt=0, le=1, description="of the run's length, reached by a cosine from 0; replaces ema_half_life_kimg"),
    ] = None
    precision: Precision = "auto"
    compile: Annotated[
        Switch, Field(description="networks by torch's compiler; auto: on a GPU beside a C compiler")
    ] = "auto"
    devices: Annotated[int, Field(ge=1, le=16, description="of one host; each takes its share of every batch")] = 1
    guard: Annotated[
        Guard,
        Field(description="when to go back to an earlier point: full, or only at numbers that are not finite"),
    ] = "full"

    tick_kimg: Annotated[float, Field(gt=0, description="images between progress reports, thousands")] = 4.0
    snapshots: Annotated[int, Field(ge=1, le=1000, description="fixed-latent grids over the whole run")] = 50
    checkpoint_minutes: Annotated[float, Field(gt=0, le=1440)] = 2.0
    publish_every: Annotated[float, Field(gt=0, le=1, description="fraction of the run's length")] = 0.25
    score: Annotated[
        Chosen, Field(description="by which the best snapshot is chosen; auto: the first that is measured here")
    ] = "auto"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.epochs is None) == (self.kimg is None):
            raise ConfigConflict([("epochs", "give the length as epochs or as kimg: exactly one of them")])
        if self.conditional != bool(self.classes):
            raise ConfigConflict([("conditional", "is for data sets with labels, and only then are there classes")])
        generator, discriminator = self.generator.network.family, self.discriminator.network.family
        if generator != discriminator:
            message = f"the generator is {generator} and the discriminator {discriminator}: give both the same family"
            raise ConfigConflict([("discriminator.network.family", message)])
        problems = [
            *self._device_misfits(),
            *self._penalty_misfits(),
            *self._augment_misfits(),
            *_misfits("generator", self.generator_config),
            *_misfits("discriminator", self.discriminator_config),
        ]
        if problems:
            raise ConfigConflict(problems)
        return self

    def _device_misfits(self) -> Iterator[tuple[str, str]]:
        if self.batch_size % self.devices:
            fitting = self.batch_size + -self.batch_size % self.devices
            yield (
                "devices",
                f"{self.devices} cannot share batches of {self.batch_size} evenly: set batch_size={fitting}",
            )

        if self.compile == "on" and self.devices > 1:
            yield "compile", f"is for one device, and the run asks for {self.devices}: set auto or off"

    def _penalty_misfits(self) -> Iterator[tuple[str, str]]:
        loss, penalty = LOSSES.get(self.loss), PENALTIES.get(self.penalty.kind)
        if loss.bounded_by is not None and penalty.name != loss.bounded_by:
            yield "penalty.kind", f"the {loss.title} loss has no bound without a penalty: set {loss.bounded_by}"
        network = self.discriminator.network
        if penalty.takes_gradients and isinstance(network, DcganDiscriminator) and network.norm == "batch":
            message = "a penalty needs each image judged by itself, and batch normalisation mixes them: set none"
            yield "discriminator.network.norm", message

    def _augment_misfits(self) -> Iterator[tuple[str, str]]:
        augment = self.augment
        if augment.control != "constant" and not augment.policy:
            yield "augment.policy", f"there is nothing to be {augment.control}: name the changes, such as color"
        if augment.control != "adaptive":
            return
        if augment.p > MAX_ADAPTED:
            yield "augment.p", f"changes that hit nearly always leak into generated images: at most {MAX_ADAPTED}"
        if not LOSSES.get(self.loss).sign_separates:
            message = f"the sign of a {self.loss} output does not tell real from generated: set constant or cosine"
            yield "augment.control", message

    def generator_config(self) -> GeneratorConfig:
        """Give the generator's own configuration, as a manifest carries it."""
        return GeneratorConfig(
            size=self.size,
            channels=self.channels,
            latent=self.latent,
            network=self.generator.network,
            classes=len(self.classes),
        )

    def discriminator_config(self) -> DiscriminatorConfig:
        """Give the discriminator's own configuration."""
        return DiscriminatorConfig(
            size=self.size,
            channels=self.channels,
            network=self.discriminator.network,
            classes=len(self.classes),
        )

    def total_images(self, count: int) -> int:
        """Length in real images shown to the discriminator, for a data set of `count` images; whole batches."""
        images = self.epochs * count if self.epochs is not None else (self.kimg or 0.0) * 1000
        per_round = self.batch_size * self.discriminator.steps
        return max(1, round(images / per_round)) * per_round

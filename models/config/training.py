"""A complete training configuration: plain values, checked by arithmetic, without torch.

Presets are TOML files read into `TrainingConfig` by `models.config.presets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from models.config.inputs import Latent
from models.config.networks import MAX_CLASSES, DiscriminatorConfig, GeneratorConfig
from models.config.sections import (
    Augmentation,
    Codes,
    DiscriminatorTraining,
    GeneratorTraining,
    Penalty,
    Projected,
    Transfer,
)
from models.config.values import Channels, ConfigConflict, Frozen, ImageShape, Label, Name, Seed, Size
from models.objectives.losses import LOSSES
from models.objectives.methods import ADVERSARIAL, METHODS
from models.objectives.penalties import PENALTIES
from models.registry import Registered

# The largest probability of adaptive augmentation: changes that hit more often leak into generated images.
MAX_ADAPTED: Final = 0.85

LossName = Annotated[str, Registered(LOSSES)]
MethodName = Annotated[str, Registered(METHODS)]
Precision = Literal["auto", "fp32", "bf16"]
Switch = Literal["auto", "off", "on"]
ScoreName = Literal[
    "auto", "classifier_frechet", "efficientnet_kid", "efficientnet_frechet", "sliced_wasserstein", "fid", "kid"
]
GuardMode = Literal["full", "numbers"]


def _network_conflicts(side: str, build: Callable[[], Frozen]) -> list[tuple[str, str]]:
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
    transfer: Annotated[
        Transfer | None,
        Field(
            description="the version to start from, instead of random weights", exclude_if=lambda value: value is None
        ),
    ] = None
    keep_discriminators: Annotated[
        bool,
        Field(
            description="versions hold their discriminators too, so that a later training can start from both",
            exclude_if=lambda value: not value,
        ),
    ] = False
    loss: LossName = "non_saturating"
    penalty: Penalty = Penalty()
    projected: Annotated[
        Projected | None,
        Field(description="a second discriminator on frozen features", exclude_if=lambda value: value is None),
    ] = None
    codes: Annotated[
        Codes | None,
        Field(description="latents of real images; needs projected", exclude_if=lambda value: value is None),
    ] = None
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
        GuardMode,
        Field(description="when to go back to an earlier point: full, or only at numbers that are not finite"),
    ] = "full"

    tick_kimg: Annotated[float, Field(gt=0, description="images between progress reports, thousands")] = 4.0
    snapshots: Annotated[int, Field(ge=1, le=1000, description="fixed-latent grids over the whole run")] = 50
    checkpoint_minutes: Annotated[float, Field(gt=0, le=1440)] = 2.0
    publish_every: Annotated[float, Field(gt=0, le=1, description="fraction of the run's length")] = 0.25
    score: Annotated[
        ScoreName, Field(description="by which the best snapshot is chosen; auto: the first that is measured here")
    ] = "auto"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.epochs is None) == (self.kimg is None):
            raise ConfigConflict([("epochs", "give the length as epochs or as kimg: exactly one of them")])
        if self.conditional != bool(self.classes):
            raise ConfigConflict([("conditional", "is for data sets with labels, and only then are there classes")])
        problems = [
            *self._device_conflicts(),
            *self._penalty_conflicts(),
            *self._projected_conflicts(),
            *self._spectral_conflicts(),
            *self._augment_conflicts(),
            *_network_conflicts("generator", self.generator_config),
            *_network_conflicts("discriminator", self.discriminator_config),
        ]
        if problems:
            raise ConfigConflict(problems)
        return self

    def _device_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.batch_size % self.devices:
            fitting = self.batch_size + -self.batch_size % self.devices
            yield (
                "devices",
                f"{self.devices} cannot share batches of {self.batch_size} evenly: set batch_size={fitting}",
            )

        if self.compile == "on" and self.devices > 1:
            yield "compile", f"is for one device, and the run uses {self.devices}: set auto or off"

    def _penalty_conflicts(self) -> Iterator[tuple[str, str]]:
        loss, penalty = LOSSES.get(self.loss), PENALTIES.get(self.penalty.kind)
        if loss.bounded_by is not None and penalty.name != loss.bounded_by:
            yield "penalty.kind", f"the {loss.title} loss has no bound without a penalty: set {loss.bounded_by}"
        network = self.discriminator.network
        if penalty.takes_gradients and network.uses_batch_norm:
            setting, remedy = network.without_batch_norm
            message = f"a penalty needs each image judged by itself, and batch normalisation mixes them: {remedy}"
            yield f"discriminator.network.{setting}", message

    def _projected_conflicts(self) -> Iterator[tuple[str, str]]:
        if self.codes is not None and self.latent.prior != "normal":
            yield "latent.prior", "codes of images are normal: set normal"
        if self.projected is None:
            if self.codes is not None:
                yield "codes", "codes are made of the projected discriminator's features: set projected.weight too"
            return
        strides, size = self.projected.strides, self.projected.input_size
        if any(after != 2 * before for before, after in pairwise(strides)):
            yield "projected.strides", "each scale is mixed into the next: give neighbours, such as 4, 8, 16"
        elif size % strides[-1] or size // strides[-1] < 2:
            yield "projected.input_size", f"features at stride {strides[-1]} need a multiple of it, twice it at least"

    def _spectral_conflicts(self) -> Iterator[tuple[str, str]]:
        side = self.discriminator
        if side.spectral_norm and side.network.begins_at_zero:
            message = f"residual blocks of {side.network.family} begin at zero and cannot be normalised: leave it out"
            yield "discriminator.spectral_norm", message

    def _augment_conflicts(self) -> Iterator[tuple[str, str]]:
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

    @property
    def shape(self) -> ImageShape:
        return self.generator_config().shape

    def generator_config(self) -> GeneratorConfig:
        """Return the generator's own configuration, as a manifest carries it."""
        return GeneratorConfig(
            size=self.size,
            channels=self.channels,
            latent=self.latent,
            network=self.generator.network,
            classes=len(self.classes),
        )

    @property
    def kept_discriminators(self) -> tuple[str, ...]:
        """Names of the discriminators that versions hold."""
        return METHODS.get(self.method).discriminators if self.keep_discriminators else ()

    def discriminator_config(self) -> DiscriminatorConfig:
        """Return the discriminator's own configuration."""
        return DiscriminatorConfig(
            size=self.size,
            channels=self.channels,
            network=self.discriminator.network,
            classes=len(self.classes),
        )

    def total_images(self, count: int) -> int:
        """Length in real images shown to the discriminator, for a data set of `count` images; whole batches."""
        images = self.epochs * count if self.epochs is not None else (self.kimg or 0.0) * 1000
        # Rounded to whole rounds; at least one.
        per_round = self.batch_size * self.discriminator.steps
        return max(1, round(images / per_round)) * per_round

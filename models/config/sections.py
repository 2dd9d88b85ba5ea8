"""Sections of a training's configuration: both networks with their optimisers, penalty, augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from models.config.values import PINNED, Frozen
from models.families.spec import AnyDiscriminator, AnyGenerator
from models.objectives.augmentations import AUGMENTATIONS
from models.objectives.penalties import PENALTIES
from models.registry import Registered

Rate = Annotated[float, Field(gt=0, le=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Stride = Literal[4, 8, 16, 32]
PenaltyName = Annotated[str, Registered(PENALTIES)]
AugmentationName = Annotated[str, Registered(AUGMENTATIONS)]


class _Side(Frozen):
    lr: Rate = 2e-4
    lr_end: Annotated[Rate | None, Field(description="reached by a cosine over the run")] = None
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    beta2_end: Annotated[Beta | None, Field(description="of the second beta, reached by a cosine over the run")] = None
    steps: Annotated[int, Field(ge=1, le=16, description="updates per round")] = 1


class GeneratorTraining(_Side):
    """The generator's network, its Adam settings and its updates per round."""

    network: AnyGenerator


class DiscriminatorTraining(_Side):
    """The discriminator's network, its Adam settings and its updates (each on a fresh batch) per round."""

    network: AnyDiscriminator
    spectral_norm: Annotated[
        bool,
        Field(
            description="weights of its layers have a largest singular value of 1", exclude_if=lambda value: not value
        ),
    ] = False


class Transfer(Frozen):
    """The published version whose weights a training starts from.

    The lowest `frozen_layers` layers of the discriminator keep those weights (FreezeD, arXiv 2002.10964).
    """

    version: Annotated[str, Field(pattern=PINNED, description="NAME@NUMBER")]
    frozen_layers: Annotated[int, Field(ge=0, le=64, description="of the discriminator, from its input")] = 0


class Penalty(Frozen):
    """A penalty on the discriminator's gradients with respect to images, added to its loss.

    `gradient` is weight x mean (|gradient| - 1)^2 between real and generated images, as in WGAN-GP (arXiv 1704.00028);
    `r1_r2` is weight / 2 x mean |gradient|^2 at real and at generated images, where the weight is known as gamma (arXiv
    2501.05441); `r1` takes real images alone (arXiv 1801.04406). One of `every` k steps takes it, k times as heavy.
    """

    kind: PenaltyName = "none"
    weight: Annotated[float, Field(gt=0, le=1_000_000)] = 10.0
    weight_end: Annotated[float | None, Field(gt=0, le=1_000_000, description="reached by a cosine over the run")] = (
        None
    )
    every: Annotated[int, Field(ge=1, le=64)] = 1
    precision: Annotated[
        Literal["fp32", "auto"],
        Field(description="of steps with it; auto: that of the run", exclude_if=lambda value: value == "fp32"),
    ] = "fp32"


class Projected(Frozen):
    """A second discriminator, on features of a network that knows photographs and is never trained.

    Small networks judge its features at several scales by the hinge loss (Projected GAN, arXiv 2111.01007); the
    generator minimises its loss against the discriminator on pixels plus `weight` times that against this one.
    """

    weight: Annotated[float, Field(gt=0, le=1000)] = 0.5
    lr: Rate = 5e-4
    lr_end: Annotated[Rate | None, Field(description="reached by a cosine over the run")] = None
    betas: tuple[Beta, Beta] = (0.0, 0.99)
    input_size: Annotated[int, Field(ge=32, le=512, description="side to which images are resized for it")] = 64
    strides: Annotated[
        tuple[Stride, ...], Field(min_length=1, description="of the features, each twice the one before")
    ] = (4, 8, 16)
    channels: Annotated[int, Field(ge=8, le=1024, description="of the mixed features at the finest scale")] = 64


class Codes(Frozen):
    """Latents of real images: every second image is generated from the code of a real one, and pulled towards it.

    A code holds principal components of the image's pixels and frozen features, each made normal by its rank in the
    data set, so that codes and random latents have the same distribution. The generator's loss gets weight x (4 x mean
    absolute difference of pixels + `features` x squared difference of the projected discriminator's features).
    """

    weight: Annotated[float, Field(gt=0, le=10_000)] = 13.0
    weight_end: Annotated[float, Field(gt=0, le=10_000, description="reached geometrically over the run")] = 1.3
    features: Annotated[float, Field(ge=0, le=100)] = 0.5
    pool: Annotated[Literal[1, 2, 4], Field(description="side of the squares of pixels that are averaged")] = 2


class Augmentation(Frozen):
    """Random changes to real and generated images before the discriminator sees them (arXiv 2006.10738).

    Each is applied to an image with probability `p`: constant, rising from 0 to it by a cosine over the run, or
    adaptive between 0 and it, following the discriminator's outputs on real images (ADA, arXiv 2006.06676).
    """

    policy: Annotated[tuple[AugmentationName, ...], Field(max_length=3)] = ()
    p: Annotated[float, Field(gt=0, le=1)] = 1.0
    control: Literal["constant", "cosine", "adaptive"] = "constant"
    mirror: Annotated[
        Literal["off", "on", "auto"],
        Field(
            description="show each image mirrored as often as not; auto: where mirror images are as likely as images",
            exclude_if=lambda value: value == "off",
        ),
    ] = "off"

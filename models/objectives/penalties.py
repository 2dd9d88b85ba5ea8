"""Gradient penalties: WGAN-GP and R1 + R2.

All in fp32, outside autocast, and never compiled: they take gradients of gradients, which half precision and compiled
code do not support.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from models.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

Points = Literal["images", "mixtures"]


@dataclass(frozen=True)
class PenaltySpec:
    """A term that is added to the discriminator's loss, weighted, for its gradients with respect to images.

    Attributes:
        name: in configurations.
        title: for people.
        sentence: what it does, for people.
        formula: the discriminator's outputs `[M]`, each of its own image only, and the float32 images `[M, C, H, W]`
            that they were computed from, which need gradients, to a scalar; None for no penalty at all.
        points: where the gradients are taken: at the images of a step, real ones first and as many generated ones
            behind them, or at `mixtures` of both.
        grows_with_size: whether its weight has to grow with the third power of the images' side.
    """

    name: str
    title: str
    sentence: str
    formula: Callable[[Tensor, Tensor], Tensor] | None = None
    points: Points = "images"
    grows_with_size: bool = False

    @property
    def takes_gradients(self) -> bool:
        """Whether there is a penalty: a pass more, and each image has to be judged by itself."""
        return self.formula is not None


PENALTIES: Final[Registry[PenaltySpec]] = Registry("penalty")


def mixtures(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Mix each real image with a generated one.

    Args:
        real: float32 `[N, C, H, W]`.
        fake: float32 `[N, C, H, W]`.
        shares: float32 `[N]` in [0, 1]: how much of the real image is in each mixture.

    Returns:
        float32 `[N, C, H, W]` that needs gradients.
    """
    import torch

    return torch.lerp(fake, real, shares.view(-1, 1, 1, 1)).requires_grad_()


def one_centred(outputs: Tensor, images: Tensor) -> Tensor:
    """Compute mean (|gradient| - 1)^2 (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

    The result can be differentiated with respect to the critic's weights.
    """
    import torch

    # The norm's own derivative at 0 is 0, where that of a square root would be infinite.
    norms: Tensor = torch.linalg.vector_norm(_gradients(outputs, images), dim=1)
    return (norms - 1.0).square().mean()


def zero_centred(outputs: Tensor, images: Tensor) -> Tensor:
    """Compute (mean |gradient|^2 at real images + the same at generated ones) / 2 (arXiv 2501.05441, eq. 3, 4).

    The result can be differentiated with respect to the discriminator's weights.
    """
    return _gradients(outputs, images).square().sum(1).mean()


def _gradients(outputs: Tensor, images: Tensor) -> Tensor:
    """Compute each output's gradient with respect to its own image, `[N, C H W]`."""
    import torch

    # No image influences another's output, so the gradient of the sum holds each one's own.
    (gradients,) = torch.autograd.grad(outputs.sum(), images, create_graph=True)
    return gradients.flatten(1)


PENALTIES.register(PenaltySpec(name="none", title="None", sentence="No penalty."))
PENALTIES.register(
    PenaltySpec(
        name="gradient",
        title="Gradient penalty",
        sentence="weight x mean (|gradient| - 1)^2 between real and generated images, as in WGAN-GP.",
        formula=one_centred,
        points="mixtures",
    )
)
PENALTIES.register(
    PenaltySpec(
        name="r1_r2",
        title="R1 + R2",
        sentence="weight / 2 x mean |gradient|^2 at real and at generated images; the weight is known as gamma.",
        formula=zero_centred,
        # 0.25 (size / 32)^3 is the first guess for gamma at any size.
        grows_with_size=True,
    )
)

"""Gradient penalties: WGAN-GP, R1, and R1 + R2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from models.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

# Never compiled: they take gradients of gradients, which compiled code does not support.
Points = Literal["images", "reals", "mixtures"]


@dataclass(frozen=True)
class PenaltySpec:
    """A weighted term of the discriminator's loss, on its gradients with respect to images.

    Attributes:
        name: in configurations.
        title, sentence: shown to people.
        formula: maps outputs `[M]` and their float32 images `[M, C, H, W]`, which need gradients, to a scalar;
            None for no penalty.
        points: where gradients are taken: at the images of a step (real ones, then equally many generated ones), at the
            real ones alone, or at `mixtures` of both.
        grows_with_size: whether its weight has to grow with the third power of the images' side.
    """

    name: str
    title: str
    sentence: str
    # Each output must depend on its own image only: batch normalisation breaks that.
    formula: Callable[[Tensor, Tensor], Tensor] | None = None
    points: Points = "images"
    grows_with_size: bool = False

    @property
    def takes_gradients(self) -> bool:
        """Whether there is a penalty, which costs a pass and excludes batch normalisation."""
        return self.formula is not None


PENALTIES: Final[Registry[PenaltySpec]] = Registry("penalty")


def mixtures(real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Return a mixture of each real image with a generated one, float32 `[N, C, H, W]`, which needs gradients.

    Args:
        real, fake: float32 `[N, C, H, W]`.
        shares: float32 `[N]` in [0, 1], of the real images.
    """
    import torch

    return torch.lerp(fake, real, shares.view(-1, 1, 1, 1)).requires_grad_()


def one_centred(outputs: Tensor, images: Tensor) -> Tensor:
    """Compute mean (|gradient| - 1)^2 (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3), differentiable."""
    import torch

    # `vector_norm` has the derivative 0 at 0; that of a square root would be infinite.
    norms: Tensor = torch.linalg.vector_norm(_gradients(outputs, images), dim=1)
    return (norms - 1.0).square().mean()


def zero_centred(outputs: Tensor, images: Tensor) -> Tensor:
    """Compute (mean |gradient|^2 at real images + the same at generated ones) / 2 (arXiv 2501.05441, eq. 3, 4)."""
    # There are equally many of both, so this is the mean over all.
    return _gradients(outputs, images).square().sum(1).mean()


def zero_centred_reals(outputs: Tensor, images: Tensor) -> Tensor:
    """Compute mean |gradient|^2 at real images, halved (Mescheder et al. 2018, arXiv 1801.04406, eq. 9)."""
    return 0.5 * _gradients(outputs, images).square().sum(1).mean()


# Each output's gradient with respect to its own image, `[N, C H W]`.
def _gradients(outputs: Tensor, images: Tensor) -> Tensor:
    import torch

    # No image influences another's output, so the gradient of the sum contains the gradient of each. The graph is kept:
    # the discriminator's weights are trained through it.
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
PENALTIES.register(
    PenaltySpec(
        name="r1",
        title="R1",
        sentence="weight / 2 x mean |gradient|^2 at real images; the weight is known as gamma.",
        formula=zero_centred_reals,
        points="reals",
        grows_with_size=True,
    )
)

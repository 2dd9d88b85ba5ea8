"""What steep gradients of the discriminator cost it; all in fp32, outside autocast, and never compiled.

Gradients of gradients are taken, which half precision and compiled code do not stand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


def eager(network: nn.Module) -> AbstractContextManager[object]:
    """Run what may have been compiled of `network` as it is."""
    # The question first: the context imports torch's compiler.
    return nullcontext() if network._compiled_call_impl is None else torch.compiler.set_stance("force_eager")


def interpolated(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, shares: Tensor) -> Tensor:
    """Give mean (|gradient| - 1)^2 between real and generated images (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3).

    Args:
        critic: float32 images `[N, C, H, W]` to outputs `[N]`, each of its own image only.
        real: float32 `[N, C, H, W]`.
        fake: float32 `[N, C, H, W]`.
        shares: float32 `[N]` in [0, 1]: how much of the real image is in each mixture.

    Returns:
        A scalar that can be differentiated with respect to the critic's weights.
    """
    between = torch.lerp(fake, real, shares.view(-1, 1, 1, 1)).requires_grad_()
    # The norm's own derivative at 0 is 0, where that of a square root would be infinite.
    slopes: Tensor = torch.linalg.vector_norm(_gradients(critic(between), between), dim=1)
    return (slopes - 1.0).square().mean()


def zero_centred(outputs: Tensor, images: Tensor) -> Tensor:
    """Give (mean |gradient|^2 at real images + the same at generated ones) / 2: R1 + R2 (arXiv 2501.05441, eq. 3, 4).

    Args:
        outputs: `[2 N]`, each of its own image only.
        images: float32 `[2 N, C, H, W]` that need gradients, as many real as generated ones.

    Returns:
        A scalar that can be differentiated with respect to the discriminator's weights.
    """
    return _gradients(outputs, images).square().sum(1).mean()


def _gradients(outputs: Tensor, images: Tensor) -> Tensor:
    """Give each output's gradient with respect to its own image, `[N, C H W]`."""
    (gradients,) = torch.autograd.grad(outputs.sum(), images, create_graph=True)
    return gradients.flatten(1)

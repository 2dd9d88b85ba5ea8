"""Layers that families share: class conditioning, dropout, a final tanh, and reshaping that keeps channels last."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from models.config.networks import EMBEDDED
from models.networks.rows import Rows

_LEVELS = 1 << 16
_LOWEST = -(1 << 15)


# Class conditioning: around the plain networks of any family.


def embedding(classes: int, width: int, std: float) -> nn.Embedding:
    """Build a table of `width` values for each class, N(0, std^2)."""
    weight = torch.empty(classes, width)
    # On the meta device there is nothing to fill, and the attempt would import torch's compiler, which takes seconds.
    return nn.Embedding(classes, width, _weight=weight if weight.is_meta else weight.normal_(0.0, std))


class Embedded(nn.Module):
    """A conditional generator: the latent is concatenated with a learned embedding of the class."""

    def __init__(self, classes: int, network: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding(classes, EMBEDDED, 1.0)  # N(0, 1), as the latent
        self.network = network

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Return images of latents `[N, dim]` and int64 labels `[N]`."""
        images: Tensor = self.network(torch.cat((z, self.embedding(labels)), 1))
        return images


class Projected(nn.Module):
    """A conditional discriminator: psi(h) + <e(y), h> (Miyato and Koyama 2018, arXiv 1802.05637, eq. 3).

    Args:
        width: features, or channels of features.
        trunk: images to features h, `[N, width]` or `[N, width, H, W]`; the latter are summed over H and W for <e, h>.
        head: psi, features to logits `[N]`.
    """

    def __init__(self, classes: int, width: int, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        # So that <e, h> has the variance of one feature at the beginning.
        self.embedding = embedding(classes, width, width**-0.5)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return logits `[N]` of images and int64 labels `[N]`."""
        features = self.trunk(images)
        summed = features.flatten(2).sum(2) if features.dim() == 4 else features
        logits: Tensor = self.head(features) + (self.embedding(labels) * summed).sum(1)
        return logits


# Activations.


class Tanh(nn.Module):
    """Squash pixels into [-1, 1], as float32."""

    def forward(self, x: Tensor) -> Tensor:
        # In bfloat16 everything beyond 0.998 rounds to 1, where the gradient is exactly 0: black and white pixels would
        # never move again.
        return torch.tanh(x.float())


class Dropout(nn.Module):
    """Zero each value with probability `p` while training, and scale the others so that the mean stays.

    Attributes:
        rows: the slice of a batch that comes in; None for whole batches.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.rows: Rows | None = None
        self._threshold = round(p * _LEVELS)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        if self.rows is not None:
            # Draw the mask of the whole batch and take these rows, so that slices change no random number.
            whole = x.new_empty((self.rows.drawn(len(x)), *x.shape[1:]))
            return x * self.rows.of(self._mask(whole))
        return x * self._mask(x) if x.device.type == "cpu" else dropout(x, self.p)

    def _mask(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            # The same mask as that of torch's own dropout.
            return dropout(torch.ones_like(x), self.p)
        # On the CPU one 64-bit number of the generator decides four values, and `p` is rounded to a multiple of 1/65536
        # (0.3
        # becomes 0.300003). It costs a tenth of `nn.Dropout`, which took a sixth of a small network's step.
        words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        return (bits >= _LOWEST + self._threshold).to(x.dtype).mul_(_LEVELS / (_LEVELS - self._threshold))

    def extra_repr(self) -> str:
        return f"p={self.p}"


def set_rows(network: nn.Module, rows: Rows | None) -> None:
    """Set which slice of a batch a network's dropout layers get from now on; None for whole batches."""
    for layer in network.modules():
        if isinstance(layer, Dropout):
            layer.rows = rows


# Reshaping. Where two memory layouts meet, activations and their derivatives are computed value by value: with small
# convolutions that took a tenth of the step. These layers keep channels last while a network is trained.


class Unflatten(nn.Unflatten):
    """Reshape features `[N, C * H * W]` to `[N, C, H, W]`."""

    def forward(self, x: Tensor) -> Tensor:
        shaped: Tensor = super().forward(x)
        return shaped.contiguous(memory_format=torch.channels_last) if self.training else shaped


class Flatten(nn.Flatten):
    """Reshape features `[N, C, H, W]` to `[N, C * H * W]`; gradients get the memory layout of the features."""

    def forward(self, x: Tensor) -> Tensor:
        # Compiled code chooses the layout of gradients itself, and does not support hooks.
        if x.requires_grad and self.training and not torch.compiler.is_compiling():
            x.register_hook(_channels_last)  # type: ignore[no-untyped-call]
        flat: Tensor = super().forward(x)
        return flat


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)

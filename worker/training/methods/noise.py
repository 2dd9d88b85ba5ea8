"""Random inputs of a training: latents, labels and mixing shares, from a generator of its own."""

from __future__ import annotations

import torch
from torch import Tensor

from models.config.inputs import Latent


class Noise:
    """Draws latents, labels and mixing shares for whole batches.

    Args:
        latent: length and prior of a latent.
        seed: of the random generator.
        device: to draw on.
        labels: int64 `[N]`, those of the data for conditional networks: they are drawn as often as they occur there.
    """

    def __init__(self, latent: Latent, seed: int, device: torch.device, labels: Tensor | None = None) -> None:
        self._latent = latent
        self._device = device
        self._labels = labels
        self.generator = torch.Generator(device).manual_seed(seed)

    def latents(self, count: int) -> Tensor:
        """Draw float32 `[count, dim]`, N(0, 1) or uniform in (-1, 1)."""
        shape = (count, self._latent.dim)
        if self._latent.prior == "uniform":
            return torch.rand(shape, generator=self.generator, device=self._device) * 2 - 1
        return torch.randn(shape, generator=self.generator, device=self._device)

    def shares(self, count: int) -> Tensor:
        """Draw float32 `[count]`, uniform in [0, 1)."""
        return torch.rand(count, generator=self.generator, device=self._device)

    def labels(self, count: int) -> Tensor | None:
        """Draw int64 `[count]`; None, and nothing drawn, where networks are not conditional."""
        if self._labels is None:
            return None
        chosen = torch.randint(len(self._labels), (count,), generator=self.generator, device=self._device)
        return self._labels.index_select(0, chosen)

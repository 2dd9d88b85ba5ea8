"""How a network is told the class of an image: around the plain networks of any family."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.config.networks import EMBEDDED


def embedding(classes: int, width: int, std: float) -> nn.Embedding:
    """Build a table of `width` values for each class, N(0, std^2)."""
    weight = torch.empty(classes, width)
    # On the meta device there is nothing to fill, and trying to would import torch's compiler first: seconds.
    return nn.Embedding(classes, width, _weight=weight if weight.is_meta else weight.normal_(0.0, std))


class Embedded(nn.Module):
    """A generator with a second input, the class, for which it learns values that go beside the latent."""

    def __init__(self, classes: int, network: nn.Module) -> None:
        super().__init__()
        self.embedding = embedding(classes, EMBEDDED, 1.0)  # N(0, 1), as the latent
        self.network = network

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        """Turn latents `[N, dim]` and int64 labels `[N]` into images."""
        images: Tensor = self.network(torch.cat((z, self.embedding(labels)), 1))
        return images


class Projected(nn.Module):
    """A discriminator that is told the class: psi(h) + <e(y), h> (Miyato and Koyama 2018, arXiv 1802.05637, eq. 3).

    Args:
        classes: how many there are.
        width: features, or channels of features.
        trunk: images to features h, `[N, width]` or `[N, width, H, W]`; the latter are summed over H and W for <e, h>.
        head: psi, features to logits `[N]`.
    """

    def __init__(self, classes: int, width: int, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head
        self.embedding = embedding(classes, width, width**-0.5)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Give a logit for each image and its int64 label, `[N]`."""
        features = self.trunk(images)
        summed = features.flatten(2).sum(2) if features.dim() == 4 else features
        logits: Tensor = self.head(features) + (self.embedding(labels) * summed).sum(1)
        return logits

"""Spectral normalisation: layers whose weights have a largest singular value of 1.

Miyato et al. 2018, arXiv 1802.05957, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_FIRST_ITERATIONS = 15
_EPSILON = 1e-12


class SpectralNorm(nn.Module):
    """A parametrisation of a weight W `[out, ...]`: W / sigma with sigma = u^T W v, u and v from power iteration.

    The iteration moves only in `iterate`, once for each optimizer step: passes change nothing, so that slices of a
    batch, recorded graphs and the generator's steps see the same weight.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows = weight.detach().flatten(1)
        self.register_buffer("u", nn.functional.normalize(rows.new_empty(rows.shape[0]).normal_(), dim=0))
        self.register_buffer("v", nn.functional.normalize(rows.new_empty(rows.shape[1]).normal_(), dim=0))
        for _ in range(_FIRST_ITERATIONS):
            self.iterate(weight)

    def forward(self, weight: Tensor) -> Tensor:
        # As a sum of products, which stays in fp32 under autocast; a matrix product would not.
        sigma = (weight.flatten(1) * self.u[:, None] * self.v).sum()
        return weight / sigma

    @torch.no_grad()
    def iterate(self, weight: Tensor) -> None:
        """Take one step of power iteration."""
        rows = weight.flatten(1)
        self.v.copy_(nn.functional.normalize(rows.t() @ self.u, dim=0, eps=_EPSILON))
        self.u.copy_(nn.functional.normalize(rows @ self.v, dim=0, eps=_EPSILON))


def normalise(network: nn.Module) -> None:
    """Normalise all linear layers, convolutions and embeddings of a network."""
    for layer in list(network.modules()):
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding):
            normalised(layer)


def normalised(layer: nn.Linear | nn.Conv2d | nn.Embedding) -> nn.Module:
    """Normalise the weight of a layer, and return the layer."""
    return parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))


def iterate(networks: Iterable[nn.Module]) -> None:
    """Take one step of power iteration in all normalised layers, after their weights have changed."""
    for network in networks:
        for layer in network.modules():
            if isinstance(layer, parametrize.ParametrizationList):
                for each in layer:
                    if isinstance(each, SpectralNorm):
                        each.iterate(layer.original)

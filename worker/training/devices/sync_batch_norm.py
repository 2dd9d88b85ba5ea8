"""Batch normalisation over the rows of all ranks, on any device: torch's own is for GPUs only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from worker.training.devices.ranks import Ranks


def synchronise(network: nn.Module, ranks: Ranks) -> None:
    """Replace every batch normalisation of a network by one over all ranks, with the same parameters."""
    if ranks.count == 1:
        return
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.BatchNorm2d:
                setattr(parent, name, SynchronisedBatchNorm(layer, ranks))


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics in training are over the rows of all ranks (arXiv 1502.03167).

    Means and variances of the ranks are gathered, and gradients flow back through them to all ranks. Gradients are
    right once they are averaged over the ranks, each of its own rows' mean loss.

    Args:
        layer: whose parameters and statistics it takes over.
        ranks: which see each other's rows.
    """

    def __init__(self, layer: nn.BatchNorm2d, ranks: Ranks) -> None:
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.weight, self.bias = layer.weight, layer.bias
        for name, buffer in layer.named_buffers():
            self.register_buffer(name, buffer)
        self.ranks = ranks
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `[N, C, H, W]`."""
        if not (self.training and self.ranks.synchronising):
            return super().forward(x)
        rows = x.float()
        # [2, C] of each rank. The variance over all ranks is the mean of variances plus the variance of means.
        own = torch.stack((rows.mean((0, 2, 3)), rows.var((0, 2, 3), correction=0)))
        rank, count = self.ranks.rank, self.ranks.count
        gathered: Tensor = _Sum.apply(pad(own[None], (0, 0, 0, 0, rank, count - rank - 1)))  # type: ignore[no-untyped-call]
        mean = gathered[:, 0].mean(0)
        variance = gathered[:, 1].mean(0) + gathered[:, 0].var(0, correction=0)
        self._remember(mean.detach(), variance.detach(), count * rows.numel() // self.num_features)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return torch.addcmul(shift.view(1, -1, 1, 1), rows, scale.view(1, -1, 1, 1)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, values: int) -> None:
        momentum = self.momentum or 0.0
        self.get_buffer("running_mean").lerp_(mean, momentum)
        self.get_buffer("running_var").lerp_(variance * (values / (values - 1)), momentum)
        self.get_buffer("num_batches_tracked").add_(1)


class _Sum(torch.autograd.Function):
    """The sum over all ranks, in each of them: so is its gradient."""

    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        return _summed(tensor)

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(tensor: Tensor) -> Tensor:
    total = tensor.clone(memory_format=torch.contiguous_format)
    torch.distributed.all_reduce(total)
    return total

"""Batch normalisation over the rows of all ranks, on any device (torch's own needs GPUs)."""

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

    Means and variances of the ranks are gathered, and gradients flow back through them to all ranks.

    Args:
        layer: its parameters and running statistics are taken over, not copied.
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
        # Mean and variance of this rank, [2, C]; in fp32, because sums of squares lose too much in bf16.
        own = torch.stack((rows.mean((0, 2, 3)), rows.var((0, 2, 3), correction=0)))
        rank, count = self.ranks.rank, self.ranks.count
        # All-gather as a sum: each rank pads its statistics with zeros at the places of the others.
        gathered: Tensor = _Sum.apply(pad(own[None], (0, 0, 0, 0, rank, count - rank - 1)))  # type: ignore[no-untyped-call]
        # Ranks have equally many rows. The variance over all of them is the mean of variances plus the variance of
        # means.
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
        # Running statistics keep the unbiased variance, as in torch.
        self.get_buffer("running_var").lerp_(variance * (values / (values - 1)), momentum)
        self.get_buffer("num_batches_tracked").add_(1)


# The sum over all ranks, on each of them. Its gradient is the same sum; it is right once gradients are averaged over
# the ranks, each of the mean loss of its own rows.
class _Sum(torch.autograd.Function):
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

"""Folding and fusing of layers for inference: the same function with fewer passes over memory.

Both rewrite the `nn.Sequential`s in a module, and leave unknown layers unchanged.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_weights

Layers = list[nn.Module]


def fold(module: nn.Module) -> nn.Module:
    """Fold each batch normalisation into the layer before it.

    y = (W x + b - mean) * s + beta is linear in x, so the result is the same but for rounding.

    Args:
        module: in evaluation mode; modified.
    """
    return _rewritten(module, _folded)


def has_onednn() -> bool:
    """Return whether torch was built with the library that `fuse` needs."""
    return bool(torch._C._has_mkldnn)


def fuse(module: nn.Module, batch: int) -> nn.Module:
    """Fuse linear layers and transposed convolutions with the ReLU that follows, as oneDNN primitives on the CPU.

    The weights are laid out in memory as the kernels for `batch` images read them.

    Args:
        module: in its final data type; modified.
    """
    # These are the operators that torch's compiler chooses; here they need no compiler.
    return _rewritten(module, lambda layers: _fused(layers, batch))


def _rewritten(module: nn.Module, change: Callable[[Layers], Layers]) -> nn.Module:
    for name, child in module.named_children():
        setattr(module, name, _rewritten(child, change))
    return nn.Sequential(*change(list(module))) if type(module) is nn.Sequential else module


def _folded(layers: Layers) -> Layers:
    result: Layers = []
    for layer in layers:
        match result, layer:
            case [*_, nn.ConvTranspose2d() | nn.Conv2d() as convolution], nn.BatchNorm2d() if convolution.groups == 1:
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                result[-1] = fuse_conv_bn_eval(convolution, layer, transpose=transposed)
            case [*_, nn.Linear() as linear, nn.Unflatten()], nn.BatchNorm2d():
                _fold_into_linear(linear, layer)
            case _:
                result.append(layer)
    return result


def _fold_into_linear(linear: nn.Linear, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # The outputs are unflattened to channels x height x width: each channel's statistics apply to `square` outputs.
    square = linear.out_features // norm.num_features
    statistics = (norm.running_mean, norm.running_var)
    mean, variance, scale, shift = (part.repeat_interleave(square) for part in (*statistics, norm.weight, norm.bias))
    weight, bias = fuse_linear_bn_weights(linear.weight, linear.bias, mean, variance, norm.eps, scale, shift)
    linear.weight, linear.bias = weight, bias


def _fused(layers: Layers, batch: int) -> Layers:
    result: Layers = []
    for layer in layers:
        match result, layer:
            case [*_, FusedLinear() | FusedConvTranspose() as before], nn.ReLU():
                before.activation = "relu"
            case [*_, FusedLinear() as before, nn.Unflatten()], nn.ReLU():
                before.activation = "relu"
            case _, nn.Linear():
                result.append(FusedLinear(layer, batch))
            case _, nn.ConvTranspose2d():
                result.append(FusedConvTranspose(layer))
            case _:
                result.append(layer)
    return result


class FusedLinear(nn.Module):
    def __init__(self, layer: nn.Linear, batch: int) -> None:
        super().__init__()
        self.activation = "none"
        self._bias = layer.bias
        self._weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.contiguous(), batch)

    def forward(self, x: Tensor) -> Tensor:
        """Compute activation(W x + b), `[N, out]`."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, self.activation, [], "")
        return result


class FusedConvTranspose(nn.Module):
    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        self.activation = "none"
        self._geometry = (layer.padding, layer.output_padding, layer.stride, layer.dilation, layer.groups)
        self._weight, self._bias = layer.weight, layer.bias
        self._laid_out = False

    def forward(self, x: Tensor) -> Tensor:
        """Compute activation(convolution + b), `[N, C, H, W]`."""
        # Laid out at the first batch, whose shape decides the kernel; batches of other shapes may follow.
        if not self._laid_out:
            reorder = torch.ops.mkldnn._reorder_convolution_transpose_weight
            self._weight = nn.Parameter(reorder(self._weight, *self._geometry, x.shape), requires_grad=False)
            self._laid_out = True
        result: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            x.contiguous(memory_format=torch.channels_last),
            self._weight, self._bias, *self._geometry, self.activation, [], "",
        )  # fmt: skip
        return result

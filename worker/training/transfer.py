"""Training from a published version: its weights instead of random ones, and layers that keep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from models.config.sections import Transfer
from models.store.base import ModelStore
from models.store.errors import ModelError
from models.store.versions import WholeVersion
from models.store.weights import CheckpointError, load
from worker.training.failure import TrainingFailed
from worker.training.state.state import TrainingState


def start_from(transfer: Transfer, state: TrainingState, store: ModelStore, log: Callable[[str], None]) -> None:
    """Replace the random weights of a new training by those of a version.

    Its generators are also the first averages. A discriminator starts from the version's where that was kept and is the
    same network; else it starts from random weights, which the log says.

    Raises:
        TrainingFailed: the version is gone, or its generators are other networks.
    """
    try:
        version = store.resolve(transfer.version)
        for name, average in state.method.generators.items():
            data = _read(version, store, version.manifest.generators[name].weights)
            for network in (state.modules[state.method.averages[average]], state.averages[average]):
                network.load_state_dict(data, strict=True)
    except (ModelError, CheckpointError, KeyError, RuntimeError) as error:
        raise TrainingFailed(f"the run cannot start from {transfer.version}: {error}") from error
    learned = [name for name in version.manifest.discriminators if name in state.modules]
    kept = [name for name in learned if _copy(state.modules[name], version, store, name)]
    log(f"started from {version.ref}: {_described(kept)}")


def _copy(network: nn.Module, version: WholeVersion, store: ModelStore, name: str) -> bool:
    tensors = _read(version, store, version.manifest.discriminators[name].weights)
    expected = {key: tensor.shape for key, tensor in network.state_dict().items()}
    if expected != {key: tensor.shape for key, tensor in tensors.items()}:
        return False
    network.load_state_dict(tensors, strict=True)
    return True


def _read(version: WholeVersion, store: ModelStore, name: str) -> dict[str, torch.Tensor]:
    return load(store.read(version, name))


def _described(discriminators: list[str]) -> str:
    if not discriminators:
        return "its generator; the discriminator is new, because the version holds none of the same shape"
    return f"its generator and {' and '.join(discriminators)}"


def freeze_lower_layers(state: TrainingState, count: int) -> None:
    """Keep the weights of the `count` lowest layers of the discriminator (Mo et al. 2020, arXiv 2002.10964).

    A layer is a module with weights of its own, in the order in which the network holds them.

    Raises:
        TrainingFailed: the discriminator has no further layer that could be trained.
    """
    if not count:
        return
    layers = list(_layers(state.modules["discriminator"]))
    if count >= len(layers):
        raise TrainingFailed(
            f"transfer.frozen_layers is {count}, and the discriminator has {len(layers)} layers: one has to stay free"
        )
    state.frozen_layers = tuple(layers[:count])
    for layer in state.frozen_layers:
        layer.requires_grad_(False)


def _layers(network: nn.Module) -> Iterator[nn.Module]:
    return (module for module in network.modules() if any(True for _ in module.parameters(recurse=False)))

"""State of a training that outlives a process: modules, averages, optimizers, random states, counters."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from models.artifacts.attempts import Position
from models.config.training import TrainingConfig
from models.store.weights import generator_bytes
from worker.adam import Adam
from worker.data.loader import Batch
from worker.training.devices.ranks import Ranks
from worker.training.guard.guard import GuardState
from worker.training.methods import create_method
from worker.training.methods.method import Noise
from worker.training.reporting.telemetry import TermSums

_CUDA: Final = "random.cuda"


class Batches(Protocol):
    """An endless source of real images; its position is its whole state, `labels` are those of the data set or None."""

    position: int
    labels: Tensor | None

    def next(self) -> Batch:
        """Return the next batch, on the training's device."""


@dataclass(frozen=True)
class StateCopy:
    """A copy of the whole state at one position, on the CPU, which shares no memory with the state."""

    position: Position
    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def not_finite(self) -> list[str]:
        # With numpy, because the thread that writes checkpoints calls this. If two threads use torch's operators,
        # OpenMP puts the workers of both to sleep in between: a quarter of a small network's speed on two threads.
        return [
            name
            for name, tensor in self.tensors.items()
            if tensor.is_floating_point() and not np.isfinite(tensor.numpy()).all()
        ]


class Seeds(NamedTuple):
    """Independent 32-bit seeds for weights and dropout, for latents, and for the order of the data."""

    weights: int
    noise: int
    data: int


def seeds(seed: int) -> Seeds:
    # torch's CPU generator uses 32 bits only: runs whose seeds differ above them would share weights.
    return Seeds(*(int(word) for word in np.random.SeedSequence(seed).generate_state(len(Seeds._fields))))


class TrainingState:
    """Modules, averages, optimizers, the position in the data, buffers of the method, random states and counters.

    Attributes:
        frozen: networks that nothing changes, no part of checkpoints.
        averages: moving averages of modules, in evaluation mode; these are shown and published.
        networks: name of each optimizer to what it updates.
        sums: terms since the last tick.
        images: number of real images counted.
    """

    def __init__(self, config: TrainingConfig, batches: Batches, device: torch.device) -> None:
        # Weights and dropout draw from torch's generator, everything else of a training from one of its own.
        drawn = seeds(config.seed)
        torch.manual_seed(drawn.weights)
        self.device = device
        self._seed = config.seed
        self._kept = config.kept_discriminators
        # Layers that no optimizer changes.
        self.frozen_layers: tuple[nn.Module, ...] = ()
        self.method = create_method(config)
        self.modules: dict[str, nn.Module] = {
            # Only convolutions have a layout; the weights of fully connected layers stay as they are.
            name: module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            for name, module in self.method.build().items()
        }
        self.averages: dict[str, nn.Module] = {
            average: copy.deepcopy(self.modules[name]).eval().requires_grad_(False)
            for average, name in self.method.averages.items()
        }
        self.networks = {name: self._joined(spec.modules) for name, spec in self.method.optimizers.items()}
        self.optimizers = {
            name: Adam(self.networks[name], spec.lr, spec.betas) for name, spec in self.method.optimizers.items()
        }
        self.buffers = self.method.buffers(device)
        self.frozen = self.method.frozen(device)
        gradients = {name: self.method.optimizers[name].gradient for name in self.method.guarded}
        self.sums = TermSums(self.method.terms, gradients, device)
        self.noise = Noise(config.latent, drawn.noise, device, batches.labels if config.conditional else None)
        self.batches = batches
        self.images = 0
        # Part of the state, because it changes learning rates.
        self.guard = GuardState()

    # Several modules as one, whose parameters' names begin with the names of the modules.
    def _joined(self, names: tuple[str, ...]) -> nn.Module:
        if len(names) == 1:
            return self.modules[names[0]]
        return nn.ModuleDict({name: self.modules[name] for name in names})

    def generators(self) -> dict[str, nn.Module]:
        """Return the averages that make a version, by the names of its generators."""
        return {name: self.averages[average] for name, average in self.method.generators.items()}

    # The average of the method's first generator, whose images are shown and scored.
    @property
    def shown(self) -> nn.Module:
        return next(iter(self.generators().values()))

    def version_weights(self) -> bytes:
        """Return the weights of all generators, and of discriminators that are kept, as one safetensors file."""
        networks = {**self.generators(), **{name: self.modules[name] for name in self._kept}}
        # With several networks, names of tensors begin with the name of theirs.
        return generator_bytes(self.shown if len(networks) == 1 else nn.ModuleDict(networks))

    @property
    def position(self) -> Position:
        return Position(self.guard.rollbacks, self.images)

    def copy(self) -> StateCopy:
        # `state_dict` only aliases tensors that the next step changes.
        tensors = {
            # The copy is made contiguous, which is how safetensors stores it.
            name: tensor.detach().clone(memory_format=torch.contiguous_format).cpu()
            for name, tensor in self._tensors()
        }
        values = {
            "images": self.images,
            "position": self.batches.position,
            "guard": self.guard.model_dump(mode="json"),
        }
        return StateCopy(self.position, tensors, values)

    def not_finite(self) -> list[str]:
        """Return the names of tensors with a NaN or an infinity; waits for the device."""
        # One transfer for all tensors instead of one for each.
        named = [(name, tensor) for name, tensor in self._tensors() if tensor.is_floating_point()]
        marks = torch.stack([torch.isfinite(tensor).all() for _, tensor in named]).tolist()
        return [name for (name, _), finite in zip(named, marks, strict=True) if not finite]

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Restore what `copy` returned.

        Raises:
            KeyError, RuntimeError: it is of another configuration, or of another version of the program.
        """
        for name, module in self._modules():
            module.load_state_dict(_under(tensors, name), strict=True)
        for name, tensor in (*self._moments(), *self._own_tensors()):
            # Copied in place: fused Adam reads weights and moments as flat arrays, which needs their original layout.
            tensor.copy_(tensors[name])
        self.batches.position = int(values["position"])
        self.images = int(values["images"])
        self.guard = GuardState.model_validate(values["guard"])
        # Last, because the steps above may draw random numbers.
        if (_CUDA in tensors) == (self.device.type == "cuda"):
            self.set_randomness(tensors)
        else:
            # Random states of another kind of device mean nothing here.
            self._draw_anew()

    def broadcast(self, ranks: Ranks) -> None:
        if ranks.count == 1:
            return
        copy = self.copy()
        values = ranks.broadcast(copy.values)
        ranks.broadcast_tensors(copy.tensors.values())
        if not ranks.is_main:
            self.restore(copy.tensors, values)

    def _draw_anew(self) -> None:
        # From seed and position, so that each resumption from here draws the same numbers.
        drawn = np.random.SeedSequence((self._seed, self.images)).generate_state(2)
        torch.manual_seed(int(drawn[0]))
        self.noise.generator.manual_seed(int(drawn[1]))

    # An interrupted round may have left some.
    def drop_gradients(self) -> None:
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()

    def randomness(self) -> dict[str, Tensor]:
        states = {"random.noise": self.noise.generator.get_state(), "random.torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            states[_CUDA] = torch.cuda.get_rng_state(self.device)
        return states

    def set_randomness(self, states: Mapping[str, Tensor]) -> None:
        self.noise.generator.set_state(states["random.noise"])
        torch.set_rng_state(states["random.torch"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[_CUDA], self.device)

    def _modules(self) -> Iterator[tuple[str, nn.Module]]:
        yield from self.modules.items()
        yield from self.averages.items()

    def _moments(self) -> Iterator[tuple[str, Tensor]]:
        for name, optimizer in self.optimizers.items():
            for key, parameter in self.networks[name].named_parameters():
                for moment, tensor in optimizer.state[parameter].items():
                    yield f"{name}_optimizer.{key}.{moment}", tensor

    def _own_tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield "sums", self.sums.tensor
        yield from self.buffers.items()

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, module in self._modules():
            for key, tensor in module.state_dict().items():
                yield f"{name}.{key}", tensor
        yield from self._moments()
        yield from self._own_tensors()
        yield from self.randomness().items()


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}

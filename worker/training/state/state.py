"""Everything of a training that outlives a process: networks, average, optimisers, random states, counters.

One object owns it all, so that a checkpoint cannot forget a part; `worker.training.state.checkpoints` puts it on disk.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from models.artifacts.attempts import Position
from models.config.inputs import Latent
from models.config.training import TrainingConfig
from models.networks import build
from worker.adam import Adam
from worker.data.loader import Batch
from worker.training.guard.guard import Memory
from worker.training.methods.augment import Confidence
from worker.training.reporting.telemetry import Sums

_CUDA: Final = "random.cuda"


class Batches(Protocol):
    """An endless source of real images, whose whole state is its position; `labels` are the whole set's, or None."""

    position: int
    labels: Tensor | None

    def next(self) -> Batch:
        """Give the next batch, on the training's device."""


@dataclass(frozen=True)
class Capture:
    """A copy of the whole state at one position, on the CPU; nothing in it is shared with the living state."""

    position: Position
    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def not_finite(self) -> list[str]:
        """Name the tensors that hold a NaN or an infinity."""
        # By numpy: this is asked in the thread that writes. Where two threads have torch share out work, OpenMP lets
        # the helpers of both sleep between two pieces: a quarter of a small network's speed on two threads.
        return [
            name
            for name, tensor in self.tensors.items()
            if tensor.is_floating_point() and not np.isfinite(tensor.numpy()).all()
        ]


class Noise:
    """What the training draws to make images from, by a random generator of its own.

    Args:
        latent: length and prior of a latent.
        seed: of the generator.
        device: to draw on.
        labels: int64 `[N]`, those of the data for conditional networks: they are drawn as often as they occur there.
    """

    def __init__(self, latent: Latent, seed: int, device: torch.device, labels: Tensor | None = None) -> None:
        self._latent = latent
        self._device = device
        self._labels = labels
        self.generator = torch.Generator(device).manual_seed(seed)

    def draw(self, count: int) -> Tensor:
        """Give float32 `[count, dim]`, N(0, 1) or uniform in (-1, 1)."""
        shape = (count, self._latent.dim)
        if self._latent.prior == "uniform":
            return torch.rand(shape, generator=self.generator, device=self._device) * 2 - 1
        return torch.randn(shape, generator=self.generator, device=self._device)

    def shares(self, count: int) -> Tensor:
        """Give float32 `[count]`, uniform in [0, 1)."""
        return torch.rand(count, generator=self.generator, device=self._device)

    def labels(self, count: int) -> Tensor | None:
        """Give int64 `[count]`; None, and nothing drawn, where networks are not conditional."""
        if self._labels is None:
            return None
        chosen = torch.randint(len(self._labels), (count,), generator=self.generator, device=self._device)
        return self._labels.index_select(0, chosen)


class Seeds(NamedTuple):
    """Independent seeds for weights and dropout, for latents, and for the order of the data; 32 bits each."""

    weights: int
    noise: int
    data: int


def seeds(seed: int) -> Seeds:
    """Derive a run's seeds.

    torch's CPU generator looks at 32 bits only: without this, runs whose seeds differ above them would share weights.
    """
    return Seeds(*(int(word) for word in np.random.SeedSequence(seed).generate_state(len(Seeds._fields))))


class TrainingState:
    """Two networks, the average, two optimisers, the data's position, augmentation, random states, and counters.

    What the guard knows is part of it, for it decides about rates.
    """

    def __init__(self, config: TrainingConfig, batches: Batches, device: torch.device) -> None:
        drawn = seeds(config.seed)
        torch.manual_seed(drawn.weights)
        pair = build(config)
        layout = torch.contiguous_format if config.generator.network.family == "mlp" else torch.channels_last
        self.device = device
        self._seed = config.seed
        self.generator: nn.Module = pair.generator.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self.discriminator: nn.Module = pair.discriminator.to(device=device, memory_format=layout)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.generator_optimizer = Adam(self.generator, config.generator.lr, config.generator.betas)
        self.discriminator_optimizer = Adam(self.discriminator, config.discriminator.lr, config.discriminator.betas)
        self.noise = Noise(config.latent, drawn.noise, device, batches.labels if config.conditional else None)
        self.batches = batches
        self.images = 0
        self.sums = Sums(device)
        self.confidence = Confidence(device)
        self.guard = Memory()

    @property
    def position(self) -> Position:
        """Where the training is."""
        return Position(self.guard.rollbacks, self.images)

    def capture(self) -> Capture:
        """Copy everything: `state_dict` only aliases tensors that the next step changes."""
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
        return Capture(self.position, tensors, values)

    def not_finite(self) -> list[str]:
        """Name the tensors that hold a NaN or an infinity; waits for the device."""
        named = [(name, tensor) for name, tensor in self._tensors() if tensor.is_floating_point()]
        marks = torch.stack([torch.isfinite(tensor).all() for _, tensor in named]).tolist()
        return [name for (name, _), finite in zip(named, marks, strict=True) if not finite]

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from what `capture` gave.

        On another kind of device than that, whose random states mean nothing here, new ones are drawn from the run's
        seed and the position: the same ones each time, but others than there.

        Raises:
            KeyError, RuntimeError: it is the state of another configuration, or of another version of the program.
        """
        for name, module in self._modules():
            module.load_state_dict(_under(tensors, name), strict=True)
        for name, module, optimizer in self._optimizers():
            for key, parameter in module.named_parameters():
                for moment, kept in optimizer.state[parameter].items():
                    kept.copy_(tensors[f"{name}.{key}.{moment}"])
        self.sums.tensor.copy_(tensors["sums"])
        self.confidence.tensor.copy_(tensors["confidence"])
        self.batches.position = int(values["position"])
        self.images = int(values["images"])
        self.guard = Memory.model_validate(values["guard"])
        # Last, because nothing above may draw from it.
        if (_CUDA in tensors) == (self.device.type == "cuda"):
            self.set_randomness(tensors)
        else:
            self._draw_anew()

    def _draw_anew(self) -> None:
        drawn = np.random.SeedSequence((self._seed, self.images)).generate_state(2)
        torch.manual_seed(int(drawn[0]))
        self.noise.generator.manual_seed(int(drawn[1]))

    def drop_gradients(self) -> None:
        """Drop what a round that broke off may have left."""
        for _, _, optimizer in self._optimizers():
            optimizer.zero_grad()
        self.discriminator.requires_grad_(True)

    def randomness(self) -> dict[str, Tensor]:
        """Copy every random state."""
        states = {"random.noise": self.noise.generator.get_state(), "random.torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            states[_CUDA] = torch.cuda.get_rng_state(self.device)
        return states

    def set_randomness(self, states: Mapping[str, Tensor]) -> None:
        """Draw from now on what was drawn after `randomness` gave these."""
        self.noise.generator.set_state(states["random.noise"])
        torch.set_rng_state(states["random.torch"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(states[_CUDA], self.device)

    def _modules(self) -> Iterator[tuple[str, nn.Module]]:
        yield "generator", self.generator
        yield "discriminator", self.discriminator
        yield "average", self.average

    def _optimizers(self) -> Iterator[tuple[str, nn.Module, Adam]]:
        yield "generator_optimizer", self.generator, self.generator_optimizer
        yield "discriminator_optimizer", self.discriminator, self.discriminator_optimizer

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, module in self._modules():
            for key, tensor in module.state_dict().items():
                yield f"{name}.{key}", tensor
        for name, module, optimizer in self._optimizers():
            for key, parameter in module.named_parameters():
                for moment, tensor in optimizer.state[parameter].items():
                    yield f"{name}.{key}.{moment}", tensor
        yield "sums", self.sums.tensor
        yield "confidence", self.confidence.tensor
        yield from self.randomness().items()


def _under(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}

"""Training methods: the modules and optimizers that they declare, and the losses of one step.

A method computes on tensors only. What surrounds it works on any method: gradient accumulation, ranks, averages,
telemetry, recorded graphs (`worker.training.rounds`), checkpoints (`worker.training.state`) and the guard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.config.inputs import Latent
from models.config.training import TrainingConfig
from models.networks.rows import Rows
from worker.training.guard.findings import Health

# Named scalars of a step; `loss` is what its optimizer minimises, the others are reported.
Terms = dict[str, Tensor]

# Named terms as means over the steps since the last tick; None where there were none.
Means = dict[str, float | None]

# Settings of one round by name: numbers, or scalars on the device where a recorded round is replayed.
Hyperparameters = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class OptimizerSpec:
    """An Adam optimizer: the modules that it updates, and its settings.

    Attributes:
        modules: their names.
        gradient: the name under which the norm of their gradients is reported.
        lr_end, beta2_end: reached by a cosine over the run; None keeps the first value.
    """

    modules: tuple[str, ...]
    gradient: str
    lr: float
    betas: tuple[float, float]
    lr_end: float | None = None
    beta2_end: float | None = None


@dataclass(frozen=True)
class Update:
    """One optimizer step of a round. Rounds of equal updates share a recorded CUDA graph.

    Attributes:
        optimizer: its name.
        takes_images: whether it needs a batch of real images.
        counts_images: whether those images count as progress of the run.
        regularised: whether the step has a regularisation term, which may be computed in fp32 and never compiled.
    """

    optimizer: str
    takes_images: bool = True
    counts_images: bool = True
    regularised: bool = False


@dataclass(frozen=True)
class Microbatch:
    """The rows of a batch that one forward and backward pass works on.

    Attributes:
        update: what the pass is for.
        rows: which rows of the batch.
        images: real ones, float32 `[n, C, H, W]` in [-1, 1]; None where the update takes none.
        labels: int64 `[n]` of the images, where networks are conditional.
    """

    update: Update
    rows: Rows
    images: Tensor | None = None
    labels: Tensor | None = None


class Noise:
    """Draws latents, labels and mixing shares for whole batches.

    Args:
        latent: length and prior of a latent.
        seed: of the random generator.
        device: to draw on.
        labels: int64 `[N]`, those of the data for conditional networks: they are drawn as often as they occur there.
    """

    def __init__(self, latent: Latent, seed: int, device: torch.device, labels: Tensor | None = None) -> None:
        self._latent = latent
        self._device = device
        self._labels = labels
        self.generator = torch.Generator(device).manual_seed(seed)

    def latents(self, count: int) -> Tensor:
        """Draw float32 `[count, dim]`, N(0, 1) or uniform in (-1, 1)."""
        shape = (count, self._latent.dim)
        if self._latent.prior == "uniform":
            return torch.rand(shape, generator=self.generator, device=self._device) * 2 - 1
        return torch.randn(shape, generator=self.generator, device=self._device)

    def shares(self, count: int) -> Tensor:
        """Draw float32 `[count]`, uniform in [0, 1)."""
        return torch.rand(count, generator=self.generator, device=self._device)

    def labels(self, count: int) -> Tensor | None:
        """Draw int64 `[count]`; None, and nothing drawn, where networks are not conditional."""
        if self._labels is None:
            return None
        chosen = torch.randint(len(self._labels), (count,), generator=self.generator, device=self._device)
        return self._labels.index_select(0, chosen)


@dataclass(frozen=True)
class StepState:
    """What the maths of a step may use.

    Attributes:
        modules: those that are trained, by name.
        buffers: the method's own tensors, by name.
        noise: latents and other random numbers, drawn for whole batches.
        batch_size: rows of a whole batch.
        autocast: the forward passes' precision. Enter it anew for every pass: it caches bf16 copies of the weights,
            which are stale after an optimizer's step, and have no gradient after a pass under `no_grad`.
    """

    modules: Mapping[str, nn.Module]
    buffers: Mapping[str, Tensor]
    noise: Noise
    batch_size: int
    autocast: Callable[[], AbstractContextManager[object]]


class Method(ABC):
    """How networks are trained together, by a training's configuration; it has no tensors.

    Attributes:
        optimizers: by name. Checkpoints keep them in this order.
        averages: moving averages of trained modules: name of the average to name of the module.
        generators: what a version consists of: name of the generator to name of its average.
        guarded: names of optimizers, in the order in which the guard keeps the norms of their gradients.
        terms: groups of reported terms. Each group is summed by itself, for the steps whose terms have all of it.
    """

    optimizers: Mapping[str, OptimizerSpec]
    averages: Mapping[str, str]
    generators: Mapping[str, str]
    guarded: tuple[str, ...]
    terms: tuple[tuple[str, ...], ...]

    @abstractmethod
    def __init__(self, config: TrainingConfig) -> None: ...

    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """Build the modules that are trained, on the CPU, in the order in which checkpoints keep them."""

    def example(self, _module: str) -> list[Tensor] | None:
        """Return inputs for one pass of a module, for the summary of its layers; None shows no shapes."""
        return None

    @abstractmethod
    def updates(self, images: int) -> tuple[Update, ...]:
        """Return the optimizer steps of the round that begins at `images`, in order."""

    @abstractmethod
    def step(self, state: StepState, batch: Microbatch, hyperparameters: Hyperparameters) -> Terms:
        """Compute the terms of one update on the rows of a batch; each is a mean over rows."""

    @abstractmethod
    def judge(self, means: Means) -> Health:
        """Describe how the run is doing, from finite means as `report` returns them."""

    def buffers(self, _device: torch.device) -> dict[str, Tensor]:
        """Create tensors that are neither weights nor moments but belong to checkpoints."""
        return {}

    def hyperparameters(self, _images: int, _length: int, _penalty_factor: float) -> dict[str, float]:
        """Return settings of the round that begins at `images` besides those of optimizers and averages.

        Schedules reach their ends after `length` images; rollbacks multiply weights of penalties by a factor.
        """
        return {}

    def after_update(self, _state: StepState, _update: Update, _terms: Terms) -> None:  # noqa: B027  # optional
        """Adapt buffers to the terms of a whole batch, on the device, after the optimizer's step."""

    def report(self, means: Means, _buffers: Mapping[str, Tensor], _progress: float) -> Means:
        """Turn means of terms and norms of gradients into the figures of a tick, after a share of the run."""
        return means

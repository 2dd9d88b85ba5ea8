"""Training methods: the modules and optimizers that they declare, and the losses of one step.

A method computes on tensors only. Gradient accumulation, ranks, averages, telemetry, recorded graphs, checkpoints and
the guard work on any method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.config.inputs import Latent
from models.config.training import TrainingConfig
from models.networks.rows import Rows
from worker.training.guard.findings import Health

# Named scalars of a step; `loss` is what its optimizer minimises, the others are reported.
Terms = dict[str, Tensor]

# Means of named terms over the steps since the last tick; None where there were none.
Means = dict[str, float | None]

# Settings of one round by name: numbers, or scalars on the device where a recorded round is replayed.
Hyperparameters = Mapping[str, float | Tensor]


@dataclass(frozen=True)
class OptimizerSpec:
    """The settings of an Adam optimizer, and the names of the modules that it updates.

    Attributes:
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
    """One optimizer step of a round.

    Attributes:
        optimizer: its name.
        takes_images: whether it needs a batch of real images.
        counts_images: whether those images count as progress of the run.
        regularised: whether the step has a regularisation term, which may be computed in fp32 and never compiled.
        also: further optimizers that step on gradients of the same loss.
    """

    # Rounds of equal updates share a recorded CUDA graph: all that decides which kernels run is here.
    optimizer: str
    takes_images: bool = True
    counts_images: bool = True
    regularised: bool = False
    also: tuple[str, ...] = ()

    @property
    def optimizers(self) -> tuple[str, ...]:
        """Names of all its optimizers."""
        return (self.optimizer, *self.also)


@dataclass(frozen=True)
class Microbatch:
    """The rows of a batch that one forward and backward pass works on.

    Attributes:
        images: real ones, float32 `[n, C, H, W]` in [-1, 1]; None where the update takes none.
        labels: int64 `[n]` of the images, where networks are conditional.
    """

    update: Update
    rows: Rows
    images: Tensor | None = None
    labels: Tensor | None = None


class Noise:
    """Random latents, labels and mixing shares for whole batches.

    Args:
        labels: int64 `[N]`, those of the data set for conditional networks; drawn labels have their frequencies.
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
        """Draw int64 `[count]`; return None for unconditional networks."""
        if self._labels is None:
            # Nothing is drawn then: the random state stays as it is.
            return None
        chosen = torch.randint(len(self._labels), (count,), generator=self.generator, device=self._device)
        return self._labels.index_select(0, chosen)


@dataclass(frozen=True)
class StepState:
    """The part of a training that a step may use.

    Attributes:
        buffers: the method's own tensors, by name.
        frozen: networks that are never trained and no part of checkpoints, by name.
        batch_size: rows of a whole batch.
        autocast: makes the context of one forward pass in the precision of the training.
    """

    modules: Mapping[str, nn.Module]
    buffers: Mapping[str, Tensor]
    noise: Noise
    batch_size: int
    # Entered anew for every pass: it caches bf16 copies of the weights, which are stale after an optimizer step, and
    # which have no gradient after a pass under `no_grad`.
    autocast: Callable[[], AbstractContextManager[object]]
    frozen: Mapping[str, nn.Module] = field(default_factory=dict)


class Method(ABC):
    """How networks are trained together, by the configuration of a training; it holds no tensors.

    Attributes:
        optimizers: by name.
        averages: moving averages of trained modules: name of the average to name of the module.
        generators: the content of a version: name of the generator to name of its average.
        guarded: names of optimizers, in the order in which the guard keeps the norms of their gradients.
        terms: groups of reported terms.
    """

    # Checkpoints keep them in this order.
    optimizers: Mapping[str, OptimizerSpec]
    averages: Mapping[str, str]
    generators: Mapping[str, str]
    guarded: tuple[str, ...]
    # Each group is summed by itself, over the steps whose terms contain all of it.
    terms: tuple[tuple[str, ...], ...]

    @abstractmethod
    def __init__(self, config: TrainingConfig) -> None: ...

    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """Build the modules that are trained, on the CPU, in the order of checkpoints."""

    def example(self, _module: str) -> list[Tensor] | None:
        """Return inputs for one pass of a module, for the summary of its layers; None omits shapes."""
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

    def frozen(self, _device: torch.device) -> dict[str, nn.Module]:
        """Load networks that a step uses but nothing changes; they belong to no checkpoint."""
        return {}

    def fit(self, _state: StepState, _images: Iterable[Tensor]) -> None:  # noqa: B027  # optional
        """Fit buffers of modules to the data set, once, before the first round; images are float batches in [-1, 1]."""

    def hyperparameters(self, _images: int, _length: int, _penalty_factor: float) -> dict[str, float]:
        """Return settings of the round that begins at `images`, besides those of optimizers and averages.

        Args:
            _length: images after which schedules reach their ends.
            _penalty_factor: of rollbacks, on the weights of penalties.
        """
        return {}

    def after_update(self, _state: StepState, _update: Update, _terms: Terms) -> None:  # noqa: B027  # optional
        """Adapt buffers to the terms of a whole batch, on the device, after the optimizer's step."""

    def report(self, means: Means, _buffers: Mapping[str, Tensor], _progress: float) -> Means:
        """Return the figures of a tick at a share of the run, from means of terms and norms of gradients."""
        return means

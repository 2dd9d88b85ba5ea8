"""Evaluates a generator against its data: what is measured, on which images, under which protocol.

When that happens is the training loop's decision by `Plan`; the measures are in modules of their own. An evaluation
draws no random number that a training would miss, and changes nothing but its own caches.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import torch
from torch import nn

from models.config import Frozen, TrainingConfig
from models.evaluation import Evaluation
from models.manifest import Score
from worker.data.prepared import Prepared
from worker.evaluation import reference
from worker.evaluation.reference import Collected, Measured, Reference, collect
from worker.evaluation.samples import SEED, Indices, Sampler, conditions, real, split

SAMPLES: Final = 2_000
"""At snapshots."""
FINAL_SAMPLES: Final = 10_000
"""At a run's end, beside the others."""
MIN_IMAGES: Final = 4
"""Of a data set whose generators can be evaluated: two on each side."""
_HIGHER_IS_BETTER: Final = frozenset({reference.DIVERSITY})


class Plan(Frozen):
    """What a run's evaluations are, decided at its first start by arithmetic and kept for good.

    Attributes:
        every: snapshots from one evaluation to the next.
        final: whether the end is also judged by 10,000 samples.
    """

    every: int = 1
    final: bool = True


class Evaluator:
    """Judges the averaged generator of one run.

    Args:
        config: the run's.
        prepared: its data.
        device: where the generator lives.
        plan: what to measure.
    """

    def __init__(self, config: TrainingConfig, prepared: Prepared, device: torch.device, plan: Plan) -> None:
        self.plan = plan
        self._config = config
        self._prepared = prepared
        self._device = device
        self._methods = reference.methods(config.size)

    def __call__(self, generator: nn.Module, images: int, *, final: bool) -> Evaluation:
        """Evaluate a generator in evaluation mode.

        Args:
            generator: on the training's device.
            images: the position in the run.
            final: it is the run's last one.
        """
        scores = self._scores(generator, self._snapshots)
        if final and self.plan.final:
            ending = self._scores(generator, self._ending)
            scores |= {f"{name}_final": score for name, score in ending.items()}
        chosen = reference.SLICED
        first = {chosen: scores[chosen]}
        return Evaluation(images=images, chosen=chosen, scores=first | scores)

    @cached_property
    def _snapshots(self) -> _Yardstick:
        return _Yardstick(self._config, self._prepared, self._device, SAMPLES)

    @cached_property
    def _ending(self) -> _Yardstick:
        return _Yardstick(self._config, self._prepared, self._device, FINAL_SAMPLES)

    def _scores(self, generator: nn.Module, yardstick: _Yardstick) -> dict[str, Score]:
        found = yardstick.measure(generator)
        floors = yardstick.floors
        return {
            name: Score(
                value=measured.value,
                deviation=measured.deviation,
                floor=floors[name].value,
                lower_is_better=name not in _HIGHER_IS_BETTER,
                protocol=f"{self._methods[name]}; {yardstick.protocol}",
            )
            for name, measured in found.items()
        }


class _Yardstick:
    """The data, as so many samples are compared with it."""

    def __init__(self, config: TrainingConfig, prepared: Prepared, device: torch.device, samples: int) -> None:
        self._prepared = prepared
        self._device = device
        self._split = split(prepared.count, samples)
        labels = conditions(prepared, samples) if config.conditional else None
        self._sampler = Sampler(config.generator_config(), samples, device, labels)
        self._reference = Reference(self._collect(self._split.reference))

    @property
    def protocol(self) -> str:
        """Say what is compared with what."""
        data = self._prepared.manifest
        return (
            f"{self._sampler.count} samples of seed {SEED} against {self._reference.count} of {data.count} images of "
            f"{data.dataset} ({data.sha256['images.u8'][:12]}), uint8, not resized, floor by {len(self._split.control)}"
        )

    @cached_property
    def floors(self) -> Mapping[str, Measured]:
        """What other real images measure."""
        return self._reference.compare(self._collect(self._split.control))

    def measure(self, generator: nn.Module) -> Mapping[str, Measured]:
        """Compare a generator's samples."""
        return self._reference.compare(collect(self._sampler.draw(generator), self._sampler.count))

    def _collect(self, indices: Indices) -> Collected:
        return collect(real(self._prepared, indices, self._device), len(indices))

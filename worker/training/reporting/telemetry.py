"""Telemetry of a training: sums of terms on the device, the throughput, and the tick made of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from models.artifacts.json_lines import utc_now
from models.artifacts.payloads import Tick

_SPEED_TICKS = 10


class TermSums:
    """Sums of each step's terms since the last tick, kept on the device.

    Args:
        groups: names of terms that the same steps report; other terms are ignored.
        gradients: name of each optimizer, and the name under which the norm of its gradients is reported.

    Attributes:
        tensor: float64; for each group the sums of its terms, then the number of steps in them.
        norms: of the gradients in the last step that logged them, a scalar for each optimizer; -1 before one.
    """

    def __init__(self, groups: Sequence[Sequence[str]], gradients: Mapping[str, str], device: torch.device) -> None:
        # Checkpoints keep the tensor: its layout is that of the groups, in their order.
        ends = [sum(len(group) + 1 for group in groups[: index + 1]) for index in range(len(groups))]
        self._slices = [
            (tuple(group), slice(end - len(group) - 1, end)) for group, end in zip(groups, ends, strict=True)
        ]
        self._gradients = gradients
        self._one = torch.ones((), device=device)
        # In float64, because a tick can sum over many thousand steps.
        self.tensor = torch.zeros(ends[-1] if ends else 0, dtype=torch.float64, device=device)
        # No part of a checkpoint: gradients are logged in the round before a tick, which takes them at once.
        self._norms = torch.full((len(gradients),), -1.0, device=device)
        self.norms: dict[str, Tensor] = dict(zip(gradients, self._norms, strict=True))

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add one step's terms, scalars, to each group that they contain."""
        for group, part in self._slices:
            # Steps report a group as a whole, so its first name is enough.
            if group[0] in terms:
                self.tensor[part] += torch.stack([*(terms[name] for name in group), self._one])

    def take(self) -> dict[str, float | None]:
        """Return means and norms by name and reset them; None for terms that no step has reported."""
        means: dict[str, float | None] = {}
        for group, part in self._slices:
            # The only point at which a training waits for the device.
            *values, steps = self.tensor[part].tolist()
            means |= {name: value / steps if steps else None for name, value in zip(group, values, strict=True)}
        for name, norm in zip(self._gradients.values(), self._norms.tolist(), strict=True):
            means[name] = None if norm < 0 else norm
        self.tensor.zero_()
        self._norms.fill_(-1.0)
        return means


@dataclass(frozen=True)
class Pace:
    """Images per second, and the seconds left; None while warming up."""

    images_per_second: float
    eta_seconds: float | None


class ThroughputMeter:
    """Measures images per second between ticks, from the end of the warm-up on."""

    def __init__(self, images: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = (clock(), images)
        self._marks: deque[tuple[float, int]] = deque(maxlen=_SPEED_TICKS + 1)

    def warmed_up(self, images: int) -> None:
        if not self._marks:
            self._last = (self._clock(), images)
            self._marks.append(self._last)

    def measure(self, images: int, total: int) -> Pace:
        """Return the pace since the last tick, and the time left by the last ten ticks."""
        mark = (self._clock(), images)
        speed = _speed(self._last, mark)
        self._last = mark
        self._marks.append(mark)
        # A tick before the end of the warm-up contains it: the estimate starts after that tick.
        steady = _speed(self._marks[0], mark)
        return Pace(speed, (total - images) / steady if steady > 0 else None)


def _speed(start: tuple[float, int], end: tuple[float, int]) -> float:
    seconds = end[0] - start[0]
    return (end[1] - start[1]) / seconds if seconds > 0 else 0.0


def make_tick(
    figures: Mapping[str, float | None],
    pace: Pace,
    *,
    images: int,
    total: int,
    count: int,
    backoff: Mapping[str, float],
    sentence: str,
) -> Tick:
    """Return a tick as clients read it.

    Args:
        images: real images shown so far.
        total: the run's length in images.
        count: images in the data set, which are an epoch.
        backoff: number of rollbacks and their factors.
        sentence: the meaning of the figures.
    """
    values = {
        "images": images,
        "kimg": images / 1000,
        "total_kimg": total / 1000,
        "epoch": images / count,
        "fraction": images / total,
        **figures,
        **backoff,
        "images_per_second": round(pace.images_per_second, 1),
        "eta_seconds": None if pace.eta_seconds is None else round(pace.eta_seconds, 1),
        "sentence": sentence,
        "time": utc_now(),
    }
    return cast(Tick, values)

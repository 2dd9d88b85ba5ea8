"""What a run tells about itself: sums that a step adds to without waiting for the device, and the tick made of them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import Tensor

from models.artifacts.json_lines import utc_now
from models.artifacts.payloads import Tick

# Where in the sums lie the values of the discriminator's steps, of the generator's, of the penalty's; behind the values
# of each, the number of steps.
_D, _G, _P = slice(5), slice(5, 8), slice(8, 10)
_SPEED_TICKS = 10


@dataclass(frozen=True)
class Means:
    """Means over the steps since the last tick.

    `d_real` is D(x) and `d_fake` D(G(z)) as the discriminator's steps saw them, before its update; `d_fake_after` is
    D(G(z)) after that, as the generator's steps saw it. They are probabilities; None where the loss has none.
    `loss_d`, what the discriminator minimises, has its halves on real and on generated images only where the loss has.
    `penalty` is what was added to it, weighted; None where there is no penalty. `gradient_d` and `gradient_g` are the
    global norms of the gradients in the last watched step of each network; None where none was watched.
    """

    loss_d: float
    loss_d_real: float | None
    loss_d_fake: float | None
    loss_g: float
    d_real: float | None
    d_fake: float | None
    d_fake_after: float | None
    penalty: float | None
    gradient_d: float | None = None
    gradient_g: float | None = None

    @property
    def finite(self) -> bool:
        """Whether every loss and every norm is a number."""
        values = self.loss_d, self.loss_g, self.penalty, self.gradient_d, self.gradient_g
        return all(math.isfinite(value) for value in values if value is not None)


class Sums:
    """Sums of what each step saw since the last tick, kept on the device: reading them is the only synchronisation.

    Attributes:
        tensor: the sums and how many steps are in them, float64.
        gradient_d: the norm of the discriminator's gradients in its last watched step, a scalar; -1 before one.
        gradient_g: the same of the generator.
    """

    def __init__(self, device: torch.device) -> None:
        self.tensor = torch.zeros(_P.stop, dtype=torch.float64, device=device)
        # No part of a checkpoint: what is watched is the round before a tick, which takes it at once.
        self._norms = torch.full((2,), -1.0, device=device)
        self.gradient_d, self.gradient_g = self._norms
        self._one = torch.ones(1, device=device)

    def add_discriminator(self, values: Tensor) -> None:
        """Add one step's loss on real images, loss on generated ones, D(x) and D(G(z)), `[4]`.

        A loss without halves is added as that on real images.
        """
        self.tensor[_D] += torch.cat((values, self._one))

    def add_generator(self, values: Tensor) -> None:
        """Add one step's loss and D(G(z)), `[2]`."""
        self.tensor[_G] += torch.cat((values, self._one))

    def add_penalty(self, values: Tensor) -> None:
        """Add one step's penalty, `[1]`."""
        self.tensor[_P] += torch.cat((values, self._one))

    def take(self, *, has_probabilities: bool, has_halves: bool = True) -> Means:
        """Give the means and start again from zero; D(x) and D(G(z)) only where they are probabilities."""
        loss_real, loss_fake, d_real, d_fake = _means(self.tensor[_D])
        loss_g, d_fake_after = _means(self.tensor[_G])
        penalty = _means(self.tensor[_P])[0] if self.tensor[_P][-1] else None
        gradient_d, gradient_g = (None if norm < 0 else norm for norm in self._norms.tolist())
        self.tensor.zero_()
        self._norms.fill_(-1.0)
        return Means(
            loss_d=loss_real + loss_fake,
            loss_d_real=loss_real if has_halves else None,
            loss_d_fake=loss_fake if has_halves else None,
            loss_g=loss_g,
            d_real=d_real if has_probabilities else None,
            d_fake=d_fake if has_probabilities else None,
            d_fake_after=d_fake_after if has_probabilities else None,
            penalty=penalty,
            gradient_d=gradient_d,
            gradient_g=gradient_g,
        )


def _means(sums: Tensor) -> list[float]:
    """Divide sums by the number of steps behind them, 0 of which make means of 0."""
    *values, steps = sums.tolist()
    return [value / max(1.0, steps) for value in values]


@dataclass(frozen=True)
class Pace:
    """How fast images pass, and how long the rest will take; the estimate is None while warming up."""

    images_per_second: float
    eta_seconds: float | None


class ThroughputMeter:
    """Measures the pace between ticks, from the end of the warm-up on.

    Where a tick comes before that, it contains the warm-up, and is left out of the estimate.
    """

    def __init__(self, images: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = (clock(), images)
        self._marks: deque[tuple[float, int]] = deque(maxlen=_SPEED_TICKS + 1)

    def warmed_up(self, images: int) -> None:
        """Measure from here on, unless there was a tick."""
        if not self._marks:
            self._last = (self._clock(), images)
            self._marks.append(self._last)

    def measure(self, images: int, total: int) -> Pace:
        """Give the pace since the last tick, and the time left by the last ten ticks."""
        mark = (self._clock(), images)
        speed = _speed(self._last, mark)
        self._last = mark
        self._marks.append(mark)
        steady = _speed(self._marks[0], mark)
        return Pace(speed, (total - images) / steady if steady > 0 else None)


def _speed(start: tuple[float, int], end: tuple[float, int]) -> float:
    seconds = end[0] - start[0]
    return (end[1] - start[1]) / seconds if seconds > 0 else 0.0


def make_tick(
    means: Means,
    pace: Pace,
    *,
    images: int,
    total: int,
    count: int,
    augment_p: float | None,
    gentleness: Mapping[str, float],
    sentence: str,
) -> Tick:
    """Lay out one tick as clients read it.

    Args:
        means: what was seen since the last tick.
        pace: the speed at this tick.
        images: real images shown so far.
        total: the run's length in images.
        count: images in the data set, which make an epoch.
        augment_p: probability of each random change to an image; None where there is none.
        gentleness: how often the guard has taken the run back, and what that changed.
        sentence: what the figures mean.
    """
    values = {
        "images": images,
        "kimg": images / 1000,
        "total_kimg": total / 1000,
        "epoch": images / count,
        "fraction": images / total,
        **asdict(means),
        "augment_p": augment_p,
        **gentleness,
        "images_per_second": round(pace.images_per_second, 1),
        "eta_seconds": None if pace.eta_seconds is None else round(pace.eta_seconds, 1),
        "sentence": sentence,
        "time": utc_now(),
    }
    return cast(Tick, values)

"""Schedules of a run, in images: intervals of reports, annealed settings, decay of averages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.config.training import TrainingConfig

KEPT_WEIGHTS = 24
_RAMP_UP = 0.05


# Functions of the position only: without state, a resumed run has the same schedule as one that never stopped.
def crossed(before: int, after: int, every: float) -> bool:
    """Return whether a multiple of `every` lies in (before, after]."""
    # A position such as 3 * (total * 0.1) may miss its whole number of images by a rounding error.
    slack = 1e-9
    return int(after / every + slack) > int(before / every + slack)


def annealed(start: float, end: float | None, progress: float) -> float:
    """Return a value that goes from `start` to `end` by half a cosine while `progress` goes from 0 to 1."""
    # Constant without an end; constant at the end once progress has passed 1.
    if end is None:
        return start
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


def ema_decay(images: float, half_life: float) -> float:
    """Return the share of an average that remains after `images` more images: 0.5^(images / half-life).

    Args:
        images: real images since the last update of the average.
        half_life: in images; 0 replaces the average by the last weights.
    """
    return 0.5 ** (images / half_life) if half_life > 0 else 0.0


def ema_half_life(wanted: float, images: float) -> float:
    """Return the half-life to use after `images` images: at most a twentieth of them."""
    # So that an average soon forgets the random initial weights (StyleGAN2, arXiv 1912.04958: `ema_rampup` in its
    # code).
    return min(wanted, _RAMP_UP * images)


@dataclass(frozen=True)
class Schedule:
    """A run's length and intervals, in real images; checkpoints by time."""

    total: int
    tick: float
    snapshot: float
    publish: float
    checkpoint_seconds: float

    @classmethod
    def of(cls, config: TrainingConfig, count: int) -> Schedule:
        total = config.total_images(count)
        return cls(
            total=total,
            tick=config.tick_kimg * 1000,
            snapshot=total / config.snapshots,
            publish=total * config.publish_every,
            checkpoint_seconds=60 * config.checkpoint_minutes,
        )


def thin(positions: Sequence[int], keep: int = KEPT_WEIGHTS, best: int | None = None) -> list[int]:
    """Return which of the ascending `positions` to drop so that at most `keep` remain, evenly spread.

    The first, the last and the best always remain.
    """
    left = list(positions)
    dropped: list[int] = []
    while len(left) > keep:
        gaps = [
            math.inf if position == best else after - before
            for before, position, after in zip(left, left[1:], left[2:], strict=False)
        ]
        # Drop the one between the closest neighbours.
        dropped.append(left.pop(gaps.index(min(gaps)) + 1))
    return dropped

"""Where in a run things happen or change, in images: without state, so that a resumed run agrees with itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from models.config.training import TrainingConfig

KEPT_WEIGHTS = 24


def crossed(before: int, after: int, every: float) -> bool:
    """Tell whether a multiple of `every` lies in (before, after]."""
    # A position such as 3 * (total * 0.1) may miss its whole number of images by a rounding error.
    slack = 1e-9
    return int(after / every + slack) > int(before / every + slack)


def annealed(start: float, end: float | None, progress: float) -> float:
    """Give what goes from `start` to `end` by half a cosine while `progress` goes from 0 to 1, and then stays there.

    Without an end it stays at `start`.
    """
    if end is None:
        return start
    return end + (start - end) * (1 + math.cos(math.pi * min(progress, 1.0))) / 2


@dataclass(frozen=True)
class Schedule:
    """A run's length and intervals, all in real images shown to the discriminator."""

    total: int
    tick: float
    snapshot: float
    publish: float

    @classmethod
    def of(cls, config: TrainingConfig, count: int) -> Schedule:
        """Lay out a training on a data set of `count` images."""
        total = config.total_images(count)
        return cls(
            total=total,
            tick=config.tick_kimg * 1000,
            snapshot=total / config.snapshots,
            publish=total * config.publish_every,
        )


def thin(positions: Sequence[int], keep: int = KEPT_WEIGHTS, best: int | None = None) -> list[int]:
    """Choose which of the ascending `positions` to drop so that at most `keep` remain, evenly spread.

    The first, the last and the best always stay; of the others, the one between the closest neighbours goes first.
    """
    left = list(positions)
    dropped: list[int] = []
    while len(left) > keep:
        gaps = [
            math.inf if position == best else after - before
            for before, position, after in zip(left, left[1:], left[2:], strict=False)
        ]
        dropped.append(left.pop(gaps.index(min(gaps)) + 1))
    return dropped

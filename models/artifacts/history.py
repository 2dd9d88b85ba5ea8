"""A run's ticks, snapshots and their scores as one history, without what was undone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from models.artifacts.attempts import ROLLED_BACK, Attempt, attempts
from models.artifacts.evaluation import Evaluation
from models.artifacts.json_lines import read_lines, size_of
from models.artifacts.positions import images_of

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Snapshot:
    """A fixed-latent grid, the averaged weights behind it while they are kept, and their scores if they were judged."""

    token: int
    images: int
    picture: Path
    weights: Path | None

    @property
    def kimg(self) -> float:
        """Thousands of real images shown when it was taken."""
        return self.images / 1000

    def evaluation(self) -> Evaluation | None:
        """Read what an evaluation at this position found; None where there was none."""
        return read_evaluation(self.picture.with_suffix(".json"))


def read_evaluation(path: Path) -> Evaluation | None:
    """Read a snapshot's evaluation; None where there is none, or none that this program wrote."""
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def read_ticks(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's ticks as one history, oldest first; each has at least `images` and `kimg`."""
    history: list[dict[str, Any]] = []
    for attempt in attempts(run_dir):
        if (start := attempt.start_images()) is not None:
            history = _up_to(history, start)
        for line in read_lines(attempt.ticks)[0]:
            if ROLLED_BACK in line:
                history = _up_to(history, line["images"])
            else:
                history.append(line)
    return history


def _up_to(history: list[dict[str, Any]], images: int) -> list[dict[str, Any]]:
    return [tick for tick in history if tick["images"] <= images]


def last_tick(run_dir: Path) -> dict[str, Any] | None:
    """Read the newest tick of a run's history; None before the first."""
    horizon = math.inf
    for attempt in reversed(attempts(run_dir)):
        size = size_of(attempt.ticks)
        for offset in dict.fromkeys((max(0, size - _TAIL_BYTES), 0)):
            if found := _newest(read_lines(attempt.ticks, offset)[0], horizon):
                return found
        start = attempt.start_images()
        horizon = horizon if start is None else min(horizon, start)
    return None


def _newest(lines: list[dict[str, Any]], horizon: float) -> dict[str, Any] | None:
    """Find the last tick that no rollback after it and nothing at the `horizon` has undone."""
    for line in lines[::-1]:
        if ROLLED_BACK in line:
            horizon = min(horizon, line["images"])
        elif line["images"] <= horizon:
            return line
    return None


def snapshots(run_dir: Path) -> list[Snapshot]:
    """List a run's snapshots as one history, oldest first, the newest attempt's where two have the same position."""
    found: dict[int, Snapshot] = {}
    for attempt, horizon in _horizons(run_dir):
        for picture in attempt.snapshots.glob("*.png"):
            images = images_of(picture.stem)
            if images is not None and (horizon is None or images <= horizon):
                weights = picture.with_suffix(".safetensors")
                found[images] = Snapshot(attempt.token, images, picture, weights if weights.exists() else None)
    return [found[images] for images in sorted(found)]


def _horizons(run_dir: Path) -> list[tuple[Attempt, int | None]]:
    """Give each attempt with the images from which a later one started over: what it did beyond them is dropped."""
    result: list[tuple[Attempt, int | None]] = []
    horizon: int | None = None
    for attempt in reversed(attempts(run_dir)):
        result.append((attempt, horizon))
        start = attempt.start_images()
        if start is not None:
            horizon = start if horizon is None else min(horizon, start)
    return result[::-1]


def real_images(run_dir: Path) -> Path | None:
    """Find the picture of real images that the newest attempt has drawn; None before one has begun."""
    return next((attempt.real for attempt in reversed(attempts(run_dir)) if attempt.real.exists()), None)

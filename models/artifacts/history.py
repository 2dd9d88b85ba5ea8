"""Ticks, snapshots and scores of a run as one history, without undone ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from models.artifacts.attempts import ROLLED_BACK, Attempt, list_attempts, parse_kimg_name
from models.artifacts.json_lines import file_size, read_lines
from models.artifacts.payloads import Tick
from models.scores import Evaluation

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Snapshot:
    """A grid of images of fixed latents, and the averaged weights that made them while they are kept."""

    token: int
    images: int
    picture: Path
    weights: Path | None

    @property
    def kimg(self) -> float:
        """The position, in thousands of real images shown to the discriminator."""
        return self.images / 1000

    def evaluation(self) -> Evaluation | None:
        """Read the evaluation at this position; None if there was none."""
        return read_evaluation(self.picture.with_suffix(".json"))


def read_evaluation(path: Path) -> Evaluation | None:
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def read_ticks(run_dir: Path) -> list[Tick]:
    history: list[Tick] = []
    for attempt in list_attempts(run_dir):
        if (start := attempt.start_images()) is not None:
            history = _up_to(history, start)
        for line in read_lines(attempt.ticks)[0]:
            if ROLLED_BACK in line:
                history = _up_to(history, line["images"])
            else:
                history.append(cast(Tick, line))
    return history


def _up_to(history: list[Tick], images: int) -> list[Tick]:
    return [tick for tick in history if tick["images"] <= images]


def last_tick(run_dir: Path) -> Tick | None:
    """Read the newest tick of a run; None before the first."""
    horizon = math.inf
    for attempt in reversed(list_attempts(run_dir)):
        size = file_size(attempt.ticks)
        # The tail first: the file of a long run is large.
        for offset in dict.fromkeys((max(0, size - _TAIL_BYTES), 0)):
            if found := _newest(read_lines(attempt.ticks, offset)[0], horizon):
                return found
        start = attempt.start_images()
        horizon = horizon if start is None else min(horizon, start)
    return None


def _newest(lines: list[dict[str, Any]], horizon: float) -> Tick | None:
    """Return the last tick that no rollback has undone, nor the start of a later attempt (`horizon`)."""
    for line in lines[::-1]:
        if ROLLED_BACK in line:
            horizon = min(horizon, line["images"])
        elif line["images"] <= horizon:
            return cast(Tick, line)
    return None


def list_snapshots(run_dir: Path) -> list[Snapshot]:
    """List the snapshots of a run, oldest first, one per position."""
    found: dict[int, Snapshot] = {}
    for attempt, horizon in _horizons(run_dir):
        for picture in attempt.snapshots.glob("*.png"):
            images = parse_kimg_name(picture.stem)
            if images is not None and (horizon is None or images <= horizon):
                weights = picture.with_suffix(".safetensors")
                # Of two at the same position, the newer attempt's replaces the older.
                found[images] = Snapshot(attempt.token, images, picture, weights if weights.exists() else None)
    return [found[images] for images in sorted(found)]


def _horizons(run_dir: Path) -> list[tuple[Attempt, int | None]]:
    """Return each attempt with the least images at which a later one began."""
    result: list[tuple[Attempt, int | None]] = []
    horizon: int | None = None
    for attempt in reversed(list_attempts(run_dir)):
        # What this attempt wrote beyond the horizon is dropped.
        result.append((attempt, horizon))
        start = attempt.start_images()
        if start is not None:
            horizon = start if horizon is None else min(horizon, start)
    return result[::-1]


def find_real_grid(run_dir: Path) -> Path | None:
    """Return the newest attempt's grid of real images; None before one has started."""
    return next((attempt.real for attempt in reversed(list_attempts(run_dir)) if attempt.real.exists()), None)

"""Reports of an attempt: ticks, events, snapshots and lines of the log."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from models.artifacts.attempts import Attempt, kimg_name, parse_kimg_name
from models.artifacts.events import EventWriter
from models.artifacts.history import read_evaluation
from models.artifacts.json_lines import append_line
from models.artifacts.payloads import HealthData, PublishedData, SnapshotData, Tick
from models.files import replace_file
from models.scores import Evaluation, best_evaluation
from worker.training.guard.findings import Health
from worker.training.schedule import thin


class Reporter:
    """Writes reports into one attempt's folder."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._events = EventWriter(attempt)
        self._health: Health | None = None

    def tick(self, tick: Tick) -> None:
        append_line(self._attempt.ticks, tick)
        self._events.append("tick", tick)

    # Ticks come often: only a new verdict is an event.
    def health(self, health: Health) -> None:
        if self._health is None or health.verdict != self._health.verdict:
            self._events.append("health", _health_data(health))
        self._health = health

    def snapshot(
        self, images: int, picture: bytes, weights: bytes, monitored: Mapping[str, float | None] | None = None
    ) -> None:
        """Write a snapshot, and delete the weights of older ones except the best and some, evenly spread."""
        name = kimg_name(images)
        folder = self._attempt.snapshots
        # The picture last: readers list pictures, and expect the weights of each beside it.
        replace_file(folder / f"{name}.safetensors", weights)
        replace_file(folder / f"{name}.png", picture)
        weighted = ((parse_kimg_name(path.stem), path) for path in folder.glob("*.safetensors"))
        kept = {position: path for position, path in weighted if position is not None}
        # Pictures are small and all stay; weights are thinned out.
        for position in thin(sorted(kept), best=_best(folder)):
            kept[position].unlink()
        data: SnapshotData = {
            "images": images,
            "kimg": images / 1000,
            "picture": f"{name}.png",
            "watched": dict(monitored or {}),
        }
        self._events.append("snapshot", data)

    def picture(self, images: int) -> bytes | None:
        path = self._attempt.snapshots / f"{kimg_name(images)}.png"
        return path.read_bytes() if path.exists() else None

    def score(self, evaluation: Evaluation) -> None:
        path = self._attempt.snapshots / f"{kimg_name(evaluation.images)}.json"
        replace_file(path, evaluation.model_dump_json(indent=1).encode())
        self._events.append("score", evaluation.event())

    def rolling_back(self, health: Health, images: int) -> None:
        self._events.append("health", {**_health_data(health), "rolled_back_to": images / 1000})
        self._health = health
        self.log(" ".join(health.reasons))

    def rolled_back(self, images: int, rolled_back_from: int) -> None:
        """Delete reports beyond the position of the rollback."""
        self._attempt.roll_back(images, rolled_back_from)

    def published(self, model: str, version: int, images: int) -> None:
        data: PublishedData = {
            "model": model,
            "version": version,
            "ref": f"{model}@{version}",
            "images": images,
            "kimg": images / 1000,
        }
        self._events.append("published", data)

    def log(self, message: str) -> None:
        """Write a line to standard output, which the supervisor stores, and its event."""
        print(message, file=sys.stdout, flush=True)  # noqa: T201  # standard output is the run's log
        self._events.append("log", {"message": message})


def _health_data(health: Health) -> HealthData:
    return {"verdict": health.verdict, "reasons": list(health.reasons), "sentence": health.sentence}


def _best(folder: Path) -> int | None:
    found = (read_evaluation(path) for path in sorted(folder.glob("*.json")))
    best = best_evaluation(evaluation for evaluation in found if evaluation is not None)
    return None if best is None else best.images

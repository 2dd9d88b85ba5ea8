"""Trains presets whole, as a worker would, and tells the time that it took: for benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from models.artifacts.attempts import Attempt, kimg_name
from models.artifacts.events import last_event
from models.artifacts.history import read_ticks
from models.artifacts.payloads import Tick
from models.config.presets import TrainRequest, resolve
from models.config.training import TrainingConfig
from models.records import Records, Run
from worker.settings import WorkerSettings

PROBES = 8.0, 8.0, 40.0
"""Lengths of short runs, in kimg: the first prepares what is kept, the difference of the others is their pace."""


@dataclass(frozen=True)
class Trained:
    """A training's end.

    Attributes:
        config: its configuration.
        kimg: its length.
        weights: of the averaged generator at the end, safetensors; none where the run failed.
        ticks: its reports.
        watched: what the guard saw last.
        seconds: of its process, from start to exit.
        process_seconds: of processor time.
        log: what the process printed.
    """

    config: TrainingConfig
    kimg: float
    weights: bytes
    ticks: list[Tick]
    watched: dict[str, float | None]
    seconds: float
    process_seconds: float
    log: str


class Harness:
    """A data directory with a database, in which each run is trained by a process of its own.

    Args:
        folder: the data directory, kept: what was prepared, and what evaluations look with, is not made again.
        datasets: where the built-in data sets' files lie.
        threads: of each training.
    """

    def __init__(self, folder: Path, datasets: Path, threads: int) -> None:
        self._environment = {
            "ATELIER_DATA_DIR": str(folder.absolute()),
            "ATELIER_DATASETS_DIR": str(datasets.absolute()),
            "ATELIER_DEVICE": "cpu",
            "ATELIER_THREADS": str(threads),
        }
        folder.mkdir(parents=True, exist_ok=True)
        settings = WorkerSettings(data_dir=folder, datasets_dir=datasets)
        self.images_dir = settings.images_dir
        self._runs_dir = settings.runs_dir
        self._records = Records(settings.database_url)
        self._records.migrate()
        self._claiming = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._records.close()

    def train(self, request: TrainRequest) -> Trained:
        """Train a run of its own to its end."""
        run = self._claimed(request)
        command = [sys.executable, "-m", "worker.jobs.train", run.id, str(run.token)]
        started = time.perf_counter()
        with (
            (self._runs_dir / f"{run.id}.log").open("w+") as log,
            # A training ends when its standard input does.
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=os.environ | self._environment
            ) as process,
        ):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - started
            log.seek(0)
            told = log.read()
        succeeded = process.returncode == 0
        self._records.release_run(run.claim, "succeeded" if succeeded else "failed")
        return self._end(run, seconds, usage.ru_utime + usage.ru_stime, told, succeeded=succeeded)

    def train_each(self, requests: Sequence[TrainRequest], jobs: int = 1) -> Iterator[Trained]:
        """Train several, `jobs` of them at a time; give them in their order."""
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(self.train, requests)

    def affordable(self, request: TrainRequest, seconds: float, spent: Callable[[Trained], float]) -> float:
        """Give the kimg that such a run reaches in so many seconds, by what short ones have `spent`."""
        _, short, long = (self.train(request.model_copy(update={"kimg": kimg, "epochs": None})) for kimg in PROBES)
        each = (spent(long) - spent(short)) / (long.kimg - short.kimg)
        besides = spent(short) - each * short.kimg
        return (seconds - besides) / each

    def _claimed(self, request: TrainRequest) -> Run:
        with self._claiming:
            queued, _ = self._records.create_run(resolve(request), request.model_dump(mode="json"))
            run = self._records.claim_run("benchmark", 1)
        if run is None or run.id != queued.id:
            raise RuntimeError(f"run {queued.id} was taken by somebody else: give the benchmark a folder of its own")
        self._runs_dir.mkdir(parents=True, exist_ok=True)
        return run

    def _end(self, run: Run, seconds: float, process_seconds: float, log: str, *, succeeded: bool) -> Trained:
        folder = self._runs_dir / run.id
        ticks = read_ticks(folder)
        snapshot = last_event(folder, "snapshot")
        images = int(ticks[-1]["images"]) if ticks else 0
        weights = Attempt(folder, run.token).snapshots / f"{kimg_name(images)}.safetensors"
        return Trained(
            config=TrainingConfig.model_validate(run.config),
            kimg=images / 1000,
            weights=weights.read_bytes() if succeeded else b"",
            ticks=ticks,
            watched={} if snapshot is None else snapshot.data["watched"],
            seconds=seconds,
            process_seconds=process_seconds,
            log=log,
        )

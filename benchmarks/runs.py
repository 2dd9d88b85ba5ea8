"""Complete runs for benchmarks, each in a process of its own as a worker starts it, with their times."""

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
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig
from models.records import Records, Run
from worker.settings import WorkerSettings

# Lengths of probe runs: the first fills caches, the other two give the time per image.
PROBE_KIMG = 8.0, 8.0, 40.0


@dataclass(frozen=True)
class FinishedRun:
    """A run after its end.

    Attributes:
        config: its configuration.
        kimg: its length.
        weights: of the averaged generator, safetensors; empty where the run failed.
        ticks: its progress reports.
        watched: the quantities that the guard watches, at the last snapshot.
        seconds: wall time of its process, from start to exit.
        process_seconds: processor time.
        log: output of the process.
    """

    config: TrainingConfig
    kimg: float
    weights: bytes
    ticks: list[Tick]
    watched: dict[str, float | None]
    seconds: float
    process_seconds: float
    log: str


class RunHarness:
    """A data directory with a database, in which runs are trained.

    Args:
        folder: the data directory. It is kept: prepared sets and evaluation networks are reused.
        datasets: folder with the files of the built-in data sets.
        threads: of each run.
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
        self._claim_lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._records.close()

    def train(self, request: TrainRequest) -> FinishedRun:
        """Train a new run to its end."""
        run = self._create_and_claim(request)
        command = [sys.executable, "-m", "worker.jobs.train", run.id, str(run.token)]
        started = time.perf_counter()
        with (
            (self._runs_dir / f"{run.id}.log").open("w+") as log,
            # A training stops when its standard input is closed: that is how it notices the death of its parent.
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=os.environ | self._environment
            ) as process,
        ):
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - started
            log.seek(0)
            output = log.read()
        succeeded = process.returncode == 0
        self._records.release_run(run.claim, "succeeded" if succeeded else "failed")
        return self._finished(run, seconds, usage.ru_utime + usage.ru_stime, output, succeeded=succeeded)

    def train_each(self, requests: Sequence[TrainRequest], jobs: int = 1) -> Iterator[FinishedRun]:
        """Train several runs, `jobs` of them at a time; yields them in the order of the requests."""
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(self.train, requests)

    def kimg_within(self, request: TrainRequest, seconds: float, cost: Callable[[FinishedRun], float]) -> float:
        """Estimate the kimg that a run reaches in so many seconds of `cost`, from probe runs."""
        _, short, long = (self.train(request.model_copy(update={"kimg": kimg, "epochs": None})) for kimg in PROBE_KIMG)
        per_kimg = (cost(long) - cost(short)) / (long.kimg - short.kimg)
        fixed = cost(short) - per_kimg * short.kimg
        return (seconds - fixed) / per_kimg

    def _create_and_claim(self, request: TrainRequest) -> Run:
        with self._claim_lock:
            queued, _ = self._records.create_run(resolve(request), request.model_dump(mode="json"))
            run = self._records.claim_run("benchmark", 1)
        if run is None or run.id != queued.id:
            raise RuntimeError(f"run {queued.id} was claimed by another worker: give the benchmark a folder of its own")
        self._runs_dir.mkdir(parents=True, exist_ok=True)
        return run

    def _finished(self, run: Run, seconds: float, process_seconds: float, log: str, *, succeeded: bool) -> FinishedRun:
        folder = self._runs_dir / run.id
        ticks = read_ticks(folder)
        snapshot = last_event(folder, "snapshot")
        images = int(ticks[-1]["images"]) if ticks else 0
        weights = Attempt(folder, run.token).snapshots / f"{kimg_name(images)}.safetensors"
        return FinishedRun(
            config=TrainingConfig.model_validate(run.config),
            kimg=images / 1000,
            weights=weights.read_bytes() if succeeded else b"",
            ticks=ticks,
            watched={} if snapshot is None else snapshot.data["watched"],
            seconds=seconds,
            process_seconds=process_seconds,
            log=log,
        )

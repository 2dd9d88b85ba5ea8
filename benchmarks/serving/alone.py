"""The work of a request alone, in a process of its own: raw batches, the encoder, and one request's whole work.

Batches are run by the engine's own classes, with the numerics that the service chose and wrote down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch

from app.engine.calibration import Calibrations
from app.engine.devices import choose_devices, use_deterministic_kernels, worker_threads
from app.engine.queue import Images
from app.engine.runner import Runner
from app.settings import AppSettings
from benchmarks.serving.models import MODELS
from models.inputs import Inputs, make_inputs
from models.pictures import encode, grid
from models.store.manifest import WEIGHTS, FileEntry
from models.store.weights import load_generator

T = TypeVar("T")
Work = Literal["batch", "replay", "encode", "request"]
COUNT = 25
TEXT = {"model": "dcgan-128", "version": "1", "seed": "1234567890123", "first index": "0"}
# CUDA-graph replays that are launched before the first is waited for.
REPLAYS = 32


class Timed(NamedTuple):
    """Amount of work, and the seconds that it took."""

    images: int
    took: float
    # Seconds of each repetition.
    seconds: list[float]

    @property
    def per_second(self) -> float:
        """Images per second."""
        return self.images / self.took


class Alone:
    """Client of the process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def measure(self, work: Work, model: str, seconds: float) -> Timed:
        """Repeat the work for some seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps([work, model, seconds]), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise RuntimeError(f"the process that measures {work} of {model} alone ended with {self._process.wait()}")
        return Timed(*json.loads(line))


@contextmanager
def alone(folder: Path, device: str, threads: int) -> Iterator[Alone]:
    """Run the process, beside a data directory in which the service has decided the numerics of every model."""
    command = [sys.executable, "-m", "benchmarks.serving.alone", str(folder), device, str(threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Alone(process)


class _Worker:
    """The work inside the process; except for batches, it runs on the first worker."""

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        use_deterministic_kernels()
        self._workers = worker_threads(choose_devices(device), threads)
        self._workers[0].enter()
        self._settings = AppSettings(data_dir=folder)
        self._calibrations = Calibrations(self._settings.calibration_dir, self._workers)
        self._runners: dict[str, Runner] = {}
        self._seed = 0

    def answer(self, line: str) -> str:
        work: Work
        work, model, seconds = json.loads(line)
        if model not in self._runners:
            self._runners[model] = self._build_runner(model)
        match work:
            case "batch":
                timed = self._on_every_worker(model, self._batch, seconds)
            case "replay":
                timed = self._on_every_worker(model, self._replay, seconds)
            case "encode":
                images = self._generate(model, self._drawn(model, COUNT))
                timed = _repeated(lambda: encode(grid(images), "png", TEXT), COUNT, seconds)
            case "request":
                timed = _repeated(lambda: self._request(model), COUNT, seconds)
        return json.dumps(timed)

    def _build_runner(self, model: str) -> Runner:
        config = MODELS[model]
        weights = (self._settings.model_dir / model / "1" / WEIGHTS).read_bytes()
        digest = FileEntry.of(weights).sha256
        if self._calibrations.known(config, digest) is None:
            raise RuntimeError(f"the service has not decided the numerics of {model} here: nothing to compare with")
        return self._calibrations.build_runner(load_generator(weights, config), config, digest, _at_once)

    def _on_every_worker(self, model: str, step: Callable[[str, int], Callable[[], int]], seconds: float) -> Timed:
        """Run a function on all workers at the same time, as the service does."""

        def run(index: int) -> Timed:
            self._workers[index].enter()
            once = step(model, index)
            return _repeated(once, once(), seconds)

        with ThreadPoolExecutor(len(self._workers)) as threads:
            found = list(threads.map(run, range(len(self._workers))))
        took = max(timed.took for timed in found)
        return Timed(sum(timed.images for timed in found), took, [s for timed in found for s in timed.seconds])

    def _batch(self, model: str, worker: int) -> Callable[[], int]:
        runner = self._runners[model]
        inputs = self._drawn(model, runner.batch_size)
        return lambda: len(runner.run(inputs, worker))

    def _replay(self, model: str, worker: int) -> Callable[[], int]:
        """Run the captured pass alone, without copies in or out."""
        runner = self._runners[model]
        graph = runner.networks[worker]._graph(self._drawn(model, runner.batch_size), runner.batch_size)._graph

        def replay() -> int:
            for _ in range(REPLAYS):
                graph.replay()
            torch.cuda.synchronize(self._workers[worker].device)
            return REPLAYS * runner.batch_size

        return replay

    def _request(self, model: str) -> bytes:
        return encode(grid(self._generate(model, self._drawn(model, COUNT))), "png", TEXT)

    def _generate(self, model: str, inputs: Inputs) -> Images:
        runner = self._runners[model]
        starts = range(0, len(inputs), runner.batch_size)
        parts = [runner.run(inputs.slice(start, start + runner.batch_size), 0) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _drawn(self, model: str, count: int) -> Inputs:
        self._seed += 1
        return make_inputs(MODELS[model].inputs, self._seed, np.arange(count))


def _at_once(work: Callable[[int], T], worker: int | None = None) -> T:
    return work(worker or 0)


def _repeated(step: Callable[[], object], images: int, seconds: float) -> Timed:
    """Repeat a function on `images` images, after one call as warm-up."""
    step()
    times: list[float] = []
    began = time.perf_counter()
    while (started := time.perf_counter()) < began + seconds:
        step()
        times.append(time.perf_counter() - started)
    return Timed(images * len(times), time.perf_counter() - began, times)


def main() -> None:
    """Run the process: one request per line, until the end of input."""
    folder, device, threads = sys.argv[1:]
    worker = _Worker(Path(folder), device, int(threads))
    for line in sys.stdin:
        print(worker.answer(line), flush=True)


if __name__ == "__main__":
    main()

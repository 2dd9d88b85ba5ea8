"""The work in a request done by itself, in a process of its own: raw tiles, the encoder, and one request's whole work.

Tiles are painted by the engine's own classes, with the numerics that the service chose and wrote down.
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
from app.engine.devices import choose_devices, lanes, only_repeatable_kernels
from app.engine.inputs import Inputs, Seeded
from app.engine.queue import Pictures
from app.engine.tile import Painter
from app.settings import AppSettings
from benchmarks.serving.models import MODELS
from models.pictures import encode, grid
from models.store.manifest import WEIGHTS, FileEntry
from models.store.weights import load_generator

T = TypeVar("T")
Work = Literal["tile", "replay", "encode", "request"]
COUNT = 25
TEXT = {"model": "dcgan-128", "version": "1", "seed": "1234567890123", "first index": "0"}
REPLAYS = 32
"""CUDA-graph replays that are launched before anybody waits for them."""


class Timed(NamedTuple):
    """How much was done in how long."""

    images: int
    took: float
    seconds: list[float]
    """What each time took."""

    @property
    def per_second(self) -> float:
        """Images per second."""
        return self.images / self.took


class Alone:
    """The process, from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def measure(self, work: Work, model: str, seconds: float) -> Timed:
        """Do the work again and again for a while."""
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
    """The process, from inside. What is not about tiles alone runs in the first lane."""

    def __init__(self, folder: Path, device: str, threads: int) -> None:
        only_repeatable_kernels()
        self._lanes = lanes(choose_devices(device), threads)
        self._lanes[0].enter()
        self._settings = AppSettings(data_dir=folder)
        self._calibrations = Calibrations(self._settings.calibration_dir, self._lanes)
        self._painters: dict[str, Painter] = {}
        self._seed = 0

    def answer(self, line: str) -> str:
        work: Work
        work, model, seconds = json.loads(line)
        if model not in self._painters:
            self._painters[model] = self._painter(model)
        match work:
            case "tile":
                timed = self._in_every_lane(model, self._tile, seconds)
            case "replay":
                timed = self._in_every_lane(model, self._replay, seconds)
            case "encode":
                images = self._paint(model, self._drawn(model, COUNT))
                timed = _repeated(lambda: encode(grid(images), "png", TEXT), COUNT, seconds)
            case "request":
                timed = _repeated(lambda: self._request(model), COUNT, seconds)
        return json.dumps(timed)

    def _painter(self, model: str) -> Painter:
        config = MODELS[model]
        weights = (self._settings.model_dir / model / "1" / WEIGHTS).read_bytes()
        digest = FileEntry.of(weights).sha256
        if self._calibrations.known(config, digest) is None:
            raise RuntimeError(f"the service has not decided the numerics of {model} here: nothing to compare with")
        return self._calibrations.painter(load_generator(weights, config), config, digest, _at_once)

    def _in_every_lane(self, model: str, step: Callable[[str, int], Callable[[], int]], seconds: float) -> Timed:
        """Do something in all lanes at the same time, as the service does."""

        def run(index: int) -> Timed:
            self._lanes[index].enter()
            once = step(model, index)
            return _repeated(once, once(), seconds)

        with ThreadPoolExecutor(len(self._lanes)) as threads:
            found = list(threads.map(run, range(len(self._lanes))))
        took = max(timed.took for timed in found)
        return Timed(sum(timed.images for timed in found), took, [s for timed in found for s in timed.seconds])

    def _tile(self, model: str, lane: int) -> Callable[[], int]:
        painter = self._painters[model]
        inputs = self._drawn(model, painter.tile)
        return lambda: len(painter.paint(inputs, lane))

    def _replay(self, model: str, lane: int) -> Callable[[], int]:
        """The captured pass by itself: nothing is copied in or out."""
        painter = self._painters[model]
        graph = painter.networks[lane]._graph(self._drawn(model, painter.tile), painter.tile)._graph

        def replay() -> int:
            for _ in range(REPLAYS):
                graph.replay()
            torch.cuda.synchronize(self._lanes[lane].device)
            return REPLAYS * painter.tile

        return replay

    def _request(self, model: str) -> bytes:
        return encode(grid(self._paint(model, self._drawn(model, COUNT))), "png", TEXT)

    def _paint(self, model: str, inputs: Inputs) -> Pictures:
        painter = self._painters[model]
        starts = range(0, len(inputs), painter.tile)
        parts = [painter.paint(inputs.part(start, start + painter.tile), 0) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _drawn(self, model: str, count: int) -> Inputs:
        self._seed += 1
        return Seeded(MODELS[model], self._seed, range(count)).inputs(0, count)


def _at_once(work: Callable[[int], T], lane: int | None = None) -> T:
    return work(lane or 0)


def _repeated(step: Callable[[], object], images: int, seconds: float) -> Timed:
    """Do something of so many images again and again, after once for warmth."""
    step()
    times: list[float] = []
    began = time.perf_counter()
    while (started := time.perf_counter()) < began + seconds:
        step()
        times.append(time.perf_counter() - started)
    return Timed(images * len(times), time.perf_counter() - began, times)


def main() -> None:
    """Be the process: a question per line, until there are no more."""
    folder, device, threads = sys.argv[1:]
    worker = _Worker(Path(folder), device, int(threads))
    for line in sys.stdin:
        print(worker.answer(line), flush=True)


if __name__ == "__main__":
    main()

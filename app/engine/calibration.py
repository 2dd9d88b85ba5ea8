"""The numerics of a network on a device: measured and tested once, kept in a file, never decided again by a stopwatch.

A record holds for every version of the same network configuration on the same device model with the same software
and thread count, so that neither a restart nor a new version changes a byte. The reference tile is part of the ETag's
fingerprint; the smaller tiles are not, for they give the very same floats.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from app.engine.inputs import Latents
from app.engine.tile import Network, Painter
from models.config import Frozen, GeneratorConfig

log = logging.getLogger(__name__)

T = TypeVar("T")
Bits = NDArray[np.int32]

# Powers of two, so that small tiles divide the reference.
CANDIDATES = (4, 8, 16, 32, 64)
SMALL = (1, 2, 4, 8, 16, 32)
ENOUGH = 0.85
"""The smallest tile is taken that gives this share of the best throughput seen: beyond, latency grows for little."""
MAX_SECONDS = 0.1
"""A larger tile than the smallest must not take longer than this, whatever it gains: everybody waits for one tile."""
REPEATS = 5


class Step(Protocol):
    """Runs one pass where and when it may run, and gives its result: `Batcher.chore`."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """Run `work` and wait for it."""


class CannotPaint(Exception):
    """The network's outputs are of no use: not finite, or not the same twice."""


class Key(Frozen):
    """What a record holds for."""

    generator: GeneratorConfig
    device: str
    software: dict[str, str]
    threads: int

    @cached_property
    def digest(self) -> str:
        """A name for the record's file."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


class Record(Frozen):
    """What was decided."""

    format: Annotated[int, Field(ge=1, le=1)] = 1
    key: Key
    tile: Annotated[int, Field(ge=1, le=1024, description="the reference tile")]
    small: Annotated[tuple[int, ...], Field(description="smaller tiles with the very same floats, ascending")] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Tells numerics apart in ETags."""
        return f"{self.key.digest}-{self.tile}"


class Calibrations:
    """The records, in memory and in files; safe to use from several threads, decided by one at a time.

    Args:
        folder: one JSON file per record; made when needed.
        device: as `tile.describe_device` gives it.
        software: as `tile.software` gives it.
        threads: torch's threads for one pass.
    """

    def __init__(self, folder: Path, *, device: str, software: dict[str, str], threads: int) -> None:
        self._folder = folder
        self._device, self._software, self._threads = device, software, threads
        self._records: dict[GeneratorConfig, Record] = {}

    def key(self, generator: GeneratorConfig) -> Key:
        """Give what a record for `generator` here holds for."""
        return Key(generator=generator, device=self._device, software=self._software, threads=self._threads)

    def known(self, generator: GeneratorConfig) -> Record | None:
        """Give what was decided, None before that. A file that cannot be understood counts as none."""
        if (record := self._records.get(generator)) is None and (record := self._read(self.key(generator))) is not None:
            self._records[generator] = record
        return record

    def painter(self, network: Network, generator: GeneratorConfig, step: Step) -> Painter:
        """Make a painter for `network`, deciding its numerics if nobody did yet; tests it either way.

        Args:
            step: runs each pass on the device's thread.

        Raises:
            CannotPaint: the outputs are not finite, or depend on a slot or on neighbours even so.
        """
        trial = _Trial(network, generator.latent.dim, step)
        if (record := self.known(generator)) is None:
            record = trial.decide(self.key(generator))
            self._write(record)
            self._records[generator] = record
        return trial.check(record)

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key.digest}.json"

    def _read(self, key: Key) -> Record | None:
        path = self._path(key)
        try:
            record = Record.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be used, the numerics are decided anew: %s", path, error)
            return None
        return record if record.key == key else None

    def _write(self, record: Record) -> None:
        """Keep the record; without a disk to write on it holds until this process ends."""
        path = self._path(record.key)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".tmp", delete=False) as file:
                file.write(record.model_dump_json(indent=1))
                file.flush()
                os.fsync(file.fileno())
            Path(file.name).replace(path)
        except OSError as error:
            log.warning("%s cannot be written, a restart may choose other numerics: %s", path, error)


class _Trial:
    """One network's measurements and tests."""

    def __init__(self, network: Network, dim: int, step: Step) -> None:
        self._network = network
        self._dim = dim
        self._step = step
        # The probes decide nothing but whether two passes agree: any fixed latents serve.
        self._random = np.random.Generator(np.random.Philox(20240229))

    def decide(self, key: Key) -> Record:
        """Choose the reference tile by measure among those that pass the test, then the small ones."""
        for size in (*_preferred(self._measure()), 1):
            if self._independent(size):
                small = self._agreeing(size)
                log.info("numerics of %s: tile %d, small tiles %s", key.digest, size, small)
                return Record(key=key, tile=size, small=small)
        raise CannotPaint("the same latent gave two different images in a row")

    def check(self, record: Record) -> Painter:
        """Test the record on this network's weights: every small tile, and the reference with probes in other slots.

        A small tile that disagrees is left out here, which changes no byte.
        """
        probes = self._latents(record.tile)
        images = self._run(probes)
        if not np.isfinite(images.view(np.float32)).all():
            raise CannotPaint("its outputs are not finite numbers: the weights are damaged or the training diverged")
        if not np.array_equal(self._run(probes[::-1].copy())[::-1], images):
            raise CannotPaint(f"its images depend on their neighbours in a tile of {record.tile}")
        small = tuple(s for s in record.small if self._agrees(probes, images, s))
        if small != record.small:
            log.warning(
                "of the small tiles %s of %s only %s hold on new weights", record.small, record.key.digest, small
            )
        return Painter(self._network, (*small, record.tile), self._seconds(record.tile))

    def _measure(self) -> dict[int, float]:
        """Time the candidates, ascending, up to the first that takes too long."""
        seconds: dict[int, float] = {}
        for size in CANDIDATES:
            seconds[size] = self._seconds(size)
            if seconds[size] > MAX_SECONDS:
                break
        return seconds

    def _seconds(self, size: int) -> float:
        z = self._latents(size)
        self._step(lambda: self._network.pictures(z, size))
        # The least: whatever else the machine does only ever adds.
        return min(self._step(lambda: self._timed(z)) for _ in range(REPEATS))

    def _timed(self, z: Latents) -> float:
        started = time.perf_counter()
        self._network.pictures(z, len(z))
        return time.perf_counter() - started

    def _independent(self, size: int) -> bool:
        """Whether a probe gives the same floats in each slot, among random neighbours and among padding."""
        probe = self._latents(1)
        image = self._run(np.concatenate([probe, np.zeros((size - 1, self._dim), np.float32)]))[0]
        for slot in range(size):
            tile = self._latents(size)
            tile[slot] = probe[0]
            if not np.array_equal(self._run(tile)[slot], image):
                return False
        return True

    def _agreeing(self, size: int) -> tuple[int, ...]:
        """Give the small tiles in which each of a reference tile's probes has the same floats, in whatever slot."""
        probes = self._latents(size)
        images = self._run(probes)
        return tuple(
            small
            for small in SMALL
            if small < size and all(self._agrees(probes, images, small, at) for at in range(0, size, small))
        )

    def _agrees(self, probes: Latents, images: Bits, small: int, at: int = 0) -> bool:
        return np.array_equal(self._run(probes[at : at + small].copy()), images[at : at + small])

    def _latents(self, count: int) -> Latents:
        return self._random.standard_normal((count, self._dim), np.float32)

    def _run(self, z: Latents) -> Bits:
        return self._step(lambda: self._network.exact(z))


def _preferred(seconds: dict[int, float]) -> Sequence[int]:
    """Order tile sizes by preference: the smallest that is fast enough and near the best, then those below it."""
    sizes = sorted(seconds)
    quick = [size for size in sizes if seconds[size] <= MAX_SECONDS] or sizes[:1]
    best = max(size / seconds[size] for size in quick)
    chosen = next(size for size in quick if size / seconds[size] >= ENOUGH * best)
    return [size for size in reversed(sizes) if size <= chosen]

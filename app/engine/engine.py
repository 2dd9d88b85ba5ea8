"""The sampling engine: from a model's name and a source of inputs to images. Importing it imports torch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from app.engine.admission import Admission, Overloaded, ThreadPool
from app.engine.batcher import Batcher
from app.engine.calibration import Calibrations
from app.engine.chunks import CHUNKS_AHEAD, split
from app.engine.devices import choose_devices, use_deterministic_kernels, worker_threads
from app.engine.observer import NULL_OBSERVER, Observer
from app.engine.pool import GeneratorKey, ModelPool, key_of
from app.engine.queue import Images, quantum
from app.engine.runner import Runner
from models.config.inputs import LatentInput
from models.inputs import Inputs
from models.store.base import ModelStore
from models.store.errors import ModelError, UnknownModel, VersionNotReady
from models.store.versions import WholeVersion, is_pinned

log = logging.getLogger(__name__)

T = TypeVar("T")

SCAN_SECONDS = 0.5
POOL_THREADS = 2
# Up to so many latent values are drawn on the event loop: waking a thread would take longer.
INLINE_VALUES = 1 << 13


class Source(Protocol):
    """The images of a request, in order, as inputs that are drawn when needed."""

    def __len__(self) -> int: ...

    def inputs(self, start: int, stop: int) -> Inputs:
        """Draw the inputs of images `start` to `stop` - 1; they do not depend on other requests."""


class SamplingEngine:
    """Generates images of published versions.

    Args:
        store: where versions are read.
        device: as in `devices.choose_devices`.
        threads: worker threads on the CPU; ignored on GPUs.
        calibration_dir: where numerics are stored.
        budget_bytes: memory for loaded versions.
        max_wait_seconds: refuse requests that would wait longer than this.
        max_flight_bytes: refuse requests that would bring the images in flight above this.
        observer: returns the observer of a model, by name.

    Raises:
        ValueError: there is no such device.
    """

    def __init__(
        self,
        store: ModelStore,
        *,
        device: str,
        threads: int,
        calibration_dir: Path,
        budget_bytes: int,
        max_wait_seconds: float,
        max_flight_bytes: int,
        observer: Callable[[str], Observer] = lambda _: NULL_OBSERVER,
    ) -> None:
        self._store = store
        self._observer = observer
        self._max_wait_seconds = max_wait_seconds
        use_deterministic_kernels()
        workers = worker_threads(choose_devices(device), threads)
        self._calibrations = Calibrations(calibration_dir, workers)
        self._batcher = Batcher(workers)
        self._pool = ModelPool(store, self._batcher, self._calibrations, budget_bytes)
        # The version that each moving reference was last served by.
        self._served: dict[str | None, WholeVersion] = {}
        self._scanner = ThreadPoolExecutor(1, thread_name_prefix="scanner")
        self._watcher: asyncio.Task[None] | None = None
        self._not_ready = "the default model is being loaded"
        # Work for the device that is queued as soon as its inputs are made.
        self._seconds_in_preparation = 0.0
        self.threads = ThreadPool(POOL_THREADS)
        self.admission = Admission(self._seconds_ahead, max_seconds=max_wait_seconds, max_bytes=max_flight_bytes)

    async def start(self) -> None:
        """Start loading the default model and watching the store; returns at once."""
        self._watcher = asyncio.create_task(self._watch(), name="model directory")

    async def stop(self) -> None:
        """Fail all waiting requests and end every thread."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await asyncio.to_thread(self._stop_threads)

    def _stop_threads(self) -> None:
        self._batcher.stop()
        self._pool.stop()
        self.threads.stop()
        self._scanner.shutdown()

    def ready(self) -> tuple[bool, str]:
        """Return whether the default model is loaded and tested, and what is served or missing."""
        served = self._served.get(None)
        if served is not None and self._pool.has(served):
            return True, f"{served.ref} is loaded"
        return False, self._not_ready

    def loaded(self) -> dict[str, int]:
        """Return the bytes that each loaded version takes, by reference."""
        return self._pool.loaded()

    def is_loaded(self, version: WholeVersion) -> bool:
        return self._pool.has(version)

    def resolve(self, ref: str | None) -> WholeVersion:
        """Return the version that serves `ref` now, without waiting for anything.

        A movable reference (a bare name, an alias, None for the default model) keeps its previous version, if that
        still exists, until the new one is loaded.

        Raises:
            ModelError: there is none, or it is not whole.
        """
        if is_pinned(ref):
            return self._store.resolve(ref)
        try:
            wanted = self._store.resolve(ref)
        except VersionNotReady:
            if (former := self._former(ref)) is None:
                raise
            return former
        if not self._pool.has(wanted) and (former := self._former(ref)) is not None:
            self._pool.load(wanted)
            return former
        self._served[ref] = wanted
        return wanted

    def _former(self, ref: str | None) -> WholeVersion | None:
        """Return the version that last served `ref`, while it is loaded and not deleted."""
        former = self._served.get(ref)
        if former is None or not self._pool.has(former) or not self._exists(key_of(former)):
            return None
        return former

    async def load(self, ref: str | None) -> WholeVersion:
        """Return the version that serves `ref`, loaded.

        If a movable reference leads to a version that proves broken, the next best one is loaded.

        Raises:
            ModelError: there is none, it is not whole, or it cannot be loaded.
        """
        failed: VersionNotReady | None = None
        while True:
            version = self.resolve(ref)
            if failed is not None and failed.version.ref == version.ref:
                raise failed
            try:
                await self._runner(version)
            except VersionNotReady as error:
                if is_pinned(ref):
                    raise
                failed = error
                await self._scan()
            else:
                return version

    def fingerprint(self, version: WholeVersion) -> str | None:
        """Return a name for the numerics of the first generator; None before they are decided, at its first load."""
        if (runner := self._pool.peek(version)) is not None:
            return runner.fingerprint
        record = self._calibrations.known(version.manifest.generator, version.manifest.weights_sha256)
        return None if record is None else record.fingerprint

    async def generate(
        self, version: WholeVersion, source: Source, generator: str | None = None
    ) -> AsyncGenerator[Images]:
        """Generate a source's images, in order, chunk by chunk. Close the generator to drop the rest.

        Args:
            version: a whole one; it is loaded if need be.
            source: of at least one image; inputs are made a chunk at a time.
            generator: one of the version's, by name; None for the first.

        Yields:
            uint8 `[k, H, W, C]`.

        Raises:
            VersionNotReady: the version cannot be loaded.
        """
        manifest = version.manifest
        entry = manifest.first if generator is None else manifest.generators[generator]
        values_per_image = sum(spec.dim for spec in entry.inputs.values() if isinstance(spec, LatentInput))
        runner = await self._runner(version, generator)
        observer = self._observer(version.model)
        pending: deque[asyncio.Future[Images]] = deque()
        try:
            for chunk in split(len(source), entry.config.pixels, runner.batch_size):
                inputs = await self._make_inputs(source, chunk, len(chunk) * values_per_image, runner)
                pending.append(asyncio.wrap_future(self._batcher.submit(runner, inputs, observer)))
                if len(pending) == CHUNKS_AHEAD:
                    yield await pending.popleft()
            while pending:
                yield await pending.popleft()
        finally:
            for future in pending:
                future.cancel()

    async def encode(
        self, version: WholeVersion, work: Callable[[], T], kind: str, size: int, *, inline: bool = False
    ) -> T:
        """Run an encoder's work on images of a version on one of the threads.

        Args:
            kind: of encoder.
            size: bytes that are encoded; kind and size predict the waits of others.
            inline: run it on the event loop, for work shorter than waking a thread.
        """

        def timed() -> tuple[T, float]:
            started = time.perf_counter()
            return work(), time.perf_counter() - started

        result, seconds = timed() if inline else await self.threads.run(timed, kind, size)
        self._observer(version.model).encoded(kind, seconds)
        return result

    async def _runner(self, version: WholeVersion, generator: str | None = None) -> Runner:
        if (runner := self._pool.get(version, generator)) is not None:
            return runner
        if (seconds := self._pool.seconds_ahead()) > self._max_wait_seconds:
            raise Overloaded(f"{seconds:.0f} s of loading models wait", math.ceil(seconds))
        # Shielded: a client that leaves must not stop a load that others wait for.
        return await asyncio.shield(asyncio.wrap_future(self._pool.load(version, generator)))

    def _seconds_ahead(self) -> float:
        return self._batcher.seconds_ahead() + self._seconds_in_preparation + self.threads.seconds_ahead()

    async def _make_inputs(self, source: Source, chunk: range, values: int, runner: Runner) -> Inputs:
        if values <= INLINE_VALUES:
            return source.inputs(chunk.start, chunk.stop)
        # As much as the queue will count for it: one quantum.
        seconds = min(len(chunk), quantum(runner)) / runner.batch_size * runner.seconds
        self._seconds_in_preparation += seconds
        try:
            return await self.threads.run(lambda: source.inputs(chunk.start, chunk.stop), "inputs", values)
        finally:
            self._seconds_in_preparation -= seconds

    async def _watch(self) -> None:
        while True:
            await self._scan()
            # New versions are loaded before the first request for them.
            for ref in (None, *(ref for ref in self._served if ref is not None)):
                self._follow(ref)
            await asyncio.sleep(SCAN_SECONDS)

    async def _scan(self) -> None:
        # A thread of its own: the shared ones may all be waiting for a database that does not answer.
        await asyncio.get_running_loop().run_in_executor(self._scanner, self._store.scan)
        # Not only where something has changed: a version may have been deleted while it was being loaded.
        self._pool.retain(self._exists)

    def _exists(self, loaded: GeneratorKey) -> bool:
        # A version may be deleted, or replaced by hand, after its generator was loaded.
        try:
            version = self._store.resolve(loaded.ref)
        except ModelError as error:
            # If its files were damaged after the load, it is still whole in memory.
            return not isinstance(error, UnknownModel)
        return loaded.generator in version.manifest.generators and key_of(version, loaded.generator) == loaded

    def _follow(self, ref: str | None) -> None:
        """Load the version that `ref` means now, if another one serves it; load the default model in any case."""
        # The new version is loaded and tested beside the one that serves. That one goes on serving meanwhile, and also
        # afterwards if the new one cannot be loaded.
        try:
            version = self.resolve(ref)
        except ModelError as error:
            self._served.pop(ref, None)
            self._not_ready = str(error) if ref is None else self._not_ready
            return
        if ref is None:
            self._not_ready = f"{version.ref} is being loaded"
            self._pool.pin(version)
            self._pool.load(version)

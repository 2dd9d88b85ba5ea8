"""The engine's face to the service: names to versions, seeds to pictures. Importing it imports torch.

A version that became the newest is loaded and tested beside the one that serves, which goes on serving meanwhile, and
also afterwards if the new one cannot be loaded.
"""

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
from typing import TypeVar

import numpy as np

from app.engine.admission import Admission, Overloaded, Workers
from app.engine.batcher import Batcher
from app.engine.calibration import Calibrations
from app.engine.devices import choose_devices, lanes, only_repeatable_kernels
from app.engine.inputs import Inputs, Source
from app.engine.pieces import AHEAD, pieces
from app.engine.pool import Pool, identity
from app.engine.queue import Pictures, turn
from app.engine.tile import Painter
from app.engine.watch import UNWATCHED, Watch
from models.store.base import ModelStore
from models.store.errors import ModelError, UnknownModel, VersionNotReady
from models.store.versions import WholeVersion, is_pinned

log = logging.getLogger(__name__)

T = TypeVar("T")

SCAN_SECONDS = 0.5
WORKERS = 2
INLINE_VALUES = 1 << 13
"""Up to so many latent values are drawn on the event loop: a thread would take longer to wake than they take."""


class Sampler:
    """Paints images of published versions.

    Args:
        directory: the model directory.
        device: as in `devices.choose_devices`.
        threads: of the CPU, each of which runs passes of its own; without meaning on a GPU.
        calibration_dir: where numerics are kept.
        budget_bytes: memory for loaded versions.
        max_wait_seconds: refuse what would wait longer than this for its turn.
        max_flight_bytes: refuse what would bring the pictures in flight above this.
        watch: gives who is told how a model, by name, fares.

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
        watch: Callable[[str], Watch] = lambda _: UNWATCHED,
    ) -> None:
        self._store = store
        self._watch = watch
        self._max_wait_seconds = max_wait_seconds
        only_repeatable_kernels()
        painting = lanes(choose_devices(device), threads)
        self._calibrations = Calibrations(calibration_dir, painting)
        self._batcher = Batcher(painting)
        self._pool = Pool(store, self._batcher, self._calibrations, budget_bytes)
        self._served: dict[str | None, WholeVersion] = {}
        self._scanner = ThreadPoolExecutor(1, thread_name_prefix="scanner")
        self._watcher: asyncio.Task[None] | None = None
        self._trouble = "the default model is being loaded"
        self._drawing_seconds = 0.0
        """What will be asked of the device as soon as its latents are drawn."""
        self.workers = Workers(WORKERS)
        self.admission = Admission(self._seconds_ahead, max_seconds=max_wait_seconds, max_bytes=max_flight_bytes)

    async def start(self) -> None:
        """Begin to load the default model and to watch the directory; returns at once."""
        self._watcher = asyncio.create_task(self._look(), name="model directory")

    async def stop(self) -> None:
        """Fail what still waits and end every thread."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        await asyncio.to_thread(self._stop_threads)

    def _stop_threads(self) -> None:
        self._batcher.stop()
        self._pool.stop()
        self.workers.stop()
        self._scanner.shutdown()

    def ready(self) -> tuple[bool, str]:
        """Tell whether the default model is loaded and warm; else why not."""
        served = self._served.get(None)
        if served is not None and self._pool.has(served):
            return True, f"{served.ref} is loaded"
        return False, self._trouble

    def loaded(self) -> dict[str, int]:
        """List the loaded versions by reference, with the bytes each takes."""
        return self._pool.loaded()

    def has(self, version: WholeVersion) -> bool:
        """Tell whether a version is loaded."""
        return self._pool.has(version)

    def resolve(self, ref: str | None) -> WholeVersion:
        """Find the version that serves `ref` now, without waiting for anything.

        A reference that moves (a bare name, an alias, None for the default model) stays with the version it meant
        before, if that can still be had, until the one that it means now is loaded.

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
        """Give what `ref` was last served by, while it is loaded and has not been deleted."""
        former = self._served.get(ref)
        if former is None or not self._pool.has(former) or not self._exists(identity(former)):
            return None
        return former

    async def hold(self, ref: str | None) -> WholeVersion:
        """Find the version that serves `ref`, and load it if it is not.

        Where a moving reference leads to a version that turns out broken, the next best one takes its place.

        Raises:
            ModelError: there is none, it is not whole, or it cannot be loaded.
        """
        failed: VersionNotReady | None = None
        while True:
            version = self.resolve(ref)
            if failed is not None and failed.version.ref == version.ref:
                raise failed
            try:
                await self._painter(version)
            except VersionNotReady as error:
                if is_pinned(ref):
                    raise
                failed = error
                await self._scan()
            else:
                return version

    def fingerprint(self, version: WholeVersion) -> str | None:
        """Name the numerics of a version's pictures; None before they are decided, at its first load."""
        record = self._calibrations.known(version.manifest.generator, version.manifest.weights_sha256)
        return None if record is None else record.fingerprint

    async def images(self, version: WholeVersion, source: Source) -> AsyncGenerator[Pictures]:
        """Paint a source's images, in order, piece by piece. Close the iterator to drop the rest.

        Args:
            version: a whole one; it is loaded if need be.
            source: at least one image; its inputs are made a piece at a time.

        Yields:
            uint8 `[k, H, W, C]`.

        Raises:
            VersionNotReady: the version cannot be loaded.
        """
        generator = version.manifest.generator
        painter = await self._painter(version)
        watch = self._watch(version.model)
        waiting: deque[asyncio.Future[Pictures]] = deque()
        try:
            for piece in pieces(len(source), generator.pixels, painter.tile):
                inputs = await self._drawn(source, piece, generator.latent.dim, painter)
                waiting.append(asyncio.wrap_future(self._batcher.submit(painter, inputs, watch)))
                if len(waiting) == AHEAD:
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for future in waiting:
                future.cancel()

    async def sample(self, version: WholeVersion, source: Source) -> Pictures:
        """Paint a source's images at once: uint8 `[n, H, W, C]`. Arguments and errors as in `images`."""
        async with contextlib.aclosing(self.images(version, source)) as painted:
            parts = [part async for part in painted]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    async def encode(
        self, version: WholeVersion, work: Callable[[], T], kind: str, size: int, *, at_once: bool = False
    ) -> T:
        """Encode pictures of a version on one of the threads.

        Args:
            kind: of encoder; size: in bytes of what is encoded: by both the waits of others are predicted.
            at_once: here and now instead; for what takes less time than a thread takes to wake.
        """

        def timed() -> tuple[T, float]:
            started = time.perf_counter()
            return work(), time.perf_counter() - started

        result, seconds = timed() if at_once else await self.workers.run(timed, kind, size)
        self._watch(version.model).encoded(kind, seconds)
        return result

    async def _painter(self, version: WholeVersion) -> Painter:
        # Shielded: a client that leaves must not stop a load that others wait for.
        if (painter := self._pool.get(version)) is not None:
            return painter
        if (seconds := self._pool.seconds_ahead()) > self._max_wait_seconds:
            raise Overloaded(f"{seconds:.0f} s of loading models wait", math.ceil(seconds))
        return await asyncio.shield(asyncio.wrap_future(self._pool.load(version)))

    def _seconds_ahead(self) -> float:
        return self._batcher.seconds_ahead() + self._drawing_seconds + self.workers.seconds_ahead()

    async def _drawn(self, source: Source, piece: range, dim: int, painter: Painter) -> Inputs:
        values = len(piece) * dim
        if values <= INLINE_VALUES:
            return source.inputs(piece.start, piece.stop)
        # As much as the queue would count for it: one turn.
        seconds = min(len(piece), turn(painter)) / painter.tile * painter.seconds
        self._drawing_seconds += seconds
        try:
            return await self.workers.run(lambda: source.inputs(piece.start, piece.stop), "latents", values)
        finally:
            self._drawing_seconds -= seconds

    async def _look(self) -> None:
        """Look at the directory again and again, so that what is new is loaded before anybody asks for it."""
        while True:
            await self._scan()
            for ref in (None, *(ref for ref in self._served if ref is not None)):
                self._follow(ref)
            await asyncio.sleep(SCAN_SECONDS)

    async def _scan(self) -> None:
        # A thread of its own: the shared ones may all be waiting for a database that is away.
        await asyncio.get_running_loop().run_in_executor(self._scanner, self._store.scan)
        # Not only where something has changed: what was deleted while it was loading is loaded now.
        self._pool.retain(self._exists)

    def _exists(self, loaded: str) -> bool:
        """Whether a version, by its identity, was neither deleted nor replaced by hand.

        One whose files were damaged later is whole in memory.
        """
        try:
            return identity(self._store.resolve(loaded.split()[0])) == loaded
        except ModelError as error:
            return not isinstance(error, UnknownModel)

    def _follow(self, ref: str | None) -> None:
        """Load what `ref` means now if something else serves it; the default model is loaded in any case."""
        try:
            version = self.resolve(ref)
        except ModelError as error:
            self._served.pop(ref, None)
            self._trouble = str(error) if ref is None else self._trouble
            return
        if ref is None:
            self._trouble = f"{version.ref} is being loaded"
            self._pool.pin(version)
            self._pool.load(version)

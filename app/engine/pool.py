"""Which versions are in memory: loaded on a thread of their own, tested before they serve, evicted by bytes, the least
recently used first. Who should be served is `sampler`'s to say.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch

from app.engine.batcher import Batcher, Stopped
from app.engine.calibration import Calibrations, CannotPaint
from app.engine.tile import Painter
from models.config.networks import GeneratorConfig
from models.store.base import ModelStore
from models.store.errors import BrokenVersion, DoesNotFit, VersionNotReady
from models.store.manifest import WEIGHTS
from models.store.versions import WholeVersion
from models.store.weights import CheckpointError, load_generator

log = logging.getLogger(__name__)

FLOAT_BYTES = 4
NICENESS = 10
RETRY_SECONDS = 30
"""A version for which there was no memory is not tried again for so long."""
SMOOTHING = 0.3


class _Refused(NamedTuple):
    error: DoesNotFit
    until: float


def identity(version: WholeVersion) -> str:
    """Tell versions apart by name, number and weights, for files may be replaced by hand."""
    manifest = version.manifest
    assert manifest is not None, f"{version.ref} is not whole"
    return f"{version.ref} {manifest.files[WEIGHTS].sha256}"


class Pool:
    """Loaded versions, each in every lane; thread-safe.

    Args:
        store: where weights are read, and told what cannot be loaded.
        batcher: the lanes' threads.
        calibrations: the numerics of the lanes' devices.
        budget_bytes: for all loaded versions together; the pinned one stays whatever it takes.
    """

    def __init__(
        self,
        store: ModelStore,
        batcher: Batcher,
        calibrations: Calibrations,
        budget_bytes: int,
    ) -> None:
        self._store = store
        self._batcher = batcher
        self._calibrations = calibrations
        self._budget = budget_bytes
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Painter] = OrderedDict()
        self._coming: dict[str, Future[Painter]] = {}
        self._refused: dict[str, _Refused] = {}
        self._pinned: str | None = None
        self._seconds = 0.0
        """What a load takes, in the mean."""
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader", initializer=_step_back)

    def get(self, version: WholeVersion) -> Painter | None:
        """Give a version's painter if it is loaded; counts as a use."""
        key = identity(version)
        with self._lock:
            if (painter := self._loaded.get(key)) is not None:
                self._loaded.move_to_end(key)
            return painter

    def has(self, version: WholeVersion) -> bool:
        """Tell whether a version is loaded; no use."""
        return identity(version) in self._loaded

    def load(self, version: WholeVersion) -> Future[Painter]:
        """Begin to load a version, unless it is loaded, on its way, or was found too large a moment ago.

        Returns:
            A future that others may wait for too, so do not cancel it. It ends in `VersionNotReady` where the version
            cannot be loaded, in `DoesNotFit` where there is no memory for it now.
        """
        key = identity(version)
        with self._lock:
            if (painter := self._loaded.get(key)) is not None:
                done: Future[Painter] = Future()
                done.set_result(painter)
                return done
            if (refused := self._refused.get(key)) is not None and time.monotonic() < refused.until:
                failed: Future[Painter] = Future()
                failed.set_exception(refused.error)
                return failed
            if key not in self._coming:
                self._coming[key] = self._loader.submit(self._load, key, version)
            return self._coming[key]

    def seconds_ahead(self) -> float:
        """Predict how long a load that begins now would wait for others."""
        return len(self._coming) * self._seconds

    def pin(self, version: WholeVersion) -> None:
        """Keep this version loaded, and let go of the one pinned before; it may take more than the others."""
        key = identity(version)
        if key != self._pinned:
            self._refused.pop(key, None)
        self._pinned = key

    def retain(self, wanted: Callable[[str], bool]) -> None:
        """Unload what `wanted` rejects by its `identity`, such as deleted versions."""
        with self._lock:
            for key in [key for key in self._loaded if not wanted(key)]:
                del self._loaded[key]

    def loaded(self) -> dict[str, int]:
        """List the loaded versions by reference, with the bytes each takes, least recently used first."""
        with self._lock:
            return {key.split()[0]: painter.bytes for key, painter in self._loaded.items()}

    def stop(self) -> None:
        """Drop loads that have not begun and wait for the one at hand."""
        self._loader.shutdown(cancel_futures=True)

    def _load(self, key: str, version: WholeVersion) -> Painter:
        started = time.monotonic()
        try:
            painter = self._build(key, version)
        except (DoesNotFit, MemoryError, torch.OutOfMemoryError) as error:
            # No fault of the version's: there may be room later. First, for what does not fit is not ready either.
            problem = error if isinstance(error, DoesNotFit) else _does_not_fit(version, "it does not fit into memory")
            self._refused[key] = _Refused(problem, time.monotonic() + RETRY_SECONDS)
            log.warning("%s", problem)
            raise problem from error
        except (VersionNotReady, Stopped):
            raise
        except Exception as error:
            reason = _reason(error)
            raise BrokenVersion(self._store.mark_broken(version, reason)) from error
        finally:
            with self._lock:
                del self._coming[key]
        self._refused.pop(key, None)
        self._seconds += SMOOTHING * (time.monotonic() - started - self._seconds)
        return painter

    def _build(self, key: str, version: WholeVersion) -> Painter:
        assert version.manifest is not None
        config: GeneratorConfig = version.manifest.generator
        weights = version.manifest.files[WEIGHTS].sha256
        known = self._calibrations.known(config, weights)
        self._make_room(config.parameters() * (FLOAT_BYTES if known is None else known.numerics.bytes), version)
        module = load_generator(self._store.read(version, version.manifest.first.weights), config)
        painter = self._calibrations.painter(module, config, weights, self._batcher.chore)
        self._make_room(painter.bytes, version)
        with self._lock:
            self._loaded[key] = painter
        log.info("%s is loaded: %d bytes, tiles %s", version.ref, painter.bytes, painter.sizes)
        return painter

    def _make_room(self, size: int, version: WholeVersion) -> None:
        """Evict the least recently used until `size` more bytes fit, and give a GPU's memory back to other processes.

        Raises:
            DoesNotFit: they would not even then; nothing is evicted.
        """
        self._evict(size, version)
        torch.cuda.empty_cache()

    def _evict(self, size: int, version: WholeVersion) -> None:
        with self._lock:
            pinned = self._loaded.get(self._pinned or "")
            fixed = pinned.bytes if pinned is not None else 0
            if fixed + size > self._budget and identity(version) != self._pinned:
                taken = f", of which the default model takes {fixed:,}" if fixed else ""
                raise _does_not_fit(version, f"it needs {size:,} bytes, of {self._budget:,} for loaded versions{taken}")
            used = sum(painter.bytes for painter in self._loaded.values())
            for old in [old for old in self._loaded if old != self._pinned]:
                if used + size <= self._budget:
                    return
                used -= self._loaded.pop(old).bytes
                log.info("%s makes room for %s", old.split()[0], version.ref)


def _does_not_fit(version: WholeVersion, reason: str) -> DoesNotFit:
    return DoesNotFit(version, reason, RETRY_SECONDS)


def _step_back() -> None:
    """Leave the cores to the lanes: a load may take its time. (On Linux, niceness is a thread's own.)"""
    torch.set_num_threads(1)
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Never up, which needs a privilege: the whole service may have been started with more niceness than this.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def _reason(error: Exception) -> str:
    """Say in a few words why a version cannot be loaded; what nobody foresaw goes to the log whole."""
    if isinstance(error, CheckpointError | CannotPaint):
        return f"cannot be loaded: {error}"
    log.error("unforeseen while loading a version", exc_info=error)
    return f"cannot be loaded: {type(error).__name__}: {error}"

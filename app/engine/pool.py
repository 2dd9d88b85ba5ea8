"""The pool of loaded versions: loaded and tested on a thread of their own, the least recently used evicted."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import torch

from app.engine.batcher import Batcher, Stopped
from app.engine.calibration import Calibrations, SelfTestFailed
from app.engine.runner import Runner
from models.store.base import ModelStore
from models.store.errors import BrokenVersion, DoesNotFit, VersionNotReady
from models.store.versions import WholeVersion
from models.store.weights import CheckpointError, load_generator

log = logging.getLogger(__name__)

FLOAT_BYTES = 4
NICENESS = 10
# A version for which there was no memory is not tried again for this long.
RETRY_SECONDS = 30
SMOOTHING = 0.3


class GeneratorKey(NamedTuple):
    """Identity of a loaded generator."""

    ref: str
    generator: str
    # Their sha256.
    weights: str


def key_of(version: WholeVersion, generator: str | None = None) -> GeneratorKey:
    """Return the key of one of a version's generators, None for its first."""
    manifest = version.manifest
    name = next(iter(manifest.generators)) if generator is None else generator
    return GeneratorKey(version.ref, name, manifest.files[manifest.generators[name].weights].sha256)


class _Refused(NamedTuple):
    error: DoesNotFit
    until: float


class ModelPool:
    """Loaded generators of versions, each for every worker. Thread-safe.

    Args:
        store: where weights are read; versions that cannot be loaded are marked there.
        batcher: the workers' threads.
        calibrations: the numerics of the workers' devices.
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
        self._loaded: OrderedDict[GeneratorKey, Runner] = OrderedDict()
        self._loading: dict[GeneratorKey, Future[Runner]] = {}
        self._refused: dict[GeneratorKey, _Refused] = {}
        self._pinned: GeneratorKey | None = None
        # Running mean of the time that a load takes.
        self._seconds = 0.0
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loader", initializer=_lower_priority)

    def get(self, version: WholeVersion, generator: str | None = None) -> Runner | None:
        """Return the runner of a generator, None for the first, if it is loaded; counts as a use."""
        key = key_of(version, generator)
        with self._lock:
            if (runner := self._loaded.get(key)) is not None:
                self._loaded.move_to_end(key)
            return runner

    def has(self, version: WholeVersion) -> bool:
        """Return whether a version's first generator is loaded."""
        return key_of(version) in self._loaded

    def peek(self, version: WholeVersion) -> Runner | None:
        """Return the runner of a version's first generator if it is loaded; does not count as a use."""
        return self._loaded.get(key_of(version))

    def load(self, version: WholeVersion, generator: str | None = None) -> Future[Runner]:
        """Start loading a generator, None for the version's first.

        Returns:
            A future that others may wait for too: do not cancel it. It raises `VersionNotReady` where the version
            cannot be loaded, `DoesNotFit` where there is no memory for it now.
        """
        # Nothing starts if the generator is loaded, is being loaded, or was found too large a moment ago.
        key = key_of(version, generator)
        with self._lock:
            if (runner := self._loaded.get(key)) is not None:
                done: Future[Runner] = Future()
                done.set_result(runner)
                return done
            if (refused := self._refused.get(key)) is not None and time.monotonic() < refused.until:
                failed: Future[Runner] = Future()
                failed.set_exception(refused.error)
                return failed
            if key not in self._loading:
                self._loading[key] = self._loader.submit(self._load, key, version)
            return self._loading[key]

    def seconds_ahead(self) -> float:
        return len(self._loading) * self._seconds

    def pin(self, version: WholeVersion) -> None:
        """Pin this version instead of the previous one: it is never evicted and may exceed the budget."""
        key = key_of(version)
        if key != self._pinned:
            self._refused.pop(key, None)
        self._pinned = key

    def retain(self, wanted: Callable[[GeneratorKey], bool]) -> None:
        """Unload the generators that `wanted` rejects, such as those of deleted versions."""
        with self._lock:
            for key in [key for key in self._loaded if not wanted(key)]:
                del self._loaded[key]

    def loaded(self) -> dict[str, int]:
        """Return the bytes that each loaded version takes, by reference, least recently used first."""
        with self._lock:
            sizes: Counter[str] = Counter()
            for key, runner in self._loaded.items():
                sizes[key.ref] += runner.bytes
            return dict(sizes)

    def stop(self) -> None:
        """Drop loads that have not begun and wait for the current one."""
        self._loader.shutdown(cancel_futures=True)

    def _load(self, key: GeneratorKey, version: WholeVersion) -> Runner:
        started = time.monotonic()
        try:
            runner = self._build(key, version)
        except (DoesNotFit, MemoryError, torch.OutOfMemoryError) as error:
            # Not the version's fault: there may be room later. Caught first, for `DoesNotFit` is a `VersionNotReady`.
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
                del self._loading[key]
        self._refused.pop(key, None)
        self._seconds += SMOOTHING * (time.monotonic() - started - self._seconds)
        return runner

    def _build(self, key: GeneratorKey, version: WholeVersion) -> Runner:
        entry = version.manifest.generators[key.generator]
        config = entry.config
        known = self._calibrations.known(config, key.weights)
        self._make_room(config.parameters() * (FLOAT_BYTES if known is None else known.numerics.bytes), version)
        module = load_generator(self._store.read(version, entry.weights), config)
        runner = self._calibrations.build_runner(module, config, key.weights, self._batcher.run_background)
        self._make_room(runner.bytes, version)
        with self._lock:
            self._loaded[key] = runner
        log.info("%s is loaded: %d bytes, batch sizes %s", version.ref, runner.bytes, runner.sizes)
        return runner

    def _make_room(self, size: int, version: WholeVersion) -> None:
        """Evict the least recently used versions until `size` more bytes fit.

        Raises:
            DoesNotFit: they do not fit even then; nothing was evicted.
        """
        self._evict(size, version)
        # torch keeps a GPU's freed memory, which the worker may need.
        torch.cuda.empty_cache()

    def _evict(self, size: int, version: WholeVersion) -> None:
        with self._lock:
            pinned = self._loaded.get(self._pinned) if self._pinned is not None else None
            fixed = pinned.bytes if pinned is not None else 0
            if fixed + size > self._budget and key_of(version) != self._pinned:
                taken = f", of which the default model takes {fixed:,}" if fixed else ""
                raise _does_not_fit(version, f"it needs {size:,} bytes, of {self._budget:,} for loaded versions{taken}")
            used = sum(runner.bytes for runner in self._loaded.values())
            for old in [old for old in self._loaded if old != self._pinned]:
                if used + size <= self._budget:
                    return
                used -= self._loaded.pop(old).bytes
                log.info("%s makes room for %s", old.ref, version.ref)


def _does_not_fit(version: WholeVersion, reason: str) -> DoesNotFit:
    return DoesNotFit(version, reason, RETRY_SECONDS)


def _lower_priority() -> None:
    # Loads are not urgent: the cores belong to the worker threads.
    torch.set_num_threads(1)
    # Elsewhere niceness is the whole process's.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Never up, which needs a privilege: the whole service may have been started with more niceness than this.
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


def _reason(error: Exception) -> str:
    """Return in a few words why a version cannot be loaded; log unexpected errors with their traceback."""
    if isinstance(error, CheckpointError | SelfTestFailed):
        return f"cannot be loaded: {error}"
    log.error("unexpected error while loading a version", exc_info=error)
    return f"cannot be loaded: {type(error).__name__}: {error}"

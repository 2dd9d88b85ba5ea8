"""Observers of the engine: it keeps no metrics itself."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Receives what happens for one model. Called from several threads at once; times are in seconds."""

    def queued(self, seconds: float) -> None:
        """A request got its first slot in a batch after this time."""

    def generated(self, images: int, slots: int, seconds: float) -> None:
        """A batch of so many slots, so many of them in use, took a worker thread this time."""

    def encoded(self, kind: str, seconds: float) -> None:
        """An encoder of this kind worked for this time."""


class _NullObserver:
    def queued(self, seconds: float) -> None: ...

    def generated(self, images: int, slots: int, seconds: float) -> None: ...

    def encoded(self, kind: str, seconds: float) -> None: ...


NULL_OBSERVER = _NullObserver()

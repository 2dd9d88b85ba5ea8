"""Observers of the engine, which keeps no metrics of its own."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    """Receives what happens for one model. Called from several threads at once; times are in seconds."""

    def queued(self, seconds: float) -> None:
        """A request waited this long for its first slot in a batch."""

    def generated(self, images: int, slots: int, seconds: float) -> None:
        """A worker thread took this long for a batch of `slots`, `images` of them in use."""

    def encoded(self, kind: str, seconds: float) -> None:
        """An encoder of this kind worked for this time."""


class _NullObserver:
    def queued(self, seconds: float) -> None: ...

    def generated(self, images: int, slots: int, seconds: float) -> None: ...

    def encoded(self, kind: str, seconds: float) -> None: ...


NULL_OBSERVER = _NullObserver()

"""Who is told how the engine fares: it counts nothing itself."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Is told what is done for one model. Called from several threads at once."""

    def queued(self, seconds: float) -> None:
        """Some images have got their first place in a tile after this time."""

    def painted(self, images: int, places: int, seconds: float) -> None:
        """A tile of so many places, filled with so many images, took a device's thread this time."""

    def encoded(self, kind: str, seconds: float) -> None:
        """An encoder of this kind was at work for this time."""


class Unwatched:
    """Tells nobody."""

    def queued(self, seconds: float) -> None:
        """Tell nobody."""

    def painted(self, images: int, places: int, seconds: float) -> None:
        """Tell nobody."""

    def encoded(self, kind: str, seconds: float) -> None:
        """Tell nobody."""


UNWATCHED = Unwatched()

"""Frames to WebP and GIF animations that loop for ever, or to MP4 films, while the frames are still being made.

Pillow's own writers collect every raw frame before they write the first. A time-lapse of 1042 x 1042 px would take
gigabytes so; here each frame is encoded when it comes, and only what is encoded is kept. The formats are modules of
their own.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal, Protocol

from models.pictures import gif, webp
from models.pictures.pixels import Pixels

AnimationFormat = Literal["webp", "gif", "mp4"]

_MP4_ENCODER = f"av {version('av')}"


class _Encoder(Protocol):
    def add(self, frame: Pixels) -> bytes: ...

    def end(self) -> bytes: ...


class Animation:
    """An animation in the making: hand on what `add` gives, then what `end` gives, and the file is whole.

    WebP begins with its own length, and comes whole from `end`; the others come as they are made. Frames in MP4 whose
    sides are odd grow by a row or a column. One thread at a time.

    Args:
        format: WebP and MP4 are lossy, GIF has 256 levels or colours per frame.
        fps: frames per second, 0.1 or more; GIF counts hundredths of a second and shows 50 at most.
        frames: how many will come, at least one.

    Raises:
        ValueError: no frames are to come.
    """

    def __init__(self, format: AnimationFormat, fps: float, frames: int) -> None:  # noqa: A002
        if frames < 1:
            raise ValueError("an animation needs at least one frame")
        self._encoder = _encoder(format, fps, frames)
        self._shape: tuple[int, ...] | None = None
        self._frames = frames
        self._count = 0

    def add(self, frame: Pixels) -> bytes:
        """Encode the next frame `[H, W, C]`; gives what of the file is final by then, maybe nothing.

        Raises:
            ValueError: it differs in size or channels from the first.
        """
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            raise ValueError(f"frame {self._count} is {_size(frame.shape)}, the first is {_size(self._shape)}")
        self._count += 1
        return self._encoder.add(frame)

    def end(self) -> bytes:
        """Give the rest of the file.

        Raises:
            ValueError: more or fewer frames came than were announced.
        """
        if self._count != self._frames:
            raise ValueError(f"{self._frames} frames were announced, and {self._count} came")
        return self._encoder.end()


def _encoder(format: AnimationFormat, fps: float, frames: int) -> _Encoder:  # noqa: A002
    match format:
        case "webp":
            return webp.WebP(fps)
        case "gif":
            return gif.Gif(fps)
        case "mp4":
            from models.pictures import mp4  # FFmpeg takes 50 ms to load: who makes no films does without

            return mp4.Mp4(fps, frames)


def animation_encoder(format: AnimationFormat) -> str:  # noqa: A002
    """Name what decides the bytes of an animation: others may write other bytes for the same frames."""
    match format:
        case "webp":
            return webp.ENCODER
        case "gif":
            return gif.ENCODER
        case "mp4":
            return _MP4_ENCODER


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]} px of {shape[2]} channels"

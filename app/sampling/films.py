"""Images as the frames of an animation or a film, encoded as they are painted."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

from app.engine.pieces import streaming_bytes
from app.sampling.orders import Order
from models.pictures import Animation, AnimationFormat, animation_encoder, grid

if TYPE_CHECKING:
    from app.engine.queue import Pictures
    from app.engine.sampler import Sampler

FILM_TYPES: dict[AnimationFormat, str] = {"webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4"}
STEP_PIXELS = 1 << 18
"""Frames of about so many pixels (5 to 10 ms) are encoded at a time, so that nobody waits long for a thread."""


@dataclass(frozen=True)
class Film:
    """One frame per image.

    Args:
        fps: frames per second.
        scale: whole-number enlargement.
    """

    format: AnimationFormat
    fps: float
    scale: int

    @property
    def media_type(self) -> str:
        """The answer's type."""
        return FILM_TYPES[self.format]

    @property
    def streamed(self) -> bool:
        """Whether the beginning is final before the end is there: a WebP begins with its length."""
        return self.format != "webp"

    def parts(self) -> tuple[object, ...]:
        """Give what decides the bytes."""
        return (animation_encoder(self.format), self.format, self.fps, self.scale)

    def held(self, order: Order) -> int:
        """Count the images, some frames inside the encoder (12 bytes a pixel), and the film twice, as if it were noise.

        Noise takes 1.2 bytes a pixel in grey WebP, 1.4 in grey GIF, 1.3 in colour, 0.5 in MP4. Of a film that is
        streamed no more than a second is there at once: MP4 comes in parts so long.
        """
        size, count, pixels = order.generator.size, order.subject.count, order.generator.pixels
        images = streaming_bytes(count, pixels) if order.streamed else count * pixels
        frames = min(count, max(self._step(size), ceil(self.fps))) if order.streamed else count
        return images + 12 * self.pixels(1, size) + 3 * self.pixels(frames, size)

    def length(self, order: Order) -> None:
        """Give no length: the encoder decides it."""

    async def pieces(self, order: Order, sampler: Sampler) -> AsyncGenerator[bytes]:
        """Paint images and encode each as soon as it is there."""
        run = partial(sampler.encode, order.version)
        animation = await run(partial(Animation, self.format, self.fps, order.subject.count), f"{self.format} begin", 1)
        step = self._step(order.generator.size)
        async with aclosing(sampler.images(order.version, order.source())) as painted:
            async for images in painted:
                for start in range(0, len(images), step):
                    work = partial(self._encoded, animation, part := images[start : start + step])
                    if data := await run(work, f"{self.format} frames", part.nbytes * self.scale**2):
                        yield data
        yield await run(animation.end, f"{self.format} end", order.subject.count)

    def pixels(self, frames: int, size: int) -> int:
        """Count the pixels of all frames together, for images of `size` x `size`."""
        return frames * (size * self.scale) ** 2

    def _step(self, size: int) -> int:
        return max(1, STEP_PIXELS // self.pixels(1, size))

    def _encoded(self, animation: Animation, images: Pictures) -> bytes:
        return b"".join([animation.add(grid(image[None], scale=self.scale)) for image in images])

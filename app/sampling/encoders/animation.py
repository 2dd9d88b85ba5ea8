"""Animations: images as the frames of a WebP, GIF or MP4, encoded as they are generated."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from math import ceil

from app.engine.chunks import stream_bytes
from app.engine.queue import Images
from app.sampling.plan import RenderPlan, RunEncoder
from models.config.values import ImageShape
from models.pictures import Animation, AnimationFormat, animation_encoder, grid

ANIMATION_TYPES: dict[AnimationFormat, str] = {"webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4"}
# About as many pixels (5 to 10 ms) are encoded at a time, so that nobody waits long for a thread.
STEP_PIXELS = 1 << 18


@dataclass(frozen=True)
class AnimationEncoder:
    """Encodes one frame per image.

    Args:
        fps: frames per second.
        scale: whole-number enlargement.
    """

    format: AnimationFormat
    fps: float
    scale: int

    @property
    def media_type(self) -> str:
        return ANIMATION_TYPES[self.format]

    @property
    def streams(self) -> bool:
        # A WebP begins with its length.
        return self.format != "webp"

    def etag_parts(self) -> tuple[object, ...]:
        return (animation_encoder(self.format), self.format, self.fps, self.scale)

    def peak_bytes(self, plan: RenderPlan) -> int:
        """Add up the images, the frames in the encoder, and twice the body or its largest part."""
        # Some frames in the encoder take 12 bytes a pixel. The body is bounded by that of noise: 1.2 bytes a pixel in
        # grey WebP, 1.4 in grey GIF, 1.3 in colour, 0.5 in MP4. Of a streamed body at most one second is in memory at
        # once: MP4 comes in parts of that length.
        shape, count = plan.images.generator.shape, len(plan.images)
        images = stream_bytes(count, shape.values) if plan.streamed else count * shape.values
        frames = min(count, max(self._step(shape), ceil(self.fps))) if plan.streamed else count
        return images + 12 * self.pixels(1, shape) + 3 * self.pixels(frames, shape)

    def content_length(self, plan: RenderPlan) -> None:  # noqa: ARG002  # the encoder decides it
        return None

    async def encode(self, plan: RenderPlan, images: AsyncGenerator[Images], run: RunEncoder) -> AsyncGenerator[bytes]:
        count = len(plan.images)
        animation = await run(partial(Animation, self.format, self.fps, count), f"{self.format} begin", 1)
        step = self._step(plan.images.generator.shape)
        async with aclosing(images):
            async for chunk in images:
                for start in range(0, len(chunk), step):
                    work = partial(self._encode, animation, part := chunk[start : start + step])
                    if data := await run(work, f"{self.format} frames", part.nbytes * self.scale**2):
                        yield data
        yield await run(animation.end, f"{self.format} end", count)

    def pixels(self, frames: int, shape: ImageShape) -> int:
        """Return the pixels of all frames together, for images of this shape."""
        return frames * shape.height * shape.width * self.scale**2

    def _step(self, shape: ImageShape) -> int:
        return max(1, STEP_PIXELS // self.pixels(1, shape))

    def _encode(self, animation: Animation, images: Images) -> bytes:
        return b"".join([animation.add(grid(image[None], scale=self.scale)) for image in images])

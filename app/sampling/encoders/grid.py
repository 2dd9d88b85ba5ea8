"""Grids: all images in one PNG, WebP or JPEG."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Literal

from app.engine.chunks import collect
from app.engine.queue import Images
from app.sampling.plan import RenderPlan, RunEncoder
from models import pictures
from models.config.values import ImageShape

GridFormat = Literal["png", "webp", "jpeg"]

GRID_TYPES: dict[GridFormat, str] = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
# Pictures up to this size (0.3 ms) are encoded on the event loop: waking a thread would take longer.
INLINE_BYTES: dict[GridFormat, int] = {"png": 1 << 16, "webp": 1 << 12, "jpeg": 1 << 14}


@dataclass(frozen=True)
class GridEncoder:
    """Encodes all images as one picture.

    Args:
        columns: images per row, at most as many as there are.
        scale: whole-number enlargement.
    """

    format: GridFormat
    columns: int
    scale: int

    streams = False

    @property
    def media_type(self) -> str:
        return GRID_TYPES[self.format]

    def etag_parts(self) -> tuple[object, ...]:
        return (pictures.ENCODER, self.format, self.columns, self.scale)

    def peak_bytes(self, plan: RenderPlan) -> int:
        """Add up the images, the picture, and the encoder's largest memory, as measured on noise."""
        height, width = self._size(plan)
        picture = height * width * plan.images.generator.channels
        # Pillow's WebP encoder takes 28 bytes a pixel, in colour always; the others a copy and their output.
        encoder = 30 * height * width if self.format == "webp" else 5 * picture // 2
        return plan.images.total_bytes + picture + encoder

    def content_length(self, plan: RenderPlan) -> None:  # noqa: ARG002  # not streamed
        return None

    async def encode(self, plan: RenderPlan, images: AsyncGenerator[Images], run: RunEncoder) -> AsyncGenerator[bytes]:
        array = await collect(images)
        height, width = self._size(plan)
        size = height * width * plan.images.generator.channels
        work = partial(self._encode, array, plan.png_text(0))
        yield await run(work, self.format, size, inline=size <= INLINE_BYTES[self.format])

    def check_size(self, count: int, shape: ImageShape, max_pixels: int) -> str | None:
        """Return why a picture of `count` images is too large; None if it is not."""
        height, width = pictures.grid_size(count, shape.height, shape.width, self.columns, self.scale)
        side_limit = pictures.side_limit(self.format)
        if height * width <= max_pixels and max(height, width) <= side_limit:
            return None
        return (
            f"a {self.format} of {width}x{height} px is too large "
            f"(at most {max_pixels:,} pixels, {side_limit:,} on a side)"
        )

    def _size(self, plan: RenderPlan) -> tuple[int, int]:
        height, width, _ = plan.images.generator.shape
        return pictures.grid_size(len(plan.images), height, width, self.columns, self.scale)

    def _encode(self, images: Images, text: dict[str, str]) -> bytes:
        return pictures.encode(pictures.grid(images, self.columns, self.scale), self.format, text)

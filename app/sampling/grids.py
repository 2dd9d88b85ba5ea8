"""Images as one picture: a grid in PNG, WebP or JPEG, and how large it may be."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from app.sampling.orders import Order
from models import pictures

if TYPE_CHECKING:
    from app.engine.queue import Pictures
    from app.engine.sampler import Sampler

GridFormat = Literal["png", "webp", "jpeg"]

GRID_TYPES: dict[GridFormat, str] = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
INLINE_BYTES: dict[GridFormat, int] = {"png": 1 << 16, "webp": 1 << 12, "jpeg": 1 << 14}
"""Pictures up to this size (0.3 ms) are encoded on the event loop: a thread would take longer to wake than that."""


@dataclass(frozen=True)
class Grid:
    """One picture of all images.

    Args:
        columns: images per row, at most as many as there are.
        scale: whole-number enlargement.
    """

    format: GridFormat
    columns: int
    scale: int

    streamed = False

    @property
    def media_type(self) -> str:
        """The answer's type."""
        return GRID_TYPES[self.format]

    def parts(self) -> tuple[object, ...]:
        """Give what decides the bytes."""
        return (pictures.ENCODER, self.format, self.columns, self.scale)

    def held(self, order: Order) -> int:
        """Count the images, the picture, and what its encoder takes at most, as measured on noise."""
        height, width = self._size(order)
        size = height * width * order.generator.channels
        # Pillow's WebP encoder takes 28 bytes a pixel, in colour always; the others a copy and their output.
        encoder = 30 * height * width if self.format == "webp" else 5 * size // 2
        return order.subject.count * order.generator.pixels + size + encoder

    def length(self, order: Order) -> None:
        """Give no length: the encoder decides it."""

    async def pieces(self, order: Order, sampler: Sampler) -> AsyncGenerator[bytes]:
        """Paint everything, then encode it."""
        images = await sampler.sample(order.version, order.source())
        height, width = self._size(order)
        size = height * width * order.generator.channels
        at_once = size <= INLINE_BYTES[self.format]
        work = partial(self._encoded, order, images)
        yield await sampler.encode(order.version, work, self.format, size, at_once=at_once)

    def too_large(self, n: int, size: int, max_pixels: int) -> str | None:
        """Say why a picture of `n` images of `size` x `size` is too large; None if it is not."""
        height, width = pictures.grid_size(n, size, size, self.columns, self.scale)
        side_limit = pictures.side_limit(self.format)
        if height * width <= max_pixels and max(height, width) <= side_limit:
            return None
        return (
            f"a {self.format} of {width}x{height} px is too large "
            f"(at most {max_pixels:,} pixels, {side_limit:,} on a side)"
        )

    def _size(self, order: Order) -> tuple[int, int]:
        return pictures.grid_size(
            order.subject.count, order.generator.size, order.generator.size, self.columns, self.scale
        )

    def _encoded(self, order: Order, images: Pictures) -> bytes:
        return pictures.encode(pictures.grid(images, self.columns, self.scale), self.format, order.text(0))

"""Chunks: large requests are generated and sent in parts, which bounds the memory for images and responses."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import numpy as np

from app.engine.queue import Images

CHUNK_BYTES = 4 << 20
# A chunk has about this size, in bytes or in images, and at least one batch.
CHUNK_IMAGES = 512
LARGEST_BATCH = 256
# Chunks of one request that are queued or generated at once: the device works while one is being sent.
CHUNKS_AHEAD = 2


def split(count: int, image_bytes: int, batch_size: int) -> Iterator[range]:
    """Split a request for `count` images into chunks of whole batches."""
    size = max(1, min(CHUNK_BYTES // image_bytes, CHUNK_IMAGES) // batch_size) * batch_size
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


async def collect(chunks: AsyncGenerator[Images]) -> Images:
    """Join all chunks, at least one, and close their generator."""
    async with aclosing(chunks):
        parts = [part async for part in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def stream_bytes(count: int, image_bytes: int) -> int:
    """Bound the memory of a request that is sent chunk by chunk, for any batch size."""
    chunk = min(count * image_bytes, max(CHUNK_BYTES, LARGEST_BATCH * image_bytes))
    # Beside the chunks ahead there is the one that is being sent: as images, and twice as bytes, made and on their way.
    return min(count * image_bytes, (CHUNKS_AHEAD + 1) * chunk) + 2 * chunk

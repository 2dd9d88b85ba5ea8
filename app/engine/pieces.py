"""How a large request is cut: into pieces that are painted and handed on one after another, so that neither it nor its
answer is ever in memory whole.
"""

from __future__ import annotations

from collections.abc import Iterator

PIECE_BYTES = 4 << 20
PIECE_IMAGES = 512
"""A piece is about this large, in bytes or in images, and at least one tile."""
LARGEST_TILE = 256
AHEAD = 2
"""Pieces of one request that wait or are painted at once: the device goes on while one is being handed on."""


def pieces(count: int, pixels: int, tile: int) -> Iterator[range]:
    """Cut a request for `count` images of `pixels` bytes into whole tiles' worths of about the size of a piece."""
    size = max(1, min(PIECE_BYTES // pixels, PIECE_IMAGES) // tile) * tile
    for start in range(0, count, size):
        yield range(start, min(start + size, count))


def streaming_bytes(count: int, pixels: int) -> int:
    """Bound the memory of a request that is handed on piece by piece, whatever the tile.

    Beside the pieces ahead there is the one that is handed on, as images and twice as bytes: just made, and on its way.
    """
    piece = min(count * pixels, max(PIECE_BYTES, LARGEST_TILE * pixels))
    return min(count * pixels, (AHEAD + 1) * piece) + 2 * piece

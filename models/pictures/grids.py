"""Grids of images like those of torchvision's `make_grid(padding=2, pad_value=0)`."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

PADDING = 2


def grid(images: Pixels, nrow: int | None = None, scale: int = 1) -> Pixels:
    """Arrange images in rows, with 2 px of black around each; one image alone has none.

    Args:
        images: `[n, H, W, C]`, at least one.
        nrow: images per row; floor(sqrt(n)) by default.
        scale: enlargement of the whole grid, by whole-number nearest neighbour.

    Returns:
        `[H', W', C]`, of the size that `grid_size` returns.

    Raises:
        ValueError: there are no images.
    """
    count = len(images)
    if count == 0:
        raise ValueError("a grid needs at least one image")
    return _enlarge(images[0] if count == 1 else _arrange(images, *_rows_and_columns(count, nrow)), scale)


def grid_size(n: int, height: int, width: int, nrow: int | None = None, scale: int = 1) -> tuple[int, int]:
    """Return the height and width in pixels of a grid of `n` (at least 1) images of `height` x `width`."""
    if n == 1:
        return height * scale, width * scale
    rows, columns = _rows_and_columns(n, nrow)
    return (rows * (height + PADDING) + PADDING) * scale, (columns * (width + PADDING) + PADDING) * scale


def _rows_and_columns(count: int, nrow: int | None) -> tuple[int, int]:
    columns = min(nrow or isqrt(count), count)
    return -(-count // columns), columns


def _arrange(images: Pixels, rows: int, columns: int) -> Pixels:
    count, height, width, channels = images.shape
    cell_height, cell_width = height + PADDING, width + PADDING
    canvas = np.zeros((rows * cell_height + PADDING, columns * cell_width + PADDING, channels), np.uint8)
    # A view of the canvas as [row, column, H, W, C], so that each pixel is copied once.
    cells = canvas[PADDING:, PADDING:].reshape(rows, cell_height, columns, cell_width, channels, copy=False)
    cells = cells[:, :height, :, :width].swapaxes(1, 2)
    full, rest = divmod(count, columns)
    cells[:full] = images[: count - rest].reshape(full, columns, height, width, channels)
    if rest:
        cells[full, :rest] = images[count - rest :]
    return canvas


def _enlarge(picture: Pixels, scale: int) -> Pixels:
    if scale == 1:
        return picture
    height, width, channels = picture.shape
    repeated = np.broadcast_to(picture[:, None, :, None], (height, scale, width, scale, channels))
    return repeated.reshape(height * scale, width * scale, channels)

"""How large requests are cut."""

from __future__ import annotations

import pytest

from app.engine.calibration import CANDIDATES
from app.engine.pieces import AHEAD, LARGEST_TILE, pieces, streaming_bytes

CASES = [(784, 64, 4096), (49152, 4, 4096), (784, 4, 3), (3 << 21, 8, 20), (3 << 16, LARGEST_TILE, 4096)]


@pytest.mark.parametrize(("pixels", "tile", "n"), CASES)
def test_pieces_are_whole_tiles_and_cover_everything(pixels: int, tile: int, n: int) -> None:
    cut = list(pieces(n, pixels, tile))
    assert [i for piece in cut for i in piece] == list(range(n))
    assert all(len(piece) % tile == 0 for piece in cut[:-1])


@pytest.mark.parametrize(("pixels", "tile", "n"), CASES)
def test_the_memory_of_a_stream_is_bounded_by_its_pieces(pixels: int, tile: int, n: int) -> None:
    largest = max(len(piece) for piece in pieces(n, pixels, tile)) * pixels
    assert min(n * pixels, (AHEAD + 1) * largest) + 2 * largest <= streaming_bytes(n, pixels) <= 3 * n * pixels


def test_no_tile_is_larger_than_the_bound_allows_for() -> None:
    assert max(CANDIDATES) <= LARGEST_TILE

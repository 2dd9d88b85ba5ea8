"""Large requests in chunks."""

from __future__ import annotations

import pytest

from app.engine.calibration import REFERENCE_SIZES
from app.engine.chunks import CHUNKS_AHEAD, LARGEST_BATCH, split, stream_bytes

CASES = [(784, 64, 4096), (49152, 4, 4096), (784, 4, 3), (3 << 21, 8, 20), (3 << 16, LARGEST_BATCH, 4096)]


@pytest.mark.parametrize(("pixels", "batch_size", "n"), CASES)
def test_chunks_are_whole_batches_and_cover_everything(pixels: int, batch_size: int, n: int) -> None:
    cut = list(split(n, pixels, batch_size))
    assert [i for chunk in cut for i in chunk] == list(range(n))
    assert all(len(chunk) % batch_size == 0 for chunk in cut[:-1])


@pytest.mark.parametrize(("pixels", "batch_size", "n"), CASES)
def test_the_memory_of_a_stream_is_bounded_by_its_chunks(pixels: int, batch_size: int, n: int) -> None:
    largest = max(len(chunk) for chunk in split(n, pixels, batch_size)) * pixels
    assert min(n * pixels, (CHUNKS_AHEAD + 1) * largest) + 2 * largest <= stream_bytes(n, pixels) <= 3 * n * pixels


def test_no_batch_is_larger_than_the_bound_allows_for() -> None:
    assert max(REFERENCE_SIZES) <= LARGEST_BATCH

"""Latents and labels from seed and index: the same values on every machine and in every batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.config.inputs import Latent

# Counter-based random numbers, Philox4x32-10 (Salmon et al. 2011, doi 10.1145/2063384.2063405), and our own Box-Muller
# transform: numpy guarantees the streams of its bit generators, but not of its normal distribution.
_ROUNDS = 10
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)

# The block for class labels: far beyond those of any latent.
_CLASS_BLOCK = 2**31
# Images per pass: larger arrays leave the cache (4,096 images of 100 values: 10.7 ms so, 14.5 ms in one pass).
_CHUNK = 256


def draw_latents(latent: Latent, seed: int | NDArray[np.uint64], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """Draw the latents of images, of one seed or each of its own.

    Args:
        seed: 0 to 2^63-1; or `[n]` of them.
        indices: `[n]`, each 0 to 2^63-1.

    Returns:
        float32 `[n, dim]`: each value N(0, 1), or uniform in [-1, 1].
    """
    result = np.empty((len(indices), latent.dim), np.float32)
    # A block gives four values; the excess of the last one is cut off.
    blocks = np.arange(-(-latent.dim // 4), dtype=np.uint64)
    transform = _box_muller if latent.prior == "normal" else _uniform
    for start in range(0, len(indices), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        drawn = philox(seed if isinstance(seed, int) else seed[chunk], indices[chunk], blocks)
        result[chunk] = transform(drawn)[:, : latent.dim]
    return result


def draw_labels(seed: int | NDArray[np.uint64], indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Draw a class label in 0 to `count` - 1 for each index, of one seed or each of its own: int64 `[n]`."""
    # The modulo favours small labels by less than count / 2^32.
    first = philox(seed, indices, np.array([_CLASS_BLOCK], np.uint64))[0][:, 0]
    return (first % np.uint64(count)).astype(np.int64)


def philox(
    seed: int | NDArray[np.uint64], indices: NDArray[np.int64], blocks: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], ...]:
    """Compute Philox4x32-10 with key = seed and counter = (block, 0, index low, index high).

    Args:
        seed: 0 to 2^63-1; or `[n]` of them.
        indices: `[n]`, each 0 to 2^63-1.
        blocks: `[b]`, each 0 to 2^32-1.

    Returns:
        The four words of each block, each uint64 `[n, b]` below 2^32.
    """
    index = indices.astype(np.uint64)[:, None]
    # 32-bit words in 64-bit ones, so that a product keeps its high half. The first rounds broadcast and cost nothing.
    a, b, c, d = blocks[None, :], np.zeros((1, 1), np.uint64), index & _LOW, index >> _HALF
    key = seed if isinstance(seed, int) else seed[:, None]
    key_a, key_b = key & 0xFFFFFFFF, key >> 32
    for _ in range(_ROUNDS):
        # High and low halves of two products, crossed, with the key added by xor.
        product_a, product_c = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b = (product_c >> _HALF) ^ b ^ np.uint64(key_a), product_c & _LOW
        c, d = (product_a >> _HALF) ^ d ^ np.uint64(key_b), product_a & _LOW
        key_a, key_b = (key_a + _WEYL[0]) & 0xFFFFFFFF, (key_b + _WEYL[1]) & 0xFFFFFFFF
    return a, b, c, d


# A word as a value in the open interval (0, 1): never 0, so that its logarithm is finite.
def _unit(word: NDArray[np.uint64]) -> NDArray[np.float64]:
    return (word.astype(np.float64) + 0.5) * 2.0**-32


def _box_muller(drawn: tuple[NDArray[np.uint64], ...]) -> NDArray[np.float64]:
    result = np.empty((*drawn[0].shape, 4))
    # Box and Muller 1958: two uniform values give two normal ones. In float64, so that rounding to float32 hides
    # differences between mathematical libraries.
    for pair in (0, 2):
        radius = np.sqrt(-2.0 * np.log(_unit(drawn[pair])))
        angle = (2.0 * np.pi) * _unit(drawn[pair + 1])
        result[..., pair] = radius * np.cos(angle)
        result[..., pair + 1] = radius * np.sin(angle)
    return result.reshape(len(result), -1)


def _uniform(drawn: tuple[NDArray[np.uint64], ...]) -> NDArray[np.float64]:
    result = 2.0 * _unit(np.stack(drawn, axis=-1)) - 1.0
    return result.reshape(len(result), -1)

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.config.inputs import Latent
from models.latents import draw_labels, draw_latents, philox

NORMAL = Latent(dim=100)
BLOCK_0 = np.array([0], np.uint64)

# The test vectors of the HTTP contract: seed, index, the words of block 0, the first values of z.
VECTORS = [
    (0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8", [0.9911377, -0.9246626, -0.617609, -0.4820686]),
    (7, 3, "97b356d9 1fb03c42 29a796e8 998b4610", [0.728884, 0.7178203, -1.543246, -1.117998]),
    (2**63 - 1, 4095, "58adc176 70aa78e8 d8ffe735 770b81e5", [-1.354216, 0.5351762, -0.5611153, 0.1253525]),
]


def at(*indices: int) -> NDArray[np.int64]:
    return np.array(indices, np.int64)


@pytest.mark.parametrize(("seed", "index", "expected", "z"), VECTORS)
def test_contract_vectors_are_met(seed: int, index: int, expected: str, z: list[float]) -> None:
    assert " ".join(f"{int(word[0, 0]):08x}" for word in philox(seed, at(index), BLOCK_0)) == expected
    # The contract prints seven digits, which is less than float32 holds.
    assert [float(f"{value:.7g}") for value in draw_latents(NORMAL, seed, at(index))[0, :4]] == z


def test_the_published_philox_vectors_are_met() -> None:
    # Random123's known answers for philox4x32-10 with counter and key all zero; its all-ones one cannot be a seed.
    assert [int(word[0, 0]) for word in philox(0, at(0), BLOCK_0)] == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


def test_a_transcription_in_plain_integers_agrees() -> None:
    def transcription(counter: list[int], key: list[int]) -> list[int]:
        for _ in range(10):
            high_a, low_a = divmod(counter[0] * 0xD2511F53, 2**32)
            high_c, low_c = divmod(counter[2] * 0xCD9E8D57, 2**32)
            counter = [high_c ^ counter[1] ^ key[0], low_c, high_a ^ counter[3] ^ key[1], low_a]
            key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
        return counter

    rng = np.random.default_rng(0)
    for seed, index, block in zip(
        rng.integers(0, 2**63, 50), rng.integers(0, 2**63, 50), rng.integers(0, 2**32, 50), strict=True
    ):
        ours = [int(word[0, 0]) for word in philox(int(seed), at(index), np.array([block], np.uint64))]
        low, high = int(index) % 2**32, int(index) // 2**32
        assert ours == transcription([int(block), 0, low, high], [int(seed) % 2**32, int(seed) // 2**32])


def test_an_image_has_the_same_latent_whatever_else_is_drawn() -> None:
    together = draw_latents(NORMAL, 5, np.arange(1000, dtype=np.int64))
    assert together.shape == (1000, 100)
    assert together.dtype == np.float32
    for index in (0, 255, 256, 999):
        assert np.array_equal(draw_latents(NORMAL, 5, at(index))[0], together[index])


def test_images_of_many_seeds_are_those_that_each_seed_draws() -> None:
    seeds = np.array([0, 7, 2**63 - 1] * 100, np.uint64)
    together = draw_latents(NORMAL, seeds, np.arange(300, dtype=np.int64))
    for place in (0, 1, 2, 255, 256, 299):
        assert np.array_equal(draw_latents(NORMAL, int(seeds[place]), at(place))[0], together[place])
        assert draw_labels(int(seeds[place]), at(place), 10)[0] == draw_labels(seeds, np.arange(300), 10)[place]


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 64])
def test_a_shorter_latent_is_the_beginning_of_a_longer_one(dim: int) -> None:
    assert np.array_equal(draw_latents(Latent(dim=dim), 1, at(0, 9)), draw_latents(NORMAL, 1, at(0, 9))[:, :dim])


def test_no_indices_give_no_latents() -> None:
    assert draw_latents(NORMAL, 0, at()).shape == (0, 100)


def test_seeds_and_indices_differ_from_each_other() -> None:
    drawn = np.concatenate(
        [draw_latents(NORMAL, seed, np.arange(64, dtype=np.int64)) for seed in (0, 1, 2**32, 2**63 - 1)]
    )
    assert len(np.unique(drawn[:, 0])) == len(drawn)


def test_normal_values_have_the_moments_of_a_normal_distribution() -> None:
    z = draw_latents(NORMAL, 11, np.arange(4096, dtype=np.int64)).astype(np.float64)
    assert abs(z.mean()) < 0.01
    assert abs(z.var() - 1) < 0.01
    assert abs((z**4).mean() - 3) < 0.05
    assert abs(np.corrcoef(z[:, 0], z[:, 1])[0, 1]) < 0.06


def test_uniform_values_fill_their_range_from_the_same_words() -> None:
    uniform = Latent(dim=100, prior="uniform")
    z = draw_latents(uniform, 7, np.arange(4096, dtype=np.int64))
    assert np.abs(z).max() <= 1
    assert abs(z.mean()) < 0.005
    assert abs(z.var() - 1 / 3) < 0.005
    first = (0x97B356D9 + 0.5) / 2**32
    assert draw_latents(uniform, 7, at(3))[0, 0] == np.float32(2 * first - 1)


def test_class_labels_cover_all_classes_and_do_not_depend_on_their_neighbours() -> None:
    labels = draw_labels(3, np.arange(1000, dtype=np.int64), 10)
    assert set(labels.tolist()) == set(range(10))
    assert draw_labels(3, at(17), 10)[0] == labels[17]
    first_word = int(philox(3, at(17), np.array([2**31], np.uint64))[0][0, 0])
    assert labels[17] == first_word % 10

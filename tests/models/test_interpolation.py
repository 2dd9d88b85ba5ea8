from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.config.inputs import Latent
from models.interpolation import interpolate
from models.latents import draw_latents

NORMAL, UNIFORM = Latent(dim=100), Latent(dim=100, prior="uniform")


def ends(latent: Latent, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    indices = np.arange(count, dtype=np.int64)
    return draw_latents(latent, 1, indices), draw_latents(latent, 2, indices)


def steps(count: int, t: float) -> NDArray[np.float64]:
    return np.full(count, t)


@pytest.mark.parametrize("latent", [NORMAL, UNIFORM, Latent(dim=1), Latent(dim=3, prior="uniform")])
def test_both_ends_are_exact(latent: Latent) -> None:
    a, b = ends(latent, 500)
    assert np.array_equal(interpolate(latent, a, b, steps(500, 0.0)).astype(np.float32), a)
    assert np.array_equal(interpolate(latent, a, b, steps(500, 1.0)).astype(np.float32), b)


def test_the_angle_grows_evenly_and_the_length_stays() -> None:
    a = np.array([[3.0, 0.0, 0.0]]).repeat(5, axis=0)
    b = np.array([[0.0, 3.0, 0.0]]).repeat(5, axis=0)
    way = interpolate(Latent(dim=3), a, b, np.linspace(0, 1, 5))
    assert np.allclose(np.degrees(np.arctan2(way[:, 1], way[:, 0])), [0, 22.5, 45, 67.5, 90])
    assert np.allclose(np.linalg.norm(way, axis=1), 3)


@pytest.mark.parametrize(("latent", "variance"), [(NORMAL, 1.0), (UNIFORM, 1 / 3)])
@pytest.mark.parametrize("t", [0.1, 0.5, 0.8])
def test_latents_on_the_way_are_as_typical_as_the_ends(latent: Latent, variance: float, t: float) -> None:
    a, b = ends(latent, 2000)
    way = interpolate(latent, a, b, steps(2000, t))
    assert abs(way.mean()) < 0.01
    assert abs(way.var() / variance - 1) < 0.02
    if latent.prior == "uniform":
        assert np.abs(way).max() <= 1
        counts, _ = np.histogram(way, bins=10, range=(-1, 1))
        assert np.abs(counts / way.size - 0.1).max() < 0.003


@pytest.mark.parametrize("latent", [NORMAL, UNIFORM])
def test_between_equal_latents_nothing_moves(latent: Latent) -> None:
    a, _ = ends(latent, 11)
    assert np.allclose(interpolate(latent, a, a, np.linspace(0, 1, 11)), a, rtol=1e-12)


@pytest.mark.parametrize("other", [[-1.0, 0.0], [2.0, 0.0], [0.0, 0.0]])
def test_between_latents_on_one_line_every_step_is_finite(other: list[float]) -> None:
    a, b = np.array([[1.0, 0.0]]).repeat(9, axis=0), np.array([other]).repeat(9, axis=0)
    way = interpolate(Latent(dim=2), a, b, np.linspace(0, 1, 9))
    assert np.isfinite(way).all()
    assert np.array_equal(way[[0, 8]], [a[0], b[0]])
    assert np.abs(np.diff(way[:, 0])).max() < 0.3


@pytest.mark.parametrize("latent", [NORMAL, UNIFORM])
def test_a_step_does_not_depend_on_its_neighbours(latent: Latent) -> None:
    a, b = ends(latent, 97)
    t = np.linspace(0, 1, 97)
    whole = interpolate(latent, a, b, t)
    for start, stop in ((0, 1), (5, 6), (5, 13), (31, 97)):
        assert np.array_equal(interpolate(latent, a[start:stop], b[start:stop], t[start:stop]), whole[start:stop])

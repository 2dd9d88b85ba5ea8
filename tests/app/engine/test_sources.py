from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.engine.inputs import Inputs, Seeded, Source
from app.engine.sources import Between, Loop, PerClass, Sweep
from tests.fixtures.models import TINY_CONDITIONAL, TINY_MLP

UNIFORM = TINY_MLP.model_copy(update={"latent": TINY_MLP.latent.model_copy(update={"prior": "uniform"})})
SOURCES: list[Source] = [
    Between(TINY_MLP, (1, 2), 3, 7),
    Between(UNIFORM, (1, 2, 3, 4), 5, 4, psi=0.7),
    Between(TINY_CONDITIONAL, (1, 2, 3, 4), 5, 4),
    Loop(TINY_CONDITIONAL, (5, 6, 7), 20),
    Loop(TINY_MLP, (5, 6), 9, psi=0.5),
    PerClass(TINY_CONDITIONAL, 8, 5),
    Sweep(TINY_CONDITIONAL, 9, 4, (0.0, 0.5, 1.0)),
]


def whole(source: Source) -> Inputs:
    return source.inputs(0, len(source))


def alone(source: Source, seed: int, index: int = 0, psi: float = 1.0) -> Inputs:
    """The inputs of an image as `/samples` paints it."""
    return Seeded(source.generator, seed, range(index, index + 1), psi).inputs(0, 1)  # type: ignore[attr-defined]


def assert_is(inputs: Inputs, place: int, expected: Inputs) -> None:
    assert np.array_equal(inputs.z[place], expected.z[0])
    if expected.labels is not None:
        assert inputs.labels is not None
        assert inputs.labels[place] == expected.labels[0]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_an_image_has_the_same_inputs_whatever_piece_it_is_made_in(source: Source) -> None:
    together = whole(source)
    assert (together.z.dtype, len(together)) == (np.dtype(np.float32), len(source))
    for start, stop in ((0, 1), (3, 4), (2, 9), (len(source) - 1, len(source))):
        piece, part = source.inputs(start, stop), together.part(start, stop)
        assert np.array_equal(piece.z, part.z)
        assert (piece.labels is None) == (part.labels is None)
        if piece.labels is not None and part.labels is not None:
            assert np.array_equal(piece.labels, part.labels)


@pytest.mark.parametrize("psi", [1.0, 0.3])
@pytest.mark.parametrize("generator", [TINY_MLP, UNIFORM, TINY_CONDITIONAL])
def test_corners_are_image_0_of_their_seeds(generator: object, psi: float) -> None:
    source = replace(SOURCES[1], generator=generator, psi=psi)  # type: ignore[type-var]
    inputs = whole(source)
    for place, seed in zip((0, 3, 16, 19), (1, 2, 3, 4), strict=True):
        assert_is(inputs, place, alone(source, seed, psi=psi))


def test_between_two_seeds_each_row_leads_from_its_image_of_one_to_that_of_the_other() -> None:
    source = SOURCES[0]
    for row in range(3):
        assert_is(whole(source), 7 * row, alone(source, 1, row))
        assert_is(whole(source), 7 * row + 6, alone(source, 2, row))


def test_a_loop_passes_each_seed_at_the_same_pace_and_closes() -> None:
    source = Loop(TINY_MLP, (5, 6, 7), 30)
    z = whole(source).z.astype(np.float64)
    for leg, seed in enumerate((5, 6, 7)):
        assert_is(whole(source), 10 * leg, alone(source, seed))
    steps = np.linalg.norm(np.roll(z, -1, axis=0) - z, axis=1)
    assert steps.min() > 0.05
    assert steps[29] < 3 * np.median(steps)


def test_the_seed_that_is_nearer_gives_the_class() -> None:
    source = Loop(TINY_CONDITIONAL, (5, 6, 7), 30)
    seeds = [alone(source, seed).labels for seed in (5, 6, 7)]
    labels = whole(source).labels
    assert labels is not None
    assert labels.tolist() == np.repeat([*seeds, seeds[0]], [6, 10, 10, 4]).tolist()


@pytest.mark.parametrize("source", [SOURCES[2], SOURCES[3], SOURCES[6]], ids=lambda source: type(source).__name__)
def test_a_class_that_is_asked_for_is_every_images(source: Source) -> None:
    labels = whole(replace(source, label=2)).labels  # type: ignore[type-var]
    assert labels is not None
    assert (labels == 2).all()


def test_each_class_has_a_row_of_the_same_latents() -> None:
    inputs = whole(SOURCES[5])
    assert inputs.labels is not None
    assert inputs.labels.tolist() == [0] * 5 + [1] * 5 + [2] * 5
    expected = Seeded(TINY_CONDITIONAL, 8, range(5)).inputs(0, 5).z
    assert np.array_equal(inputs.z.reshape(3, 5, -1), np.stack([expected] * 3))


def test_a_column_of_a_sweep_is_what_samples_paints_at_that_psi() -> None:
    source = SOURCES[6]
    for row in range(4):
        for column, psi in enumerate((0.0, 0.5, 1.0)):
            assert_is(whole(source), 3 * row + column, alone(source, 9, row, psi))

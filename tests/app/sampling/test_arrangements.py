"""Images between seeds, across classes, over truncations, along a loop."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from app.sampling import arrangements
from app.sampling.arrangements import Arrangement, Between, LoopPath, PerClass, PsiSweep
from app.sampling.images import SeedImages
from models.inputs import Inputs
from tests.fixtures.models import TINY_CONDITIONAL, TINY_MLP

UNIFORM = TINY_MLP.model_copy(update={"latent": TINY_MLP.latent.model_copy(update={"prior": "uniform"})})
SOURCES: list[Arrangement] = [
    Between(TINY_MLP, (1, 2), 3, 7),
    Between(UNIFORM, (1, 2, 3, 4), 5, 4, psi=0.7),
    Between(TINY_CONDITIONAL, (1, 2, 3, 4), 5, 4),
    LoopPath(TINY_CONDITIONAL, (5, 6, 7), 20),
    LoopPath(TINY_MLP, (5, 6), 9, psi=0.5),
    PerClass(TINY_CONDITIONAL, (8,), 5),
    PsiSweep(TINY_CONDITIONAL, (9,), 4, (0.0, 0.5, 1.0)),
]


def whole(source: Arrangement) -> Inputs:
    return source.inputs(0, len(source))


def alone(source: Arrangement, seed: int, index: int = 0, psi: float = 1.0) -> Inputs:
    """Return the inputs of an image as `/samples` generates it."""
    return SeedImages(source.generator, seed, index + 1, psi).inputs(index, index + 1)


def assert_is(inputs: Inputs, place: int, expected: Inputs) -> None:
    assert list(inputs.arrays) == list(expected.arrays)
    for name, array in expected.arrays.items():
        assert np.array_equal(inputs[name][place], array[0])


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_an_image_has_the_same_inputs_whatever_chunk_it_is_made_in(source: Arrangement) -> None:
    together = whole(source)
    assert (together["z"].dtype, len(together)) == (np.dtype(np.float32), len(source))
    for start, stop in ((0, 1), (3, 4), (2, 9), (len(source) - 1, len(source))):
        chunk, part = source.inputs(start, stop), together.slice(start, stop)
        assert list(chunk.arrays) == list(part.arrays)
        for name, array in part.arrays.items():
            assert np.array_equal(chunk[name], array)


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
    source = LoopPath(TINY_MLP, (5, 6, 7), 30)
    z = whole(source)["z"].astype(np.float64)
    for leg, seed in enumerate((5, 6, 7)):
        assert_is(whole(source), 10 * leg, alone(source, seed))
    steps = np.linalg.norm(np.roll(z, -1, axis=0) - z, axis=1)
    assert steps.min() > 0.05
    assert steps[29] < 3 * np.median(steps)


def test_the_seed_that_is_nearer_gives_the_class() -> None:
    source = LoopPath(TINY_CONDITIONAL, (5, 6, 7), 30)
    seeds = [alone(source, seed)["label"] for seed in (5, 6, 7)]
    labels = whole(source)["label"]
    assert labels.tolist() == np.repeat([*seeds, seeds[0]], [6, 10, 10, 4]).tolist()


@pytest.mark.parametrize("source", [SOURCES[2], SOURCES[3], SOURCES[6]], ids=lambda source: type(source).__name__)
def test_a_requested_class_is_that_of_every_image(source: Arrangement) -> None:
    labels = whole(replace(source, label=2))["label"]  # type: ignore[type-var]
    assert (labels == 2).all()


def test_each_class_has_a_row_of_the_same_latents() -> None:
    inputs = whole(SOURCES[5])
    assert inputs["label"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    expected = SeedImages(TINY_CONDITIONAL, 8, 5).inputs(0, 5)["z"]
    assert np.array_equal(inputs["z"].reshape(3, 5, -1), np.stack([expected] * 3))


def test_a_column_of_a_sweep_is_what_samples_generates_at_that_psi() -> None:
    source = SOURCES[6]
    for row in range(4):
        for column, psi in enumerate((0.0, 0.5, 1.0)):
            assert_is(whole(source), 3 * row + column, alone(source, 9, row, psi))


CLASSES = ("a", "b", "c")
LISTED = [
    Between(TINY_CONDITIONAL, (1, 2), 3, 4),
    Between(TINY_CONDITIONAL, (1, 2, 3, 4), 3, 4),
    LoopPath(TINY_CONDITIONAL, (1, 2, 3), 12),
    PerClass(TINY_CONDITIONAL, (1,), 4),
    PsiSweep(TINY_CONDITIONAL, (1,), 3, (0.0, 0.5, 0.7, 1.0)),
]


@pytest.mark.parametrize("images", LISTED, ids=lambda images: type(images).__name__)
def test_the_index_names_classes_without_drawing_a_latent(images: Arrangement, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = images.inputs(0, 12)["label"]

    def drawn(*_: object) -> None:
        raise AssertionError("a latent was drawn")

    monkeypatch.setattr(arrangements, "draw_latents", drawn)
    monkeypatch.setattr(arrangements, "make_inputs", drawn)
    listed = json.loads(images.index_json("petals@1", [str(index) for index in range(12)], CLASSES))["images"]
    assert [image["class"] for image in listed] == [CLASSES[label] for label in labels]
    columns = images.row_length()
    assert [[image["row"], image["column"]] for image in listed] == [list(divmod(i, columns)) for i in range(12)]

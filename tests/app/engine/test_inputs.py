"""What is drawn for the images of a seed."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from app.engine.inputs import Inputs, Seeded
from models.config.inputs import Latent
from models.latents import classes
from tests.fixtures.models import TINY_MLP

CONDITIONAL = TINY_MLP.model_copy(update={"classes": 5})


def test_a_plain_generator_gets_no_labels() -> None:
    assert Seeded(TINY_MLP, 7, range(3)).inputs(0, 3).labels is None


def test_labels_are_drawn_from_the_seed_image_by_image() -> None:
    source = Seeded(CONDITIONAL, 7, range(10, 40))
    labels = source.inputs(0, 30).labels
    assert labels is not None
    assert np.array_equal(labels, classes(7, np.arange(10, 40), 5))
    assert set(labels) == set(range(5))
    part = source.inputs(4, 9).labels
    assert part is not None
    assert np.array_equal(part, labels[4:9])


def test_a_class_that_is_asked_for_is_every_images() -> None:
    labels = Seeded(CONDITIONAL, 7, range(3), label=4).inputs(1, 3).labels
    assert labels is not None
    assert labels.dtype == np.int64
    assert labels.tolist() == [4, 4]


def test_labels_go_along_when_inputs_are_cut_and_joined() -> None:
    inputs = Seeded(CONDITIONAL, 7, range(6)).inputs(0, 6)
    joined = Inputs.joined([inputs.part(3, 6), inputs.part(0, 3)])
    assert inputs.labels is not None
    assert joined.labels is not None
    assert np.array_equal(joined.labels, np.roll(inputs.labels, 3))


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_truncation_shrinks_latents_towards_0_and_1_changes_no_byte(prior: Literal["normal", "uniform"]) -> None:
    config = CONDITIONAL.model_copy(update={"latent": Latent(dim=16, prior=prior)})
    plain = Seeded(config, 7, range(9)).inputs(0, 9)
    assert plain.labels is not None
    for psi in (1.0, 0.5, 0.0, 2.0):
        shrunk = Seeded(config, 7, range(9), psi).inputs(0, 9)
        assert shrunk.z.dtype == np.float32
        assert shrunk.z.tobytes() == (plain.z * np.float32(psi)).tobytes()
        assert shrunk.labels is not None
        assert np.array_equal(shrunk.labels, plain.labels)

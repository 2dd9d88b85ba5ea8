"""The images of one seed."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pytest

from app.sampling.images import SeedImages
from models.config.inputs import Latent
from models.latents import draw_labels
from tests.fixtures.models import TINY_MLP

CONDITIONAL = TINY_MLP.model_copy(update={"classes": 5})


def test_a_plain_generator_gets_no_labels() -> None:
    images = SeedImages(TINY_MLP, 7, 3)
    assert list(images.inputs(0, 3).arrays) == ["z"]
    assert images.labels(0, 3) is None


def test_labels_are_drawn_from_the_seed_image_by_image() -> None:
    images = SeedImages(CONDITIONAL, 7, 40)
    labels = images.inputs(10, 40)["label"]
    assert np.array_equal(labels, draw_labels(7, np.arange(10, 40), 5))
    assert set(labels) == set(range(5))
    assert np.array_equal(images.inputs(14, 19)["label"], labels[4:9])
    assert np.array_equal(images.labels(10, 40), labels)  # type: ignore[arg-type]


def test_a_requested_class_is_that_of_every_image() -> None:
    labels = SeedImages(CONDITIONAL, 7, 3, label=4).inputs(1, 3)["label"]
    assert labels.dtype == np.int64
    assert labels.tolist() == [4, 4]


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_truncation_shrinks_latents_towards_0_and_1_changes_no_byte(prior: Literal["normal", "uniform"]) -> None:
    config = CONDITIONAL.model_copy(update={"latent": Latent(dim=16, prior=prior)})
    plain = SeedImages(config, 7, 9).inputs(0, 9)
    for psi in (1.0, 0.5, 0.0, 2.0):
        shrunk = SeedImages(config, 7, 9, psi).inputs(0, 9)
        assert shrunk["z"].dtype == np.float32
        assert shrunk["z"].tobytes() == (plain["z"] * np.float32(psi)).tobytes()
        assert np.array_equal(shrunk["label"], plain["label"])


def test_the_index_names_each_images_file_place_and_class() -> None:
    images = SeedImages(CONDITIONAL, 7, 3, psi=0.5)
    index = json.loads(images.index_json("digits@1", ["a.png", "b.png", "c.png"], "vwxyz"))
    assert {key: index[key] for key in ("model", "seed", "psi")} == {"model": "digits@1", "seed": 7, "psi": 0.5}
    labels = images.inputs(0, 3)["label"]
    assert index["images"] == [
        {"file": f"{'abc'[i]}.png", "seed": 7, "index": i, "class": "vwxyz"[labels[i]]} for i in range(3)
    ]

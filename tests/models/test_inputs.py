"""Inputs of generators: declared by configurations, drawn from seeds, sliced, joined and padded."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from models.config.inputs import FixedOutput, ImageInput, LabelInput, Latent, LatentInput
from models.inputs import Inputs, make_inputs, truncate
from models.latents import draw_labels, draw_latents
from tests.fixtures.models import TINY_DCGAN, TINY_MLP

CONDITIONAL = TINY_MLP.model_copy(update={"classes": 5})


def test_a_generator_declares_its_inputs_and_its_output() -> None:
    assert TINY_MLP.inputs == {"z": LatentInput(dim=16)}
    assert CONDITIONAL.inputs == {"z": LatentInput(dim=16), "label": LabelInput(classes=5)}
    assert TINY_DCGAN.output == FixedOutput(height=28, width=28, channels=3)


def test_a_plain_generator_gets_no_labels() -> None:
    assert list(make_inputs(TINY_MLP.inputs, 7, np.arange(3)).arrays) == ["z"]


def test_latents_and_labels_are_drawn_from_the_seed_image_by_image() -> None:
    inputs = make_inputs(CONDITIONAL.inputs, 7, np.arange(10, 40))
    assert np.array_equal(inputs["z"], draw_latents(CONDITIONAL.latent, 7, np.arange(10, 40)))
    assert np.array_equal(inputs["label"], draw_labels(7, np.arange(10, 40), 5))
    assert set(inputs["label"]) == set(range(5))
    part = make_inputs(CONDITIONAL.inputs, 7, np.arange(14, 19))
    assert np.array_equal(part["z"], inputs["z"][4:9])
    assert np.array_equal(part["label"], inputs["label"][4:9])


def test_each_image_may_have_a_seed_of_its_own() -> None:
    inputs = make_inputs(CONDITIONAL.inputs, np.array([3, 9], np.uint64), np.array([0, 4]))
    for place, (seed, index) in enumerate([(3, 0), (9, 4)]):
        alone = make_inputs(CONDITIONAL.inputs, seed, np.array([index]))
        assert all(np.array_equal(alone[name][0], inputs[name][place]) for name in ("z", "label"))


def test_a_class_that_is_asked_for_is_every_images() -> None:
    labels = make_inputs(CONDITIONAL.inputs, 7, np.arange(2), label=4)["label"]
    assert labels.dtype == np.int64
    assert labels.tolist() == [4, 4]


def test_each_image_may_have_a_class_of_its_own() -> None:
    wanted = np.array([3, 0, 2])
    assert make_inputs(CONDITIONAL.inputs, 7, np.arange(3), label=wanted)["label"].tolist() == [3, 0, 2]


def test_an_image_cannot_be_drawn_from_a_seed() -> None:
    with pytest.raises(ValueError, match='"image" is of kind image, which cannot be drawn'):
        make_inputs({"image": ImageInput(channels=3)}, 7, np.arange(1))


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_truncation_shrinks_latents_towards_0_and_1_changes_no_byte(prior: Literal["normal", "uniform"]) -> None:
    config = CONDITIONAL.model_copy(update={"latent": Latent(dim=16, prior=prior)})
    plain = make_inputs(config.inputs, 7, np.arange(9))
    for psi in (1.0, 0.5, 0.0, 2.0):
        shrunk = make_inputs(config.inputs, 7, np.arange(9), psi=psi)
        assert shrunk["z"].dtype == np.float32
        assert shrunk["z"].tobytes() == (plain["z"] * np.float32(psi)).tobytes()
        assert np.array_equal(shrunk["label"], plain["label"])


def test_each_image_may_have_a_truncation_of_its_own() -> None:
    psi = np.array([1, 0.5, 0], np.float32)
    shrunk = make_inputs(TINY_MLP.inputs, 7, np.arange(3), psi=psi)["z"]
    for place, each in enumerate(psi):
        alone = make_inputs(TINY_MLP.inputs, 7, np.array([place]), psi=float(each))["z"]
        assert shrunk[place].tobytes() == alone.tobytes()


def test_latents_are_rounded_before_they_are_truncated() -> None:
    z = np.array([[1 / 3]])
    assert truncate(z, 0.7).tobytes() == (z.astype(np.float32) * np.float32(0.7)).tobytes()


def test_slices_are_views_and_can_be_joined_again() -> None:
    inputs = make_inputs(CONDITIONAL.inputs, 7, np.arange(6))
    first, rest = inputs.slice(0, 2), inputs.slice(2, 6)
    assert all(np.shares_memory(first[name], inputs[name]) for name in inputs.arrays)
    joined = Inputs.concatenate([rest, first])
    assert len(joined) == 6
    assert all(np.array_equal(joined[name], np.roll(inputs[name], -2, axis=0)) for name in inputs.arrays)
    assert Inputs.concatenate([first]) is first


def test_padding_is_zeros_behind() -> None:
    inputs = make_inputs(CONDITIONAL.inputs, 7, np.arange(2))
    padded = inputs.pad(5)
    assert len(padded) == 5
    for name in inputs.arrays:
        assert padded[name].dtype == inputs[name].dtype
        assert np.array_equal(padded[name][:2], inputs[name])
        assert not padded[name][2:].any()
    assert inputs.pad(2) is inputs

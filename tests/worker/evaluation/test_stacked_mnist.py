from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.datasets.catalogue import DatasetProblem
from tests.fixtures.models import TINY_CONDITIONAL, write_version
from worker.data.builtin import stacked
from worker.data.prepared import Prepared
from worker.evaluation import stacked_mnist
from worker.evaluation.samples import real_batches
from worker.evaluation.stacked_mnist import (
    MODES,
    build_classifier,
    classify_channels,
    count_modes,
    generate_samples,
    load_or_train_classifier,
    train,
)
from worker.settings import WorkerSettings


def test_digits_are_stacked_the_same_way_each_time_and_every_one_is_used() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    first, again = stacked(images), stacked(images)
    assert first.shape == (50, 28, 28, 3)
    assert np.array_equal(first, again)
    for colour in range(3):
        assert sorted(image.tobytes() for image in first[..., colour].copy()) == sorted(map(bytes, images))
    assert not np.array_equal(first[..., 0], first[..., 1])


def test_a_classifier_learns_digits_and_classifies_each_colour(digits: Prepared) -> None:
    classifier = build_classifier()
    assert train(classifier, digits, epochs=1) > 0.85
    assert digits.labels is not None
    threes = torch.cat(list(real_batches(digits, np.arange(300), torch.device("cpu")))).view(100, 3, 28, 28)
    found = classify_channels(classifier, torch.split(threes, 50))
    assert found.shape == (100, 3)
    assert (found.flatten().numpy() == digits.labels[:300]).mean() > 0.85


def test_modes_are_counted_against_a_thousand_even_ones() -> None:
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    occurring, divergence = count_modes(every)
    assert occurring == MODES
    assert divergence == pytest.approx(0, abs=1e-12)
    occurring, divergence = count_modes(every[:10])
    assert occurring == 10
    assert divergence == pytest.approx(np.log(100))


def test_a_model_of_other_images_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path, "petals", 1, TINY_CONDITIONAL)
    with pytest.raises(DatasetProblem, match="3x28x28"):
        generate_samples("petals", tmp_path)


def test_a_torn_classifier_is_trained_again_and_a_poor_one_is_not_kept(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_settings = WorkerSettings(data_dir=tmp_path)
    worker_settings.evaluation_dir.mkdir(parents=True)
    path = worker_settings.evaluation_dir / "digits-v1.safetensors"
    path.write_bytes(b"torn")
    monkeypatch.setattr(stacked_mnist, "_prepare", lambda *_: digits)
    monkeypatch.setattr(stacked_mnist, "train", lambda *_: 0.5)
    with pytest.raises(DatasetProblem, match=r"an accuracy of 50\.00%"):
        load_or_train_classifier(worker_settings)
    assert path.read_bytes() == b"torn"
    monkeypatch.setattr(stacked_mnist, "train", lambda *_: 0.995)
    assert load_or_train_classifier(worker_settings)[1] == 0.995
    monkeypatch.setattr(stacked_mnist, "train", pytest.fail)
    assert load_or_train_classifier(worker_settings)[1] == pytest.approx(0.995)

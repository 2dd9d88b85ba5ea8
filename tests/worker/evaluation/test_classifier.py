from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worker.data.prepared import Prepared
from worker.evaluation import classifier
from worker.evaluation.classifier import Classifier, is_classifiable, load_or_train_classifier

CPU = torch.device("cpu")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the steps."""
    monkeypatch.setattr(classifier, "TRAINING_IMAGES", classifier.TRAINING_IMAGES // 10)


@pytest.mark.usefixtures("short")
def test_it_is_trained_once_for_a_data_set_and_learns(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    before = torch.get_rng_state()
    first = load_or_train_classifier(digits, tmp_path, CPU, messages.append)
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "measure_accuracy", lambda *_: pytest.fail("the accuracy is measured once"))
        again = load_or_train_classifier(digits, tmp_path, CPU, messages.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.protocol == again.protocol
    assert again.accuracy > 0.8
    assert first.name == again.name
    assert len(messages) == 1
    assert "mnist-mini" in messages[0]

    torn = next(tmp_path.glob("*.safetensors"))
    torn.write_bytes(torn.read_bytes()[:100])
    assert load_or_train_classifier(digits, tmp_path, CPU, messages.append).name == first.name
    assert len(messages) == 2


def test_larger_images_in_colour_are_classified_as_well() -> None:
    with torch.random.fork_rng():
        network = classifier.Network(3, 5)
    predictions = Classifier(network, 0.5, CPU).predict(torch.rand(2, 3, 64, 64))
    assert predictions.features.shape == (2, classifier.FEATURES)
    assert predictions.labels.shape == (2,)


def test_sets_without_labels_and_with_few_images_of_a_class_are_not_classifiable(digits: Prepared) -> None:
    assert is_classifiable(digits)
    assert not is_classifiable(replace(digits, manifest=digits.manifest.model_copy(update={"classes": ()})))
    assert not is_classifiable(replace(digits, manifest=digits.manifest.model_copy(update={"count": 99})))

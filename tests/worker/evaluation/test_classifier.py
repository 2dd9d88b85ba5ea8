from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from worker.data.prepared import Prepared
from worker.evaluation import classifier
from worker.evaluation.classifier import Classifier, obtain, suits

CPU = torch.device("cpu")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the steps."""
    monkeypatch.setattr(classifier, "SHOWN", classifier.SHOWN // 10)


@pytest.mark.usefixtures("short")
def test_it_is_trained_once_for_a_data_set_and_learns(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    before = torch.get_rng_state()
    first = obtain(digits, tmp_path, CPU, told.append)
    with monkeypatch.context() as patch:
        patch.setattr(classifier, "measure", lambda *_: pytest.fail("it is measured once for all"))
        again = obtain(digits, tmp_path, CPU, told.append)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.protocol == again.protocol
    assert again.accuracy > 0.8
    assert first.name == again.name
    assert len(told) == 1
    assert "mnist-mini" in told[0]

    torn = next(tmp_path.glob("*.safetensors"))
    torn.write_bytes(torn.read_bytes()[:100])
    assert obtain(digits, tmp_path, CPU, told.append).name == first.name
    assert len(told) == 2


def test_larger_images_in_colour_are_seen_as_well() -> None:
    with torch.random.fork_rng():
        network = classifier.Network(3, 5)
    seen = Classifier(network, 0.5, CPU).see(torch.rand(2, 3, 64, 64))
    assert seen.features.shape == (2, classifier.FEATURES)
    assert seen.labels.shape == (2,)


def test_sets_without_labels_and_with_a_few_images_of_a_class_do_not_suit(digits: Prepared) -> None:
    assert suits(digits)
    assert not suits(replace(digits, manifest=digits.manifest.model_copy(update={"classes": ()})))
    assert not suits(replace(digits, manifest=digits.manifest.model_copy(update={"count": 99})))

"""The full MNIST and Fashion-MNIST, where ATELIER_DATASETS_DIR has them."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

from models.datasets.catalogue import BUILTIN
from tests.fixtures.folders import Folders

pytestmark = pytest.mark.large


@pytest.fixture
def real(folders: Folders) -> Folders:
    place = Path(os.environ.get("ATELIER_DATASETS_DIR") or "ATELIER_DATASETS_DIR is not set")
    missing = [name for name in ("mnist", "fashion-mnist") if not BUILTIN[name].is_available(place)]
    if missing:
        pytest.skip(f"no files of {' and '.join(missing)}: {place}")
    return dataclasses.replace(folders, datasets=place)


@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_full_set_has_the_published_facts(name: str, mean: float, real: Folders) -> None:
    prepared = real.prepare(name)
    facts = BUILTIN[name]
    assert prepared.images.shape == (facts.count, facts.channels, facts.size, facts.size)
    assert prepared.classes == facts.classes
    assert prepared.images.mean() / 255 == pytest.approx(mean, abs=1e-4)


def test_shipped_digits_are_the_first_600_of_each_class(real: Folders) -> None:
    full, mini = real.prepare("mnist"), real.prepare("mnist-mini")
    assert full.labels is not None
    first = np.sort(np.concatenate([np.flatnonzero(full.labels == label)[:600] for label in range(10)]))
    np.testing.assert_array_equal(mini.images, full.images[first])
    assert mini.labels is not None
    np.testing.assert_array_equal(mini.labels, full.labels[first])

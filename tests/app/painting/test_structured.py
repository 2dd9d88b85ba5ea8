"""What is told of images whose order means something."""

from __future__ import annotations

import numpy as np
import pytest

from app.engine import sources
from app.sampling.structured import Structured
from models.store.manifest import Manifest
from tests.fixtures.models import TINY_CONDITIONAL

SOURCES = [
    sources.Between(TINY_CONDITIONAL, (1, 2), 3, 4),
    sources.Between(TINY_CONDITIONAL, (1, 2, 3, 4), 3, 4),
    sources.Loop(TINY_CONDITIONAL, (1, 2, 3), 12),
    sources.PerClass(TINY_CONDITIONAL, 1, 4),
    sources.Sweep(TINY_CONDITIONAL, 1, 3, (0.0, 0.5, 0.7, 1.0)),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_classes_are_told_without_drawing_a_latent(source: sources.Arranged, monkeypatch: pytest.MonkeyPatch) -> None:
    painted = source.inputs(0, 12).labels
    assert painted is not None

    def drawn(*_: object) -> None:
        raise AssertionError("a latent was drawn")

    monkeypatch.setattr(sources, "latents", drawn)
    manifest = Manifest.model_construct(classes=("a", "b", "c"))  # type: ignore[call-arg]
    _, images = Structured(source, (1,), 4, {}).listing(manifest)
    assert [image["class"] for image in images] == [manifest.classes[label] for label in painted]
    assert [[image["row"], image["column"]] for image in images] == np.argwhere(np.ones((3, 4))).tolist()

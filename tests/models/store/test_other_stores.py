"""A store that is no directory: versions are published into it, and served from it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from app.engine.chunks import collect
from app.engine.engine import SamplingEngine
from app.sampling.images import SeedImages
from models.inputs import make_inputs
from models.records import Records
from models.scores import Evaluation
from models.store.base import ModelStore
from models.store.errors import BrokenVersion, VersionInUse
from models.store.manifest import WEIGHTS
from models.store.publishing import Published, TrainedRun, publish
from models.store.weights import generator_bytes
from tests.fixtures.memory_store import MemoryStore
from tests.fixtures.models import expected, tiny_generator
from tests.fixtures.versions import score, training_config

CONFIG = training_config()


def publish_into(store: ModelStore, records: Records, *values: float) -> list[Published]:
    """Publish a version for each score."""
    records.create_run(CONFIG, {})
    run = records.claim_run("worker", 1)
    assert run is not None
    source = TrainedRun(run.claim, CONFIG, "tiny", {})
    weights = generator_bytes(tiny_generator(CONFIG.generator_config(), 3))
    published = []
    for images, value in enumerate(values, start=1):
        evaluation = Evaluation(images=images, primary="fid", scores={"fid": score(value)})
        published.append(publish(store, records, source.draft(images, weights, b"a picture", evaluation)))
    return published


def test_versions_are_published_into_any_store(records: Records) -> None:
    store = MemoryStore()
    assert [each.ref for each in publish_into(store, records, 5.0, 3.0, 4.0)] == ["digits@1", "digits@2", "digits@3"]
    assert store.resolve("digits").number == 2
    assert store.scan() == {"digits"}
    with pytest.raises(VersionInUse):
        store.delete_version("digits", 2)
    store.delete_version("digits", 3)
    assert [version.number for version in store.model("digits").versions] == [1, 2]
    store.files["digits", 1][WEIGHTS] = b"damaged"
    with pytest.raises(BrokenVersion):
        store.read(store.resolve("digits@1"), WEIGHTS)


def test_versions_are_served_from_any_store(tmp_path: Path, records: Records) -> None:
    store = MemoryStore()
    publish_into(store, records, 1.0)
    images = asyncio.run(_generate(store, tmp_path))
    inputs = make_inputs(CONFIG.generator_config().inputs, 7, np.arange(9))
    by_torch = expected(tiny_generator(CONFIG.generator_config(), 3), inputs)
    assert np.abs(images.astype(int) - by_torch).mean() < 1


async def _generate(store: ModelStore, folder: Path) -> np.ndarray:
    engine = SamplingEngine(
        store,
        device="cpu",
        threads=1,
        calibration_dir=folder,
        budget_bytes=1 << 30,
        max_wait_seconds=10,
        max_flight_bytes=1 << 30,
    )
    await engine.start()
    try:
        version = await engine.load("digits")
        return await collect(engine.generate(version, SeedImages(CONFIG.generator_config(), 7, 9)))
    finally:
        await engine.stop()

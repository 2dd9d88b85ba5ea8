from __future__ import annotations

from pathlib import Path

import pytest

from models.artifacts.attempts import Attempt
from models.artifacts.events import read_events
from models.networks import build_generator
from models.records import Records
from models.scores import Evaluation, Score
from models.store.local import LocalStore
from models.store.manifest import CARD, NEIGHBOURS, WEIGHTS
from models.store.publishing import TrainedRun
from models.store.weights import generator_bytes
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.evaluation import neighbours
from worker.training.reporting.publisher import Publisher, software
from worker.training.reporting.reporter import Reporter


def of_a_run(tmp_path: Path, digits: Prepared, records: Records) -> Publisher:
    config = tiny()
    records.create_run(config, {})
    run = records.claim_run("worker", 1)
    assert run is not None
    attempt = Attempt(tmp_path / "run", run.token)
    attempt.create()
    source = TrainedRun(run.claim, config, "quick-28", software())
    store = LocalStore(tmp_path / "models")
    return Publisher(store, records, source, tmp_path / "run", digits, Reporter(attempt))


def test_a_position_without_a_snapshot_is_published_without_scores(
    tmp_path: Path, digits: Prepared, records: Records
) -> None:
    publisher = of_a_run(tmp_path, digits, records)
    publisher(640, generator_bytes(build_generator(tiny().generator_config())), b"a grid", last=True)
    (version,) = LocalStore(tmp_path / "models").model("tiny").versions
    assert version.manifest is not None
    assert (version.manifest.provenance.images, version.manifest.scores) == (640, {})
    assert version.manifest.provenance.preset == "quick-28"


def test_a_version_from_before_a_rollback_is_not_reported_as_one_of_the_new_weights(
    tmp_path: Path, digits: Prepared, records: Records
) -> None:
    publisher = of_a_run(tmp_path, digits, records)
    before, after = (generator_bytes(build_generator(tiny().generator_config())) for _ in range(2))
    for weights in (before, before, after):
        publisher(640, weights, b"a grid", last=False)
    events = read_events(publisher.run_dir)
    assert [event.data["ref"] for event in events if event.type == "published"] == ["tiny@1", "tiny@1"]
    (message,) = [event.data["message"] for event in events if event.type == "log"]
    assert message.startswith("nothing is published at 0.64 kimg: tiny@1 is of the same position, from before")
    assert (tmp_path / "models" / "tiny" / "1" / WEIGHTS).read_bytes() == before


def test_the_best_snapshot_is_published_with_the_last_and_is_best(
    tmp_path: Path, digits: Prepared, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = of_a_run(tmp_path, digits, records)
    reporter = publisher.reporter
    weights = generator_bytes(build_generator(tiny().generator_config()))
    for images, value in ((1000, 5.0), (2000, 3.0), (3000, 4.0)):
        reporter.snapshot(images, b"a grid", weights)
        score = Score(value=value, protocol="a test's")
        reporter.score(Evaluation(images=images, primary="sliced_wasserstein", scores={"sliced_wasserstein": score}))
    publisher(3000, weights, b"a grid", last=True)
    monkeypatch.setattr(neighbours, "neighbour_pairs", None)  # what is published is not looked for once more
    publisher(3000, weights, b"a grid", last=True)

    model = LocalStore(tmp_path / "models").model("tiny")
    assert [version.manifest and version.manifest.provenance.images for version in model.versions] == [2000, 3000]
    assert model.aliases == {"best": 1, "latest": 2}
    best = model.versions[0].manifest
    assert best is not None
    assert best.scores["sliced_wasserstein"].value == 3.0
    assert {CARD, NEIGHBOURS} < set(best.files)
    refs = [event.data["ref"] for event in read_events(publisher.run_dir) if event.type == "published"]
    assert refs == ["tiny@1", "tiny@2", "tiny@2"]

"""Publishing happens once, whole, under the newest token, and what was interrupted is completed."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from models.objectives.methods import METHODS, MethodSpec
from models.records import ClaimLost, LeaseState, Publication, Records, RecordsUnavailable, Run
from models.scores import Score
from models.store.errors import InvalidName, ReadOnlyModel
from models.store.local import LocalStaging, LocalStore
from models.store.manifest import CARD, GENERATOR, MANIFEST, PREVIEW, WEIGHTS, Manifest
from models.store.publishing import Published, TrainedRun, VersionDraft, publish
from models.store.versions import WholeVersion
from tests.fixtures.versions import FILES, provenance, put_version, score, training_config

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def run(records: Records) -> Run:
    return start(records)


def start(records: Records) -> Run:
    """Queue a run and claim it."""
    records.create_run(training_config(), {})
    return claim(records)


def claim(records: Records) -> Run:
    run = records.claim_run("worker", 1)
    assert run is not None
    return run


def reclaim(records: Records, run: Run) -> Run:
    """Lose a run to the next attempt."""
    assert records.take_back(LeaseState(run.claim, run.beat, run.worker), "silent") is not None
    with pytest.raises(ClaimLost):
        records.reset_failures(run.claim)
    return claim(records)


def publish_at(root: Path, records: Records, run: Run, images: int, **changes: Any) -> Published:
    return publish(LocalStore(root), records, draft(run, images, **changes))


def draft(run: Run, images: int, weights: bytes = FILES[WEIGHTS], **changes: Any) -> VersionDraft:
    """Return a draft of the run's only generator at a position; other arguments change its configuration."""
    contents = {name: changes.pop(name) for name in ("scores", "pairs") if name in changes}
    source = TrainedRun(run.claim, training_config(**changes), "tiny", {})
    return VersionDraft(source, images, {GENERATOR: weights}, FILES[PREVIEW], **contents)


def resolve(root: Path, ref: str) -> WholeVersion:
    return LocalStore(root).resolve(ref)


def listed(root: Path) -> list[str]:
    """List what is in the model's folder, but for the lock."""
    folder = root / "digits"
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock") if folder.exists() else []


def test_a_published_version_is_whole_and_says_where_it_comes_from(root: Path, records: Records, run: Run) -> None:
    published = publish_at(root, records, run, 512_000, conditional=True, classes=("a", "b"))
    assert (published, published.ref) == (Published("digits", 1, already=False), "digits@1")
    version = resolve(root, "digits@1")
    assert version.manifest.format == 2
    assert version.manifest.task == "sample"
    assert version.manifest.generator == training_config(conditional=True, classes=("a", "b")).generator_config()
    assert version.manifest.classes == ("a", "b")
    assert version.manifest.provenance == provenance(run.id, 512_000)
    assert set(version.manifest.files) == {WEIGHTS, PREVIEW, CARD}
    assert LocalStore(root).read(version, WEIGHTS) == FILES[WEIGHTS]
    assert (root / "digits" / "1" / PREVIEW).read_bytes() == FILES[PREVIEW]
    assert listed(root) == ["1"]


def test_others_may_read_what_is_published(root: Path, records: Records, run: Run) -> None:
    folder = root / "digits" / str(publish_at(root, records, run, 1000).version)
    umask = os.umask(0)
    os.umask(umask)
    assert folder.stat().st_mode & 0o777 == 0o777 & ~umask
    assert (folder / WEIGHTS).stat().st_mode & 0o777 == 0o666 & ~umask


def test_positions_get_numbers_in_the_order_of_publishing(root: Path, records: Records, run: Run) -> None:
    assert [publish_at(root, records, run, images).version for images in (1000, 2000, 3000)] == [1, 2, 3]


def test_a_position_is_published_once(root: Path, records: Records, run: Run) -> None:
    publish_at(root, records, run, 1000)
    before = resolve(root, "digits@1")
    again = publish_at(root, records, reclaim(records, run), 1000, weights=b"other weights")
    assert again == Published("digits", 1, already=True, replaced=True)
    assert resolve(root, "digits@1") == before
    assert listed(root) == ["1"]


def test_an_old_token_publishes_nothing(root: Path, records: Records, run: Run) -> None:
    publish_at(root, records, run, 1000)
    reclaim(records, run)
    with pytest.raises(ClaimLost, match="token 1"):
        publish_at(root, records, run, 2000)
    assert listed(root) == ["1"]
    assert len(records.publications(run.id)) == 1


STEPS: dict[str, tuple[type, str]] = {
    "number": (VersionDraft, "manifest"),
    "commit": (LocalStaging, "commit"),
    "best": (LocalStore, "promote_best"),
}


def _publish_until_killed(url: str, root: Path, run: Run, after: str) -> None:
    """Publish, and be killed just before the named step."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(*STEPS[after], die)
    publish_at(root, Records(url), run, 1000)


@pytest.mark.parametrize("step", list(STEPS))
def test_what_a_kill_interrupted_is_completed_by_the_next_attempt(
    root: Path, migrated_url: str, records: Records, run: Run, step: str
) -> None:
    process = SPAWN.Process(target=_publish_until_killed, args=(migrated_url, root, run, step))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert records.publications(run.id) == [Publication(1000, "digits", 1)]
    published = publish_at(root, records, reclaim(records, run), 1000, scores={"distance": score(3.0)})
    assert (published.version, published.already) == (1, step == "best")
    assert resolve(root, "digits@1").state == "whole"
    assert listed(root)[0] == "1"
    assert not [name for name in listed(root) if name.startswith(".staging")]


def test_a_number_whose_files_never_came_is_not_given_to_another_run(root: Path, records: Records, run: Run) -> None:
    records.allocate(run.claim, 1000, "digits")
    assert publish_at(root, records, start(records), 1000).version == 2
    assert publish_at(root, records, run, 1000).version == 1


@pytest.mark.parametrize(
    "copy",
    [
        lambda root, number: put_version(root, "digits", number),
        lambda root, number: (root / "digits" / str(number)).mkdir(parents=True),
        lambda root, number: (root / "digits").mkdir(parents=True) or (root / "digits" / str(number)).touch(),
    ],
    ids=["version", "empty folder", "file"],
)
def test_numbers_that_somebody_copied_in_are_skipped(
    root: Path, records: Records, run: Run, copy: Callable[[Path, int], object]
) -> None:
    copy(root, 1)
    assert publish_at(root, records, run, 1000) == Published("digits", 2, already=False)
    assert resolve(root, "digits@2").manifest is not None
    assert publish_at(root, records, run, 2000).version == 3


def test_a_number_taken_between_transaction_and_rename_is_given_up(
    root: Path, records: Records, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = LocalStaging.commit

    def copy_in_first(staging: LocalStaging, manifest: Manifest) -> bool:
        if manifest.version == 1:
            put_version(root, "digits", 1)
        return commit(staging, manifest)

    monkeypatch.setattr(LocalStaging, "commit", copy_in_first)
    assert publish_at(root, records, run, 1000) == Published("digits", 2, already=False)
    assert records.publications(run.id) == [Publication(1000, "digits", 2)]
    assert resolve(root, "digits@2").state == "whole"
    monkeypatch.undo()
    assert publish_at(root, records, run, 1000) == Published("digits", 2, already=True)


def test_a_deleted_version_is_not_published_again(root: Path, records: Records, run: Run) -> None:
    publish_at(root, records, run, 1000)
    publish_at(root, records, run, 2000)
    LocalStore(root).delete_version("digits", 2)
    assert publish_at(root, records, run, 2000) == Published("digits", 2, already=True)
    assert publish_at(root, records, run, 3000).version == 3
    assert [version.number for version in LocalStore(root).model("digits").versions] == [1, 3]


def test_numbers_deleted_by_hand_do_not_return(root: Path, records: Records, run: Run) -> None:
    publish_at(root, records, run, 1000)
    publish_at(root, records, run, 2000)
    for path in (root / "digits" / "2").iterdir():
        path.unlink()
    (root / "digits" / "2").rmdir()
    assert publish_at(root, records, run, 3000).version == 3


def test_the_first_score_of_a_protocol_and_every_better_one_move_best(root: Path, records: Records, run: Run) -> None:
    best: list[int | None] = []

    def at(images: int, **scores: Score) -> None:
        publish_at(root, records, run, images, scores=scores)
        best.append(LocalStore(root).model("digits").aliases.get("best"))

    at(1000)
    at(2000, distance=score(5.0))
    at(3000, distance=score(6.0))
    at(4000, distance=score(5.0))
    at(5000, distance=score(4.0))
    at(6000, distance=score(90.0, "features B"))
    at(7000, distance=score(4.5))
    at(8000)
    assert best == [None, 2, 2, 2, 5, 6, 6, 6]


def test_where_higher_is_better_the_higher_score_is_best(root: Path, records: Records, run: Run) -> None:
    for images, value in ((1000, 1.0), (2000, 3.0), (3000, 2.0)):
        better = Score(value=value, protocol="coverage", lower_is_better=False)
        publish_at(root, records, run, images, scores={"coverage": better})
    assert resolve(root, "digits").number == 2


@pytest.mark.parametrize(
    ("model", "error"), [("starter", ReadOnlyModel), ("../x", InvalidName), ("Digits", InvalidName)]
)
def test_names_that_no_model_may_have_are_refused(
    root: Path, records: Records, run: Run, model: str, error: type[Exception]
) -> None:
    source = draft(run, 1000).source
    renamed = replace(source, config=source.config.model_copy(update={"model": model}))
    with pytest.raises(error):
        publish(LocalStore(root), records, replace(draft(run, 1000), source=renamed))
    assert not root.exists()


@pytest.fixture
def two_way() -> Iterator[str]:
    """A method with two generators."""
    METHODS.register(MethodSpec("two-way", "Two-way", "Two generators.", generators=("a_to_b", "b_to_a")))
    yield "two-way"
    METHODS.unregister("two-way")


def test_several_generators_are_published_in_a_file_each(root: Path, records: Records, run: Run, two_way: str) -> None:
    source = TrainedRun(run.claim, training_config(method=two_way), "tiny", {})
    tensors = {f"{name}.{layer}": np.full(3, layer, np.float32) for name in ("a_to_b", "b_to_a") for layer in (0, 1)}
    two = source.draft(1000, safetensors.numpy.save(tensors), FILES[PREVIEW], None)
    publish(LocalStore(root), records, two)
    version = resolve(root, "digits@1")
    assert [entry.weights for entry in version.manifest.generators.values()] == [
        "a_to_b.safetensors",
        "b_to_a.safetensors",
    ]
    assert version.manifest.first.weights == "a_to_b.safetensors"
    stored = safetensors.numpy.load(LocalStore(root).read(version, "b_to_a.safetensors"))
    assert {name: values.tolist() for name, values in stored.items()} == {"0": [0, 0, 0], "1": [1, 1, 1]}
    changed = replace(two, weights={**two.weights, "b_to_a": b"new"})
    assert publish(LocalStore(root), records, changed).replaced


def _publish_on_a_full_disk(url: str, root: Path, run: Run) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    with pytest.raises(OSError, match="too large"):
        publish_at(root, Records(url), run, 1000, weights=b"w" * (2 << 20))
    raise SystemExit(42)


def test_a_file_that_cannot_be_written_leaves_nothing_behind_and_may_be_tried_again(
    root: Path, migrated_url: str, records: Records, run: Run
) -> None:
    process = SPAWN.Process(target=_publish_on_a_full_disk, args=(migrated_url, root, run))
    process.start()
    process.join()
    assert process.exitcode == 42
    assert listed(root) == []
    assert publish_at(root, records, run, 1000).version == 1


def test_without_the_database_nothing_is_published(root: Path, tmp_path: Path, records: Records, run: Run) -> None:
    (tmp_path / "file").touch()
    away = Records(f"sqlite:///{tmp_path / 'file' / 'atelier.db'}")
    with pytest.raises(RecordsUnavailable):
        publish_at(root, away, run, 1000)
    assert listed(root) == []
    away.close()


def test_only_what_earlier_attempts_of_the_same_run_left_is_tidied_away(root: Path, records: Records, run: Run) -> None:
    run = reclaim(records, run)
    kept = [
        f".staging-{run.id}-000002.000-2-0a",
        ".staging-other-000001.000-1-0a",
        f".staging-{run.id}-mine",
        "aliases",
    ]
    for name in (f".staging-{run.id}-000001.000-1-0a", *kept):
        (root / "digits" / name).mkdir(parents=True)
        (root / "digits" / name / MANIFEST).touch()
    publish_at(root, records, run, 1000)
    assert listed(root) == sorted(["1", *kept])

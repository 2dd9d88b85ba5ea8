"""What is found in a model directory, whatever lies there, and what references mean."""

from __future__ import annotations

import json
import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.store.local import BrokenVersion, ModelDirectory, UnknownModel, VersionNotReady
from models.store.manifest import MANIFEST, PREVIEW, WEIGHTS
from tests.fixtures.versions import FILES, GENERATOR, manifest, put_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def directory(root: Path, tmp_path: Path) -> ModelDirectory:
    """Give a directory that does not exist yet, beside a starter."""
    put_version(tmp_path / "packaged", "starter", 1, created_at=datetime(2020, 1, 1, tzinfo=UTC))
    return ModelDirectory(root, starter=tmp_path / "packaged" / "starter")


def seen(directory: ModelDirectory, model: str = "digits") -> dict[int, str]:
    """Look again, and give the states of a model's versions by number."""
    directory.scan()
    return {version.number: version.state for version in directory.model(model).versions}


def only_version(directory: ModelDirectory) -> tuple[str, str]:
    """Look again, and give the state and reason of the only version of `digits`."""
    directory.scan()
    (version,) = directory.model("digits").versions
    return version.state, version.reason or ""


def test_a_directory_that_does_not_exist_has_the_starter_and_is_not_created(
    directory: ModelDirectory, root: Path
) -> None:
    assert directory.scan() == {"starter"}
    assert directory.resolve(None).ref == "starter@1"
    assert [info.name for info in directory.models()] == ["starter"]
    assert directory.read_weights(directory.default()) == FILES[WEIGHTS]
    with pytest.raises(UnknownModel):
        directory.set_alias("digits", "mine", 1)
    assert not root.exists()


def test_the_starter_that_ships_is_whole_and_small(tmp_path: Path) -> None:
    directory = ModelDirectory(tmp_path / "models")
    directory.scan()
    assert len(directory.read_weights(directory.default())) < 2_000_000


def test_without_a_starter_there_is_nothing(tmp_path: Path) -> None:
    directory = ModelDirectory(tmp_path / "models", starter=tmp_path / "absent")
    assert directory.scan() == frozenset()
    assert directory.models() == []
    with pytest.raises(UnknownModel, match="starter"):
        directory.resolve(None)


def test_nothing_is_written_by_looking(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "digits", 1)
    before = sorted(root.rglob("*"))
    directory.scan()
    directory.resolve("digits@latest")
    assert sorted(root.rglob("*")) == before


def test_a_copied_version_is_found_by_the_next_scan(directory: ModelDirectory, root: Path) -> None:
    directory.scan()
    put_version(root, "digits", 3)
    assert directory.scan() == {"digits"}
    assert directory.scan() == frozenset()
    version = directory.resolve("digits@3")
    assert (version.ref, version.state) == ("digits@3", "whole")
    assert directory.read_weights(version) == FILES[WEIGHTS]


def test_the_first_question_looks_by_itself(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "digits", 1)
    assert directory.resolve("digits").ref == "digits@1"


@pytest.mark.parametrize(
    "order", [[MANIFEST, WEIGHTS, PREVIEW], [PREVIEW, WEIGHTS, MANIFEST], [WEIGHTS, MANIFEST, PREVIEW]]
)
def test_files_may_arrive_in_any_order(directory: ModelDirectory, root: Path, tmp_path: Path, order: list[str]) -> None:
    source = put_version(tmp_path / "elsewhere", "digits", 1)
    target = root / "digits" / "1"
    target.mkdir(parents=True)
    for name in order:
        assert only_version(directory)[0] == "arriving"
        with pytest.raises(VersionNotReady, match="arriving"):
            directory.resolve("digits@1")
        data = (source / name).read_bytes()
        for part in (b"", data[: len(data) // 2]):
            (target / name).write_bytes(part)
            assert only_version(directory)[0] == "arriving"
        (target / name).write_bytes(data)
    assert only_version(directory) == ("whole", "")


def test_an_arriving_version_says_what_is_missing(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][:100])
    assert only_version(directory) == ("arriving", "generator.safetensors has 100 of 800 bytes")
    (folder / WEIGHTS).unlink()
    assert only_version(directory) == ("arriving", "generator.safetensors is missing")
    (folder / MANIFEST).unlink()
    assert only_version(directory) == ("arriving", "manifest.json is missing")


def test_an_arriving_version_takes_latest_from_no_whole_one(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "digits", 1)
    (put_version(root, "digits", 2) / WEIGHTS).unlink()
    assert directory.resolve("digits").number == 1
    assert directory.model("digits").aliases == {"latest": 1}


def test_wrong_bytes_of_the_right_length_are_found_when_read_and_never_served(
    directory: ModelDirectory, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_version(root, "digits", 1)
    folder = put_version(root, "digits", 2)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][::-1])
    directory.scan()
    version = directory.resolve("digits@2")
    with pytest.raises(BrokenVersion, match="sha256"):
        directory.read_weights(version)
    with pytest.raises(BrokenVersion, match="digits@2 is broken"):
        directory.resolve("digits@2")
    assert directory.scan() == {"digits"}
    assert seen(directory) == {1: "whole", 2: "broken"}
    assert directory.resolve("digits").number == 1
    for _ in range(3):
        directory.scan()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_broken_version_is_looked_at_again_when_its_file_changes(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][::-1])
    with pytest.raises(BrokenVersion):
        directory.read_weights(directory.resolve("digits"))
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS])
    assert seen(directory) == {1: "whole"}
    assert directory.read_weights(directory.resolve("digits")) == FILES[WEIGHTS]


def test_a_pickle_with_the_right_sha256_is_marked_by_whoever_parses_it(directory: ModelDirectory, root: Path) -> None:
    pickle = b"\x80\x04\x95" + b"not tensors" * 10
    put_version(root, "digits", 1, files={WEIGHTS: pickle})
    version = directory.resolve("digits")
    assert directory.read_weights(version) == pickle
    broken = directory.mark_broken(version, "not a safetensors file")
    assert (broken.state, broken.reason) == ("broken", "not a safetensors file")
    with pytest.raises(BrokenVersion, match="not a safetensors file"):
        directory.resolve("digits")
    assert seen(directory) == {1: "broken"}


def test_a_verdict_about_older_files_does_not_touch_newer_ones(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    old = directory.resolve("digits")
    (folder / PREVIEW).write_bytes(FILES[PREVIEW][::-1])
    directory.scan()
    directory.mark_broken(old, "it was bad then")
    assert directory.resolve("digits").state == "whole"


def test_weights_that_vanish_or_shrink_after_the_scan_are_not_ready(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    version = directory.resolve("digits")
    (folder / WEIGHTS).write_bytes(b"short")
    with pytest.raises(VersionNotReady, match="no longer has 800 bytes"):
        directory.read_weights(version)
    (folder / WEIGHTS).unlink()
    with pytest.raises(VersionNotReady, match="cannot be read"):
        directory.read_weights(version)


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(manifest("digits", 1).to_json()), **changes}).encode()


ENTRY = {"sha256": "0" * 64, "size": 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no JSON at all", "not JSON"),
        (b"[]", "not valid"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "JSON"),
        (b" " * (1 << 20) + b"{}", "larger than 1,048,576 bytes"),
        (changed(format=2), "format"),
        (changed(version=2), "describes digits@2, but lies in the folder of digits@1"),
        (changed(model="letters"), "describes letters@1"),
        (changed(extra=1), "extra"),
        (changed(files={}), "must list generator.safetensors"),
        (
            changed(generator={**GENERATOR.model_dump(), "classes": 3}, classes=["cat", "dog"]),
            "the generator has 3 classes: classes must name each of them, not 2",
        ),
        (changed(files={WEIGHTS: ENTRY, "../x": ENTRY}), "files"),
        (changed(files={WEIGHTS: ENTRY, "/etc/passwd": ENTRY}), "files"),
        (changed(files={WEIGHTS: ENTRY, "..": ENTRY}), "files"),
        (changed(files={WEIGHTS: ENTRY, MANIFEST: ENTRY}), "must not list manifest.json"),
        (changed(files={WEIGHTS: {"sha256": "0" * 64, "size": 1 << 40}}), "size"),
        (changed(files={WEIGHTS: {"sha256": "0" * 64, "size": -1}}), "size"),
        (changed(files={WEIGHTS: {"sha256": "zz", "size": 1}}), "sha256"),
        (changed(generator={"size": 28, "channels": 1, "latent": {"dim": 10**9}, "network": {"family": "mlp"}}), "dim"),
        (
            changed(
                generator={
                    "size": 28,
                    "channels": 1,
                    "latent": {"dim": 100},
                    "network": {"family": "mlp", "hidden": [8192] * 8},
                }
            ),
            "parameters",
        ),
    ],
)
def test_a_bad_manifest_is_broken_with_the_reason_and_read_once(
    directory: ModelDirectory, root: Path, caplog: pytest.LogCaptureFixture, data: bytes, reason: str
) -> None:
    folder = put_version(root, "digits", 1)
    put_version(root, "letters", 1)
    (folder / MANIFEST).write_bytes(data)
    state, told = only_version(directory)
    assert state == "broken"
    assert reason in told
    assert len(told) < 500
    with pytest.raises(BrokenVersion):
        directory.resolve("digits")
    directory.scan()
    assert len(caplog.records) == 1
    assert directory.resolve("letters").ref == "letters@1"
    (folder / MANIFEST).write_bytes(manifest("digits", 1).to_json())
    assert only_version(directory) == ("whole", "")


def test_no_file_outside_a_version_is_looked_at(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    secret = root / "secret"
    secret.write_bytes(b"s")
    (folder / MANIFEST).write_bytes(changed(files={WEIGHTS: ENTRY, "../../secret": ENTRY}))
    assert only_version(directory)[0] == "broken"


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
def test_what_is_no_regular_file_is_broken_and_never_opened(directory: ModelDirectory, root: Path, name: str) -> None:
    folder = put_version(root, "digits", 1)
    (folder / name).unlink()
    os.mkfifo(folder / name)  # opening it would wait for ever
    assert only_version(directory) == ("broken", f"{name} is not a regular file")
    (folder / name).unlink()
    (folder / name).mkdir()
    assert only_version(directory) == ("broken", f"{name} is not a regular file")


def test_what_cannot_be_read_is_broken_and_recovers_by_itself(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    put_version(root, "digits", 2)
    folder.rename(root / "aside")
    folder.symlink_to(folder)  # an error that even root gets
    assert seen(directory) == {1: "broken", 2: "whole"}
    folder.unlink()
    (root / "aside").rename(folder)
    assert seen(directory) == {1: "whole", 2: "whole"}


def test_a_model_that_cannot_be_listed_stays_as_it_was_seen(
    directory: ModelDirectory, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_version(root, "digits", 1)
    directory.scan()
    (root / "digits").rename(root.parent / "aside")
    (root / "digits").symlink_to(root / "digits")
    for _ in range(3):
        assert directory.scan() == frozenset()
    assert directory.resolve("digits").number == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_directory_that_cannot_be_listed_stays_as_it_was_seen(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "digits", 1)
    directory.scan()
    root.rename(root.parent / "aside")
    root.symlink_to(root)
    assert directory.scan() == frozenset()
    assert directory.resolve("digits").number == 1
    root.unlink()
    assert directory.scan() == {"digits"}  # now it is gone, and that is certain


def test_what_is_no_model_or_version_is_passed_over(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "digits", 1)
    for name in ("README.txt", ".hidden", "Capital", "lost+found"):
        (root / name).mkdir()
    (root / "plain-file").write_text("")
    for name in ("0", "01", "-1", "one", "1.5", ".staging-x-0-1-0", "9999999999"):
        shutil.copytree(root / "digits" / "1", root / "digits" / name)
    assert seen(directory) == {1: "whole"}
    assert [info.name for info in directory.models()] == ["digits", "starter"]


def test_a_folder_named_starter_does_not_hide_the_starter(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "starter", 7)
    assert seen(directory, "starter") == {1: "whole"}


@pytest.mark.parametrize(
    ("ref", "number"), [("digits", 2), ("digits@best", 2), ("digits@latest", 3), ("digits@1", 1), ("digits@mine", 1)]
)
def test_references_mean_versions(directory: ModelDirectory, root: Path, ref: str, number: int) -> None:
    for n in (1, 2, 3):
        put_version(root, "digits", n)
    directory.set_alias("digits", "best", 2)
    directory.set_alias("digits", "mine", 1)
    assert directory.resolve(ref).number == number


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "@",
        "@1",
        "nothing",
        "../digits",
        "digits@",
        "digits@0",
        "digits@01",
        "digits@9",
        "digits@other",
        "digits@1@1",
        "Digits",
    ],
)
def test_references_to_nothing_are_refused(directory: ModelDirectory, root: Path, ref: str) -> None:
    put_version(root, "digits", 1)
    with pytest.raises(UnknownModel):
        directory.resolve(ref)


def test_a_bare_name_means_latest_while_best_is_not_whole(directory: ModelDirectory, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    put_version(root, "digits", 2)
    directory.set_alias("digits", "best", 1)
    (folder / WEIGHTS).unlink()
    directory.scan()
    assert directory.resolve("digits").number == 2
    with pytest.raises(VersionNotReady, match="digits@1 is arriving"):
        directory.resolve("digits@best")


def test_the_default_is_the_model_published_last_whatever_its_files_say(directory: ModelDirectory, root: Path) -> None:
    put_version(root, "new", 1, created_at=datetime(2026, 2, 1, tzinfo=UTC))
    put_version(root, "old", 5, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert directory.default().ref == "new@1"
    (put_version(root, "old", 6, created_at=datetime(2026, 3, 1, tzinfo=UTC)) / WEIGHTS).unlink()
    directory.scan()
    assert directory.default().ref == "new@1"  # what is not whole is not published


def test_a_configured_default_goes_before_and_is_never_replaced_silently(root: Path, directory: ModelDirectory) -> None:
    put_version(root, "digits", 1)
    assert ModelDirectory(root, "digits@1").resolve(None).ref == "digits@1"
    with pytest.raises(UnknownModel, match="letters"):
        ModelDirectory(root, "letters").resolve(None)

"""What a local store finds, whatever is in its directory, and what references mean."""

from __future__ import annotations

import json
import logging
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.store.errors import BrokenVersion, UnknownModel, VersionNotReady
from models.store.local import LocalStore
from models.store.manifest import MANIFEST, PREVIEW, WEIGHTS, GeneratorEntry
from tests.fixtures.versions import FILES, TINY, manifest, put_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def store(root: Path, tmp_path: Path) -> LocalStore:
    """Return a store in a directory that does not exist yet, beside a starter."""
    put_version(tmp_path / "packaged", "starter", 1, created_at=datetime(2020, 1, 1, tzinfo=UTC))
    return LocalStore(root, starter=tmp_path / "packaged" / "starter")


def scan_states(store: LocalStore, model: str = "digits") -> dict[int, str]:
    """Scan, and return the states of a model's versions by number."""
    store.scan()
    return {version.number: version.state for version in store.model(model).versions}


def only_version(store: LocalStore) -> tuple[str, str]:
    """Scan, and return the state and reason of the only version of `digits`."""
    store.scan()
    (version,) = store.model("digits").versions
    return version.state, version.reason or ""


def test_a_directory_that_does_not_exist_has_the_starter_and_is_not_created(store: LocalStore, root: Path) -> None:
    assert store.scan() == {"starter"}
    assert store.resolve(None).ref == "starter@1"
    assert [info.name for info in store.models()] == ["starter"]
    assert store.read(store.resolve(None), WEIGHTS) == FILES[WEIGHTS]
    with pytest.raises(UnknownModel):
        store.set_alias("digits", "mine", 1)
    assert not root.exists()


def test_the_starter_that_ships_is_whole_and_small(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "models")
    store.scan()
    assert len(store.read(store.resolve(None), WEIGHTS)) < 2_000_000


def test_without_a_starter_there_is_nothing(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "models", starter=tmp_path / "absent")
    assert store.scan() == frozenset()
    assert store.models() == []
    with pytest.raises(UnknownModel, match="starter"):
        store.resolve(None)


def test_nothing_is_written_by_looking(store: LocalStore, root: Path) -> None:
    put_version(root, "digits", 1)
    before = sorted(root.rglob("*"))
    store.scan()
    store.resolve("digits@latest")
    assert sorted(root.rglob("*")) == before


def test_a_copied_version_is_found_by_the_next_scan(store: LocalStore, root: Path) -> None:
    store.scan()
    put_version(root, "digits", 3)
    assert store.scan() == {"digits"}
    assert store.scan() == frozenset()
    version = store.resolve("digits@3")
    assert (version.ref, version.state) == ("digits@3", "whole")
    assert store.read(version, WEIGHTS) == FILES[WEIGHTS]


def test_the_first_question_looks_by_itself(store: LocalStore, root: Path) -> None:
    put_version(root, "digits", 1)
    assert store.resolve("digits").ref == "digits@1"


@pytest.mark.parametrize(
    "order", [[MANIFEST, WEIGHTS, PREVIEW], [PREVIEW, WEIGHTS, MANIFEST], [WEIGHTS, MANIFEST, PREVIEW]]
)
def test_files_may_arrive_in_any_order(store: LocalStore, root: Path, tmp_path: Path, order: list[str]) -> None:
    source = put_version(tmp_path / "elsewhere", "digits", 1)
    target = root / "digits" / "1"
    target.mkdir(parents=True)
    for name in order:
        assert only_version(store)[0] == "arriving"
        with pytest.raises(VersionNotReady, match="arriving"):
            store.resolve("digits@1")
        data = (source / name).read_bytes()
        for part in (b"", data[: len(data) // 2]):
            (target / name).write_bytes(part)
            assert only_version(store)[0] == "arriving"
        (target / name).write_bytes(data)
    assert only_version(store) == ("whole", "")


def test_an_arriving_version_says_what_is_missing(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][:100])
    assert only_version(store) == ("arriving", "generator.safetensors has 100 of 800 bytes")
    (folder / WEIGHTS).unlink()
    assert only_version(store) == ("arriving", "generator.safetensors is missing")
    (folder / MANIFEST).unlink()
    assert only_version(store) == ("arriving", "manifest.json is missing")


def test_an_arriving_version_takes_latest_from_no_whole_one(store: LocalStore, root: Path) -> None:
    put_version(root, "digits", 1)
    (put_version(root, "digits", 2) / WEIGHTS).unlink()
    assert store.resolve("digits").number == 1
    assert store.model("digits").aliases == {"latest": 1}


def test_wrong_bytes_of_the_right_length_are_found_when_read_and_never_served(
    store: LocalStore, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_version(root, "digits", 1)
    folder = put_version(root, "digits", 2)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][::-1])
    store.scan()
    version = store.resolve("digits@2")
    with pytest.raises(BrokenVersion, match="sha256"):
        store.read(version, WEIGHTS)
    with pytest.raises(BrokenVersion, match="digits@2 is broken"):
        store.resolve("digits@2")
    assert store.scan() == {"digits"}
    assert scan_states(store) == {1: "whole", 2: "broken"}
    assert store.resolve("digits").number == 1
    for _ in range(3):
        store.scan()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_broken_version_is_looked_at_again_when_its_file_changes(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS][::-1])
    with pytest.raises(BrokenVersion):
        store.read(store.resolve("digits"), WEIGHTS)
    (folder / WEIGHTS).write_bytes(FILES[WEIGHTS])
    assert scan_states(store) == {1: "whole"}
    assert store.read(store.resolve("digits"), WEIGHTS) == FILES[WEIGHTS]


def test_a_pickle_with_the_right_sha256_is_marked_by_whoever_parses_it(store: LocalStore, root: Path) -> None:
    pickle = b"\x80\x04\x95" + b"not tensors" * 10
    put_version(root, "digits", 1, files={WEIGHTS: pickle})
    version = store.resolve("digits")
    assert store.read(version, WEIGHTS) == pickle
    broken = store.mark_broken(version, "not a safetensors file")
    assert (broken.state, broken.reason) == ("broken", "not a safetensors file")
    with pytest.raises(BrokenVersion, match="not a safetensors file"):
        store.resolve("digits")
    assert scan_states(store) == {1: "broken"}


def test_a_verdict_about_older_files_does_not_touch_newer_ones(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    old = store.resolve("digits")
    (folder / PREVIEW).write_bytes(FILES[PREVIEW][::-1])
    store.scan()
    store.mark_broken(old, "it was bad then")
    assert store.resolve("digits").state == "whole"


def test_weights_that_vanish_or_shrink_after_the_scan_are_not_ready(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    version = store.resolve("digits")
    (folder / WEIGHTS).write_bytes(b"short")
    with pytest.raises(VersionNotReady, match="no longer has 800 bytes"):
        store.read(version, WEIGHTS)
    (folder / WEIGHTS).unlink()
    with pytest.raises(VersionNotReady, match="cannot be read"):
        store.read(version, WEIGHTS)


def changed(**changes: Any) -> bytes:
    """Return a manifest of format 1 with other values."""
    return json.dumps({**json.loads(manifest("digits", 1, format=1).to_json()), **changes}).encode()


def changed_2(**changes: Any) -> bytes:
    """Return a manifest of format 2 with other values."""
    return json.dumps({**json.loads(manifest("digits", 1).to_json()), **changes}).encode()


def entry(**changes: Any) -> dict[str, Any]:
    """Return the entry of a generator with other values."""
    return {**GeneratorEntry.of("generator", TINY).model_dump(mode="json"), **changes}


ENTRY = {"sha256": "0" * 64, "size": 1}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no JSON at all", "not JSON"),
        (b"[]", "not valid"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "JSON"),
        (b" " * (1 << 20) + b"{}", "larger than 1,048,576 bytes"),
        (changed(format=3), "format"),
        (changed(version=2), "describes digits@2, but is in the folder of digits@1"),
        (changed(model="letters"), "describes letters@1"),
        (changed(extra=1), "extra"),
        (changed(files={}), "must list generator.safetensors"),
        (
            changed(generator={**TINY.model_dump(), "classes": 3}, classes=["cat", "dog"]),
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
        (changed_2(format=1), "generator"),
        (changed_2(generators={}), "generators"),
        (changed_2(generators={"../x": entry()}), "generators"),
        (changed_2(generators={"a": entry(weights="a.safetensors")}), "must list a.safetensors"),
        (changed_2(encoders={"clip": {"weights": "clip.safetensors"}}), "must list clip.safetensors"),
        (changed_2(generators={"a": entry(inputs={"z": {"kind": "latent", "dim": 9}})}), "must be those of the config"),
        (changed_2(task="translate"), "the task is translate, but generator takes no image"),
        (changed_2(files={WEIGHTS: ENTRY, MANIFEST: ENTRY}), "must not list manifest.json"),
    ],
)
def test_a_bad_manifest_is_broken_with_the_reason_and_read_once(
    store: LocalStore, root: Path, caplog: pytest.LogCaptureFixture, data: bytes, reason: str
) -> None:
    folder = put_version(root, "digits", 1)
    put_version(root, "letters", 1)
    (folder / MANIFEST).write_bytes(data)
    state, found = only_version(store)
    assert state == "broken"
    assert reason in found
    assert len(found) < 500
    with pytest.raises(BrokenVersion):
        store.resolve("digits")
    store.scan()
    assert len(caplog.records) == 1
    assert store.resolve("letters").ref == "letters@1"
    (folder / MANIFEST).write_bytes(manifest("digits", 1).to_json())
    assert only_version(store) == ("whole", "")


def test_no_file_outside_a_version_is_looked_at(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    secret = root / "secret"
    secret.write_bytes(b"s")
    (folder / MANIFEST).write_bytes(changed(files={WEIGHTS: ENTRY, "../../secret": ENTRY}))
    assert only_version(store)[0] == "broken"


@pytest.mark.parametrize("name", [MANIFEST, WEIGHTS])
def test_what_is_no_regular_file_is_broken_and_never_opened(store: LocalStore, root: Path, name: str) -> None:
    folder = put_version(root, "digits", 1)
    (folder / name).unlink()
    os.mkfifo(folder / name)  # opening it would wait for ever
    assert only_version(store) == ("broken", f"{name} is not a regular file")
    (folder / name).unlink()
    (folder / name).mkdir()
    assert only_version(store) == ("broken", f"{name} is not a regular file")


def test_what_cannot_be_read_is_broken_and_recovers_by_itself(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    put_version(root, "digits", 2)
    folder.rename(root / "aside")
    folder.symlink_to(folder)  # an error that even root gets
    assert scan_states(store) == {1: "broken", 2: "whole"}
    folder.unlink()
    (root / "aside").rename(folder)
    assert scan_states(store) == {1: "whole", 2: "whole"}


def test_a_model_that_cannot_be_listed_stays_as_it_was_found(
    store: LocalStore, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put_version(root, "digits", 1)
    store.scan()
    (root / "digits").rename(root.parent / "aside")
    (root / "digits").symlink_to(root / "digits")
    for _ in range(3):
        assert store.scan() == frozenset()
    assert store.resolve("digits").number == 1
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_directory_that_cannot_be_listed_stays_as_it_was_found(store: LocalStore, root: Path) -> None:
    put_version(root, "digits", 1)
    store.scan()
    root.rename(root.parent / "aside")
    root.symlink_to(root)
    assert store.scan() == frozenset()
    assert store.resolve("digits").number == 1
    root.unlink()
    assert store.scan() == {"digits"}  # now it is gone, and that is certain


def test_what_is_no_model_or_version_is_passed_over(store: LocalStore, root: Path) -> None:
    put_version(root, "digits", 1)
    for name in ("README.txt", ".hidden", "Capital", "lost+found"):
        (root / name).mkdir()
    (root / "plain-file").write_text("")
    for name in ("0", "01", "-1", "one", "1.5", ".staging-x-0-1-0", "9999999999"):
        shutil.copytree(root / "digits" / "1", root / "digits" / name)
    assert scan_states(store) == {1: "whole"}
    assert [info.name for info in store.models()] == ["digits", "starter"]


def test_a_folder_named_starter_does_not_hide_the_starter(store: LocalStore, root: Path) -> None:
    put_version(root, "starter", 7)
    assert scan_states(store, "starter") == {1: "whole"}


@pytest.mark.parametrize(
    ("ref", "number"), [("digits", 2), ("digits@best", 2), ("digits@latest", 3), ("digits@1", 1), ("digits@mine", 1)]
)
def test_references_mean_versions(store: LocalStore, root: Path, ref: str, number: int) -> None:
    for n in (1, 2, 3):
        put_version(root, "digits", n)
    store.set_alias("digits", "best", 2)
    store.set_alias("digits", "mine", 1)
    assert store.resolve(ref).number == number


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
def test_references_to_nothing_are_refused(store: LocalStore, root: Path, ref: str) -> None:
    put_version(root, "digits", 1)
    with pytest.raises(UnknownModel):
        store.resolve(ref)


def test_a_bare_name_means_latest_while_best_is_not_whole(store: LocalStore, root: Path) -> None:
    folder = put_version(root, "digits", 1)
    put_version(root, "digits", 2)
    store.set_alias("digits", "best", 1)
    (folder / WEIGHTS).unlink()
    store.scan()
    assert store.resolve("digits").number == 2
    with pytest.raises(VersionNotReady, match="digits@1 is arriving"):
        store.resolve("digits@best")


def test_the_default_is_the_model_published_last_whatever_its_files_say(store: LocalStore, root: Path) -> None:
    put_version(root, "new", 1, created_at=datetime(2026, 2, 1, tzinfo=UTC))
    put_version(root, "old", 5, created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert store.resolve(None).ref == "new@1"
    (put_version(root, "old", 6, created_at=datetime(2026, 3, 1, tzinfo=UTC)) / WEIGHTS).unlink()
    store.scan()
    assert store.resolve(None).ref == "new@1"  # what is not whole is not published


def test_a_configured_default_goes_before_and_is_never_replaced_silently(root: Path, store: LocalStore) -> None:
    put_version(root, "digits", 1)
    assert LocalStore(root, "digits@1").resolve(None).ref == "digits@1"
    with pytest.raises(UnknownModel, match="letters"):
        LocalStore(root, "letters").resolve(None)

"""Aliases and deletion: what is allowed, what is refused, and what stays on the disk."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from models.store.errors import AliasConflict, InvalidName, ReadOnlyModel, UnknownModel, VersionInUse
from models.store.local import LocalStore
from models.store.manifest import WEIGHTS
from tests.fixtures.versions import provenance, put_version


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        put_version(tmp_path / "models", "digits", number, provenance=provenance("a-run", 1000 * number))
    return tmp_path / "models"


@pytest.fixture
def store(root: Path) -> LocalStore:
    put_version(root.parent / "packaged", "starter", 1)
    return LocalStore(root, starter=root.parent / "packaged" / "starter")


def test_an_alias_is_one_small_file(store: LocalStore, root: Path) -> None:
    store.set_alias("digits", "mine", 2)
    store.set_alias("digits", "mine", 1)
    assert (root / "digits" / "aliases" / "mine").read_text() == "1\n"
    assert os.listdir(root / "digits" / "aliases") == ["mine"]  # noqa: PTH208
    assert store.model("digits").aliases == {"mine": 1, "latest": 3}


def test_an_alias_set_by_another_process_is_found_by_the_next_scan(store: LocalStore, root: Path) -> None:
    store.scan()
    LocalStore(root).set_alias("digits", "best", 1)
    assert store.scan() == {"digits"}
    assert store.resolve("digits").number == 1


def test_a_change_is_reported_by_the_next_scan(store: LocalStore) -> None:
    store.scan()
    store.set_alias("digits", "best", 1)
    assert store.scan() == {"digits"}


def test_a_removed_alias_is_gone(store: LocalStore) -> None:
    store.set_alias("digits", "mine", 2)
    store.delete_alias("digits", "mine")
    assert store.model("digits").aliases == {"latest": 3}
    with pytest.raises(UnknownModel, match='no alias "mine"'):
        store.delete_alias("digits", "mine")


@pytest.mark.parametrize("alias", ["latest", "7", "", "..", "a/b", "Mine", "-x", ".x", "a" * 65, "mine\n", "m\0"])
def test_an_alias_has_a_name_that_is_no_number_and_not_latest(store: LocalStore, alias: str) -> None:
    changes: tuple[Callable[[], object], ...] = (
        lambda: store.set_alias("digits", alias, 1),
        lambda: store.delete_alias("digits", alias),
    )
    for change in changes:
        with pytest.raises(InvalidName):
            change()


def test_an_alias_points_only_at_a_whole_version(store: LocalStore, root: Path) -> None:
    (root / "digits" / "2" / WEIGHTS).unlink()
    with pytest.raises(AliasConflict, match=r"digits@2 is arriving \(generator.safetensors is missing\)"):
        store.set_alias("digits", "mine", 2)
    with pytest.raises(UnknownModel, match="version 9"):
        store.set_alias("digits", "mine", 9)
    with pytest.raises(UnknownModel, match="letters"):
        store.set_alias("letters", "mine", 1)


@pytest.mark.parametrize("content", [b"", b"x", b"0", b"-1", b"1 2", b"9" * 100, b"\xff", b"best"])
def test_an_alias_file_that_holds_no_number_is_passed_over(store: LocalStore, root: Path, content: bytes) -> None:
    store.set_alias("digits", "mine", 2)
    (root / "digits" / "aliases" / "other").write_bytes(content)
    os.mkfifo(root / "digits" / "aliases" / "pipe")
    (root / "digits" / "aliases" / "latest").write_bytes(b"1")
    store.scan()
    assert store.model("digits").aliases == {"mine": 2, "latest": 3}


def test_an_alias_of_a_version_that_is_not_there_is_unknown(store: LocalStore, root: Path) -> None:
    store.set_alias("digits", "mine", 2)
    (root / "digits" / "aliases" / "mine").write_text("9")
    store.scan()
    with pytest.raises(UnknownModel, match="version 9"):
        store.resolve("digits@mine")


def test_the_starter_cannot_be_changed(store: LocalStore) -> None:
    changes: tuple[Callable[[], object], ...] = (
        lambda: store.set_alias("starter", "mine", 1),
        lambda: store.delete_alias("starter", "mine"),
        lambda: store.delete_version("starter", 1),
    )
    for change in changes:
        with pytest.raises(ReadOnlyModel, match="starter"):
            change()


def test_a_deleted_version_leaves_only_its_number(store: LocalStore, root: Path) -> None:
    store.delete_version("digits", 3)
    (left,) = (root / "digits" / "3").iterdir()
    assert left.name == "deleted.json"
    left_over = json.loads(left.read_text())
    assert (left_over["model"], left_over["version"], left_over["run"], left_over["images"]) == (
        "digits",
        3,
        "a-run",
        3000,
    )
    assert [version.number for version in store.model("digits").versions] == [1, 2]
    assert store.resolve("digits@latest").number == 2
    with pytest.raises(UnknownModel, match="version 3"):
        store.delete_version("digits", 3)


def test_a_deleted_version_that_is_copied_in_again_stays_deleted(store: LocalStore, root: Path) -> None:
    store.delete_version("digits", 3)
    copied = put_version(root.parent / "elsewhere", "digits", 3)
    for path in copied.iterdir():
        path.rename(root / "digits" / "3" / path.name)
    store.scan()
    assert [version.number for version in store.model("digits").versions] == [1, 2]


def test_a_model_without_versions_is_none(store: LocalStore) -> None:
    store.scan()
    for number in (1, 2, 3):
        store.delete_version("digits", number)
    assert store.scan() == {"digits"}
    with pytest.raises(UnknownModel):
        store.model("digits")


def test_what_an_alias_points_at_is_not_deleted(store: LocalStore) -> None:
    store.set_alias("digits", "mine", 2)
    store.set_alias("digits", "best", 2)
    with pytest.raises(VersionInUse, match="digits@2 is what best, mine points at"):
        store.delete_version("digits", 2)
    assert store.resolve("digits@2").state == "whole"


def test_what_never_arrived_can_be_deleted(store: LocalStore, root: Path) -> None:
    (root / "digits" / "4").mkdir()
    store.delete_version("digits", 4)
    assert [version.number for version in store.model("digits").versions] == [1, 2, 3]


def test_deleting_a_linked_version_leaves_what_it_leads_to(store: LocalStore, root: Path) -> None:
    elsewhere = put_version(root.parent / "elsewhere", "digits", 4)
    (root / "digits" / "4").symlink_to(elsewhere)
    store.delete_version("digits", 4)
    assert (elsewhere / WEIGHTS).exists()
    assert [path.name for path in (root / "digits" / "4").iterdir()] == ["deleted.json"]


def test_a_version_is_deleted_or_aliased_never_both(root: Path) -> None:
    def attempt(change: str) -> bool:
        store = LocalStore(root)
        try:
            if change == "alias":
                store.set_alias("digits", "mine", 1)
            else:
                store.delete_version("digits", 1)
        except (VersionInUse, UnknownModel):
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(attempt, ["alias", "delete"] * 4))
    aliased, deleted = any(done[0::2]), sum(done[1::2])
    assert (aliased, deleted) in [(True, 0), (False, 1)]

from pathlib import Path

import pytest

from models.datasets.catalogue import BUILTIN, DatasetProblem, UnknownDataset, find_folder, image_files


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"looked at by name only")
    return path


def test_facts_of_built_in_sets_agree_with_themselves() -> None:
    for name, dataset in BUILTIN.items():
        assert dataset.name == name
        labels = 0 if name == "stacked-mnist" else 10
        assert (len(dataset.classes), len(dataset.counts)) == (labels, labels or 1)
        assert dataset.count in (6_000, 60_000)


def test_shipped_set_is_always_here_and_others_when_their_files_are(tmp_path: Path) -> None:
    assert BUILTIN["mnist-mini"].is_available(tmp_path)
    assert not BUILTIN["mnist"].is_available(tmp_path)
    put(tmp_path / "mnist/MNIST/raw/train-images-idx3-ubyte.gz")
    assert BUILTIN["mnist"].is_available(tmp_path)


def test_unknown_name_is_refused_and_known_ones_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownDataset, match='unknown data set "minst": known are mnist, fashion-mnist, mnist-mini'):
        find_folder("minst", tmp_path)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "name a folder"),
        ("  ", "name a folder"),
        ("..", "has to stay below"),
        ("pets/../../etc", "has to stay below"),
        ("/etc", "has to stay below"),
        ("C:\\pictures", "has to stay below"),
        ("pets\0", "NUL"),
        ("absent", "there is no folder"),
        ("x" * 5000, "usable path"),
        ("\ud800", "usable path"),
    ],
)
def test_path_that_cannot_be_used_is_refused_readably(path: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetProblem, match=why):
        find_folder(f"folder:{path}", tmp_path)


def test_file_is_no_folder(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    with pytest.raises(DatasetProblem, match="there is no folder"):
        find_folder("folder:a.png", tmp_path)


def test_link_out_of_the_images_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere/a.png")
    images = tmp_path / "images"
    images.mkdir()
    (images / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DatasetProblem, match="is a link out of"):
        find_folder("folder:out", images)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(DatasetProblem):
        find_folder("folder:a", tmp_path)


def test_link_inside_the_images_folder_is_resolved(tmp_path: Path) -> None:
    put(tmp_path / "pets/a.png")
    (tmp_path / "animals").symlink_to(tmp_path / "pets")
    assert find_folder("folder:animals", tmp_path) == tmp_path.resolve() / "pets"


def test_image_files_come_sorted_without_links_and_hidden_ones(tmp_path: Path) -> None:
    names = ["b/2.png", "b/10.png", "a.webp", "c.tiff"]
    for name in [*names, ".git/x.png", "b/.x.png", "b/notes.txt"]:
        put(tmp_path / name)
    (tmp_path / "link.png").symlink_to(tmp_path / "a.webp")
    (tmp_path / "linked").symlink_to(tmp_path / "b")
    found = [str(file.relative_to(tmp_path)) for file in image_files(tmp_path)]
    assert found == ["a.webp", "b/10.png", "b/2.png", "c.tiff"]

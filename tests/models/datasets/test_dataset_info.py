"""What is known of a data set before it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from models.datasets.catalogue import BUILTIN, DatasetProblem
from models.datasets.folders import folder_info
from models.datasets.info import DatasetInfo, builtin_info


def picture(path: Path, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path)


@pytest.mark.parametrize("name", BUILTIN)
def test_built_in_sets_are_known_without_any_folder(name: str) -> None:
    facts = builtin_info(name)
    is_stacked = name == "stacked-mnist"  # three digits in a picture, as its colours
    assert (facts.side, facts.channels, facts.prepared) == (28, 3 if is_stacked else 1, False)
    assert facts.count == BUILTIN[name].count
    assert len(facts.classes) == (0 if is_stacked else 10)


def test_folder_is_known_by_names_and_headers_at_any_depth(tmp_path: Path) -> None:
    picture(tmp_path / "pets/cats/small/a.JPG")
    picture(tmp_path / "pets/dogs/b.png", (200, 100))
    expected = DatasetInfo(
        name="folder:pets", count=2, side=30, prepared=False, channels=3, classes=("cats", "dogs"), fewest=1
    )  # fmt: skip
    assert folder_info("folder:pets", tmp_path) == expected
    for name in ("folder:pets/", "folder:."):
        assert folder_info(name, tmp_path).count == 2


def test_one_image_in_ten_may_be_smaller_than_what_is_called_their_size(tmp_path: Path) -> None:
    for n in range(40):
        picture(tmp_path / f"all/{n}.png", (20, 90) if n % 20 == 0 else (64, 90))
    assert folder_info("folder:all", tmp_path).side == 64
    for n in range(40):
        picture(tmp_path / f"half/{n}.png", (20, 90) if n % 2 == 0 else (64, 90))
    assert folder_info("folder:half", tmp_path).side == 20


def test_folder_is_grey_where_no_image_says_otherwise(tmp_path: Path) -> None:
    for mode, name in (("L", "a.png"), ("1", "b.png"), ("LA", "c.png"), ("I;16", "d.png")):
        picture(tmp_path / name, mode=mode)
    assert folder_info("folder:.", tmp_path).channels == 1
    picture(tmp_path / "e.png", mode="P")
    assert folder_info("folder:.", tmp_path).channels == 3


def test_large_folder_is_looked_at_here_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(1000):
        (tmp_path / f"{n:04d}.png").touch()
    for n in (0, 512, 992):
        picture(tmp_path / f"{n:04d}.png")
    open_archive: list[Path] = []
    really = Image.open

    def noted(file: Path, **how: Any) -> Image.Image:
        open_archive.append(file)
        return really(file, **how)

    monkeypatch.setattr(Image, "open", noted)
    assert folder_info("folder:.", tmp_path).count == 1000
    assert 50 < len(open_archive) <= 64


def test_classes_are_the_subfolders_where_every_image_lies_in_one(tmp_path: Path) -> None:
    picture(tmp_path / "pets/dogs/a.png")
    picture(tmp_path / "pets/cats/small/b.png")
    assert folder_info("folder:.", tmp_path).classes == ("cats", "dogs")
    assert folder_info("folder:pets/dogs", tmp_path).classes == ()
    picture(tmp_path / "pets/c.png")
    assert folder_info("folder:pets", tmp_path).classes == ()


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/read.me").touch()
    (tmp_path / "notes/.hidden.png").touch()
    with pytest.raises(DatasetProblem, match=r"there is no image file in .*notes.*known endings.*png"):
        folder_info("folder:notes", tmp_path)


def test_folder_of_files_that_are_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    (tmp_path / "b.jpg").touch()
    with pytest.raises(DatasetProblem, match=r"none of the image files inspected in .* can be read"):
        folder_info("folder:.", tmp_path)

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.datasets.catalogue import BUILTIN, DatasetProblem
from tests.fixtures.folders import Folders
from worker.data.prepared import read_prepared

# Prepares folder:cats like a worker does; its second argument says what else to do.
PREPARER = """
import os, resource, sys
from pathlib import Path
from models.datasets.catalogue import DatasetProblem
from tests.fixtures.folders import Folders

root, what = Path(sys.argv[1]), sys.argv[2]
if what == "small-files":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

def progress(done, total):
    print("at work", flush=True)
    if what == "wait":
        sys.stdin.readline()

try:
    folders = Folders(root / "datasets", root / "images", root / "prepared")
    prepared = folders.prepare("folder:cats", on_progress=progress)
    print("prepared", prepared.count, flush=True)
except DatasetProblem as problem:
    print("problem:", problem, flush=True)
"""


def start(root: Path, what: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREPARER, str(root), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )


def test_class_folders_become_labels(folders: Folders) -> None:
    folders.picture("pets/dog/1.png", color="white")
    folders.picture("pets/cat/2.png", color="black")
    folders.picture("pets/cat/kittens/1.png", color="black")
    prepared = folders.prepare("folder:pets", 32, 3)
    assert prepared.classes == ("cat", "dog")
    assert prepared.labels is not None
    assert prepared.labels.tolist() == [0, 0, 1]
    assert prepared.images.shape == (3, 3, 32, 32)
    assert prepared.images.dtype == np.uint8
    assert prepared.images[:, 0, 0, 0].tolist() == [0, 0, 255]


def test_flat_folder_has_no_labels(folders: Folders) -> None:
    folders.picture("cats/1.png")
    folders.picture("cats/2.png")
    prepared = folders.prepare("folder:cats")
    assert prepared.labels is None
    assert prepared.classes == ()
    assert prepared.count == 2


def test_images_beside_class_folders_are_used_without_labels(folders: Folders) -> None:
    folders.picture("pets/loose.png")
    folders.picture("pets/dog/1.png")
    prepared = folders.prepare("folder:pets")
    assert prepared.count == 2
    assert prepared.labels is None


def test_one_folder_around_the_class_folders_is_looked_through(folders: Folders) -> None:
    folders.picture("upload/pets-128/dog/1.png")
    folders.picture("upload/pets-128/cat/1.png")
    assert folders.prepare("folder:upload").classes == ("cat", "dog")


def test_bad_images_are_named_skipped_and_counted(folders: Folders) -> None:
    folders.picture("cats/good.png")
    folders.picture("cats/small.png", size=(16, 9))
    folders.picture("cats/dot.png", size=(1, 1))
    whole = folders.picture("cats/torn.jpg", size=(200, 200))
    whole.write_bytes(whole.read_bytes()[:600])
    (folders.images / "cats/empty.png").touch()
    prepared = folders.prepare("folder:cats")
    assert prepared.count == 1
    sentences = [str(image) for image in prepared.skipped]
    assert sentences[0] == 'image "dot.png" is 1x1 px: images need at least 16 px on each side'
    assert sentences[1] == 'image "empty.png" is empty'
    assert sentences[2] == 'image "small.png" is 16x9 px: images need at least 16 px on each side'
    assert sentences[3].startswith('image "torn.jpg" cannot be')


def test_class_without_a_usable_image_is_dropped(folders: Folders) -> None:
    folders.picture("pets/ant/1.png", size=(2, 2))
    folders.picture("pets/bee/1.png")
    folders.picture("pets/cat/1.png")
    prepared = folders.prepare("folder:pets")
    assert prepared.classes == ("bee", "cat")
    assert prepared.labels is not None
    assert prepared.labels.tolist() == [0, 1]


def test_folder_without_a_usable_image_says_why_and_leaves_nothing(folders: Folders) -> None:
    for number in range(7):
        folders.picture(f"cats/{number}.png", size=(3, 3))
    with pytest.raises(DatasetProblem, match=r'"folder:cats" holds no usable image: image "0.png" is 3x3.*and 2 more'):
        folders.prepare("folder:cats")
    assert folders.listed() == []


@pytest.mark.parametrize("dataset", ["minst", "folder:absent", "folder:../outside", "folder:empty"])
def test_data_set_that_cannot_be_is_refused(dataset: str, folders: Folders) -> None:
    (folders.images / "empty").mkdir(parents=True)
    with pytest.raises(DatasetProblem, match=dataset):
        folders.prepare(dataset)


def test_same_images_give_the_same_bytes(folders: Folders, tmp_path: Path) -> None:
    for number in range(20):
        folders.picture(f"cats/{number}.png", color=(number, 2 * number, 3 * number))
    again = Folders(folders.datasets, folders.images, tmp_path / "again")
    first, second = folders.prepare("folder:cats", 32, 3), again.prepare("folder:cats", 32, 3)
    assert first.manifest == second.manifest
    assert first.manifest.sha256["images.u8"] == hashlib.sha256(first.images.tobytes()).hexdigest()


def test_second_preparation_reads_what_the_first_wrote(folders: Folders) -> None:
    folders.picture("cats/1.png")
    first = folders.prepare("folder:cats")
    calls: list[int] = []
    second = folders.prepare("folder:cats", on_progress=lambda done, total: calls.append(done))
    assert calls == []
    assert second.path == first.path


def test_changed_folder_is_prepared_anew_and_its_old_state_removed(folders: Folders) -> None:
    folders.picture("cats/1.png")
    old = folders.prepare("folder:cats")
    before = old.images.copy()
    other_size = folders.prepare("folder:cats", 32)
    folders.picture("cats/2.png")
    new = folders.prepare("folder:cats")
    assert new.count == 2
    assert folders.listed() == sorted([new.path.name, other_size.path.name])
    np.testing.assert_array_equal(old.images, before)  # who has it mapped keeps it


def test_pictures_are_drawn_once_and_of_a_set_prepared_without_them(folders: Folders) -> None:
    folders.picture("cats/1.png", color=(100, 50, 0))
    folder = folders.prepare("folder:cats", channels=3).path
    with Image.open(folder / "mean.png") as mean:
        assert (mean.size, mean.getpixel((5, 5))) == ((28, 28), (100, 50, 0))
    drawn = (folder / "preview.png").stat().st_mtime_ns
    folders.prepare("folder:cats", channels=3)
    assert (folder / "preview.png").stat().st_mtime_ns == drawn
    (folder / "preview.png").unlink()
    folders.prepare("folder:cats", channels=3)
    assert (folder / "preview.png").exists()


def test_two_folders_with_the_same_short_name_do_not_meet(folders: Folders) -> None:
    folders.picture("a b/1.png")
    folders.picture("a-b/1.png")
    folders.picture("a-b/2.png")
    assert folders.prepare("folder:a b").count == 1
    assert folders.prepare("folder:a-b").count == 2
    assert folders.prepare("folder:a b").count == 1
    assert len(folders.listed()) == 2


@pytest.mark.parametrize("harm", ["images.u8", "manifest.json"])
def test_damaged_preparation_is_made_anew(harm: str, folders: Folders) -> None:
    folders.picture("cats/1.png")
    path = folders.prepare("folder:cats").path
    os.truncate(path / harm, 10)
    assert read_prepared(path) is None
    assert folders.prepare("folder:cats").count == 1


def test_progress_reaches_the_total(folders: Folders) -> None:
    for number in range(3):
        folders.picture(f"cats/{number}.png")
    calls: list[tuple[int, int]] = []
    folders.prepare("folder:cats", on_progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (3, 3)


def test_exception_from_progress_ends_the_preparation_and_leaves_nothing(folders: Folders) -> None:
    folders.picture("cats/1.png")

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folders.prepare("folder:cats", on_progress=stop)
    assert folders.listed() == []


def test_file_name_that_is_no_text_is_shown_readably(folders: Folders) -> None:
    folders.picture("cats/1.png")
    (folders.images / "cats" / os.fsdecode(b"\xff.png")).touch()
    prepared = folders.prepare("folder:cats")
    assert [str(image) for image in prepared.skipped] == ['image "\ufffd.png" is empty']


def test_two_preparers_do_the_work_once(folders: Folders, tmp_path: Path) -> None:
    folders.picture("cats/1.png")
    first = start(tmp_path, "wait")
    assert first.stdout is not None
    assert first.stdout.readline() == "at work\n"
    second = start(tmp_path, "hurry")
    assert first.communicate("go on\n")[0] == "prepared 1\n"
    assert second.communicate()[0] == "prepared 1\n"


def test_killed_preparer_leaves_no_lock_and_no_junk(folders: Folders, tmp_path: Path) -> None:
    folders.picture("cats/1.png")
    victim = start(tmp_path, "wait")
    assert victim.stdout is not None
    assert victim.stdout.readline() == "at work\n"
    victim.kill()
    victim.communicate()
    assert all(name.startswith(".") for name in folders.listed())
    folders.picture("cats/2.png")  # also if what it worked on has changed since
    prepared = folders.prepare("folder:cats")
    assert folders.listed() == [prepared.path.name]


def test_write_that_fails_is_a_problem_and_leaves_nothing(folders: Folders, tmp_path: Path) -> None:
    for number in range(20):  # 15,680 bytes of pixels, into files of at most 4,096
        folders.picture(f"cats/{number}.png")
    preparer = start(tmp_path, "small-files")
    output = preparer.communicate()[0]
    assert 'problem: "folder:cats" could not be prepared in' in output
    assert "File too large" in output
    assert folders.listed() == []
    assert folders.prepare("folder:cats").count == 20


def test_lack_of_room_is_told_before_the_work_begins(folders: Folders) -> None:
    folders.picture("cats/1.png")
    with pytest.raises(DatasetProblem, match=r"needs 3,000,000,0.. MB in .*MB are free: make room"):
        folders.prepare("folder:cats", 31_622_777, 3)


def test_place_that_cannot_be_written_is_a_problem(folders: Folders) -> None:
    folders.picture("cats/1.png")
    folders.prepared.write_text("a file where a folder should be")
    with pytest.raises(DatasetProblem, match=r'"folder:cats" could not be prepared in .*exists'):
        folders.prepare("folder:cats")


def test_shipped_digits_are_prepared_verbatim(folders: Folders) -> None:
    prepared = folders.prepare("mnist-mini")
    info = BUILTIN["mnist-mini"]
    assert prepared.images.shape == (info.count, info.channels, info.size, info.size)
    assert prepared.classes == info.classes
    assert prepared.labels is not None
    assert np.bincount(prepared.labels).tolist() == [600] * 10
    assert prepared.manifest.sha256["images.u8"] == "2310bf8f1f7d51e4252173bee099a89c4c9908f6ca731e358645d95b0f62053b"


def test_shipped_digits_are_resized_and_coloured_when_asked(folders: Folders) -> None:
    plain, large = folders.prepare("mnist-mini"), folders.prepare("mnist-mini", 32, 3)
    assert large.images.shape == (6000, 3, 32, 32)
    np.testing.assert_array_equal(large.images[:, 0], large.images[:, 2])
    np.testing.assert_allclose(large.images[:50, 0].mean(axis=(1, 2)), plain.images[:50, 0].mean(axis=(1, 2)), atol=3)

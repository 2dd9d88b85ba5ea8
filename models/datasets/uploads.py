"""Where an uploaded data set lies on the disk, and what the worker tells about it: findings, a report, progress.

`uploads/ID/` holds the archive and, once it is whole, `prepared/`. An id is never used again, unlike a name.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from models.config.values import Channels, Frozen, Size
from models.files import locked

_LOCK: Final = ".lock"
_GONE: Final = ".gone-"

MEAN: Final = "mean.png"
PREVIEW: Final = "preview.png"

KEPT_EVERY: Final = 256  # images of a preparation between two points from which a later attempt can go on

Crop = Literal["centre", "whole"]
FindingKind = Literal[
    "unreadable",
    "truncated",
    "wrong_type",
    "too_small",
    "too_large",
    "extreme_shape",
    "grey",
    "transparent",
    "turned",
    "sixteen_bit",
    "cmyk",
    "duplicate",
    "near_duplicate",
    "imbalance",
    "odd_name",
]


class Options(Frozen):
    """How to prepare an upload; null: as the doctor proposes."""

    size: Size | None = None
    crop: Crop | None = None


class Finding(Frozen):
    """Something about one file, or about the set where `file` is null, that its owner should know."""

    kind: FindingKind
    file: str | None
    message: Annotated[str, Field(examples=['image "cat/17.jpg" is 16x9 px: images need at least 28 px on each side'])]
    used: Annotated[bool, Field(description="whether the image is in the prepared set")]


class Proposal(Frozen):
    """What the doctor would choose, by the images' shapes."""

    size: Size
    crop: Crop


class Report(Frozen):
    """What a prepared set holds and what was found."""

    count: int
    left_out: Annotated[int, Field(description="files that could not be used")]
    size: Size
    channels: Channels
    crop: Crop
    classes: Annotated[dict[str, int], Field(description="images of each class")]
    findings: Annotated[dict[FindingKind, int], Field(description="findings of each kind")]
    proposal: Proposal
    options: Options
    sha256: dict[str, str]


@dataclass(frozen=True)
class UploadFolder:
    """The folder of one uploaded data set."""

    path: Path

    @property
    def archive(self) -> Path:
        """The images as they came: a zip, or a tar that is not compressed."""
        return self.path / "archive"

    @property
    def work(self) -> Path:
        """What is being prepared; a later attempt goes on with it."""
        return self.path / "work"

    @property
    def prepared(self) -> Path:
        """The prepared set: there when it is whole."""
        return self.path / "prepared"

    @property
    def log(self) -> Path:
        """What the preparing processes said."""
        return self.path / "prepare.log"

    @property
    def deleted(self) -> Path:
        """There from when the data set is to be deleted: without a row, nothing here is worth keeping then."""
        return self.path / "deleted"

    @property
    def lock(self) -> Path:
        """Locked by the one process that prepares."""
        return self.path / "lock"

    def report(self) -> Report | None:
        """Read the report of the prepared set, None before it is whole."""
        try:
            return Report.model_validate_json((self.prepared / "report.json").read_bytes())
        except FileNotFoundError:
            return None

    def findings(self, start: int, limit: int) -> list[Finding]:
        """Read findings of the prepared set, `limit` of them from number `start` on."""
        try:
            with (self.prepared / "findings.jsonl").open(encoding="utf-8") as file:
                return [Finding.model_validate_json(line) for line in islice(file, start, start + limit)]
        except FileNotFoundError:
            return []

    def progress(self) -> tuple[int, int]:
        """Read how many files are done, and of how many; zeros before that is known, or where a power cut took it."""
        try:
            done, total = json.loads((self.path / "progress.json").read_bytes())
            return int(done), int(total)
        except (FileNotFoundError, ValueError, TypeError):
            return 0, 0

    def set_progress(self, done: int, total: int) -> None:
        """Tell how many files are done; a reader sees the old numbers or the new."""
        temporary = self.path / ".progress.json"
        temporary.write_text(json.dumps((done, total)))
        temporary.replace(self.path / "progress.json")

    def failure(self) -> str | None:
        """Read why the images cannot be prepared, if that was found, and no power cut took it."""
        try:
            return str(json.loads((self.path / "failure.json").read_bytes())["reason"])
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def clear_failure(self) -> None:
        """Forget why an earlier attempt could not go on."""
        (self.path / "failure.json").unlink(missing_ok=True)


@contextmanager
def new_folder(uploads_dir: Path, dataset_id: str) -> Iterator[UploadFolder]:
    """Make the folder of a new data set, and hold its lock: `sweep` leaves it alone, though it has no row yet.

    After an exception nothing of it stays.
    """
    uploads_dir.mkdir(parents=True, exist_ok=True)
    folder = UploadFolder(uploads_dir / dataset_id)
    with ExitStack() as stack:
        with locked(uploads_dir / _LOCK):
            folder.path.mkdir()
            stack.enter_context(locked(folder.lock))
        try:
            yield folder
        except BaseException:
            remove(uploads_dir, dataset_id)
            raise


def remove(uploads_dir: Path, dataset_id: str) -> None:
    """Remove the folder of a data set whose row is gone; who still works in it finds it gone."""
    with suppress(FileNotFoundError), locked(uploads_dir / _LOCK):
        _set_aside(uploads_dir / dataset_id)
    shutil.rmtree(uploads_dir / (_GONE + dataset_id), ignore_errors=True)  # what is left, the next sweep takes


def sweep(uploads_dir: Path, known: Callable[[], Collection[str]]) -> None:
    """Remove uploads that broke off, and what is left of deleted sets.

    A prepared set that nobody deleted stays even where no row names it: the database may be another than yesterday.

    Args:
        uploads_dir: where the folders are.
        known: gives the ids that have a row; it is asked once nobody works in what may go: an upload that succeeds
            has its row before it lets its folder go.
    """
    if not uploads_dir.exists():
        return
    with locked(uploads_dir / _LOCK):
        folders = [path for path in uploads_dir.iterdir() if path.is_dir()]
        gone = [path for path in folders if path.name.startswith(_GONE)]
        left = [path for path in folders if path not in gone and _is_left(path)]
        ids = known() if left else ()
        gone += [_set_aside(path) for path in left if path.name not in ids]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)  # another sweeper may be at it; what is left, the next one takes


def _is_left(folder: Path) -> bool:
    """Tell whether nobody works in a folder, and nothing came of it that somebody wants."""
    upload = UploadFolder(folder)
    if upload.prepared.exists() and not upload.deleted.exists():
        return False
    descriptor = os.open(upload.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _set_aside(folder: Path) -> Path:
    return folder.rename(folder.with_name(_GONE + folder.name))


def used_bytes(folder: Path) -> int:
    """Count what the files below a folder take, one of several names once; those that go meanwhile are left out."""
    sizes: dict[int, int] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(root, name))  # noqa: PTH118  # of many files, fast
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())

"""Folders of uploaded data sets, with the worker's findings, report and progress.

`uploads/ID/` holds the archive and, once it is complete, `prepared/`.
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

SYNC_EVERY: Final = 256  # images of a preparation between two points from which a later attempt can continue

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
    """How to prepare an upload; null: as proposed."""

    size: Size | None = None
    crop: Crop | None = None


class Finding(Frozen):
    """A finding of the validation about one file, or about the whole set where `file` is null."""

    kind: FindingKind
    file: str | None
    message: Annotated[str, Field(examples=['image "cat/17.jpg" is 16x9 px: images need at least 28 px on each side'])]
    used: Annotated[bool, Field(description="whether the image is in the prepared set")]


class Proposal(Frozen):
    """The size and crop that suit the shapes of the images."""

    size: Size
    crop: Crop


class ValidationReport(Frozen):
    """What a prepared set holds, and the findings by kind."""

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

    # Named by the id: unlike a name, an id is never used again.
    path: Path

    @property
    def archive(self) -> Path:
        """The uploaded images: a zip, or an uncompressed tar."""
        return self.path / "archive"

    @property
    def work(self) -> Path:
        # The unfinished preparation, which a later attempt continues.
        return self.path / "work"

    @property
    def prepared(self) -> Path:
        """The prepared set; it exists only when complete."""
        return self.path / "prepared"

    @property
    def log(self) -> Path:
        return self.path / "prepare.log"

    @property
    def deleted(self) -> Path:
        """Marks a deletion: once the row is gone, the folder may be removed."""
        return self.path / "deleted"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    def report(self) -> ValidationReport | None:
        """Read the report of the prepared set; None before it is complete."""
        try:
            return ValidationReport.model_validate_json((self.prepared / "report.json").read_bytes())
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
        """Read the number of files done, and the total; zeros before they are known."""
        try:
            done, total = json.loads((self.path / "progress.json").read_bytes())
            return int(done), int(total)
        # After a power cut the file may hold anything.
        except (FileNotFoundError, ValueError, TypeError):
            return 0, 0

    def set_progress(self, done: int, total: int) -> None:
        """Write the number of files done, and the total."""
        temporary = self.path / ".progress.json"
        temporary.write_text(json.dumps((done, total)))
        # Atomic: a reader sees the old numbers or the new.
        temporary.replace(self.path / "progress.json")

    def failure(self) -> str | None:
        """Read why the images cannot be prepared; None if they can."""
        try:
            return str(json.loads((self.path / "failure.json").read_bytes())["reason"])
        # After a power cut the file may hold anything.
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def clear_failure(self) -> None:
        (self.path / "failure.json").unlink(missing_ok=True)


@contextmanager
def new_folder(uploads_dir: Path, dataset_id: str) -> Iterator[UploadFolder]:
    """Create and lock the folder of a new data set; remove it after an exception."""
    uploads_dir.mkdir(parents=True, exist_ok=True)
    folder = UploadFolder(uploads_dir / dataset_id)
    with ExitStack() as stack:
        with locked(uploads_dir / _LOCK):
            # Locked from the beginning: `sweep` removes unlocked folders that have no row yet.
            folder.path.mkdir()
            stack.enter_context(locked(folder.lock))
        try:
            yield folder
        except BaseException:
            remove(uploads_dir, dataset_id)
            raise


def remove(uploads_dir: Path, dataset_id: str) -> None:
    """Remove the folder of a data set whose row is gone, even while a process works in it."""
    with suppress(FileNotFoundError), locked(uploads_dir / _LOCK):
        _mark_gone(uploads_dir / dataset_id)
    shutil.rmtree(uploads_dir / (_GONE + dataset_id), ignore_errors=True)  # `sweep` removes the rest


def sweep(uploads_dir: Path, known: Callable[[], Collection[str]]) -> None:
    """Remove interrupted uploads, and the rest of deleted sets.

    Args:
        uploads_dir: the folder of all uploads.
        known: returns the ids that have a row; called while no other process works in the candidates. An upload that
            succeeds has its row before it unlocks its folder.
    """
    if not uploads_dir.exists():
        return
    with locked(uploads_dir / _LOCK):
        folders = [path for path in uploads_dir.iterdir() if path.is_dir()]
        gone = [path for path in folders if path.name.startswith(_GONE)]
        abandoned = [path for path in folders if path not in gone and _is_abandoned(path)]
        ids = known() if abandoned else ()
        gone += [_mark_gone(path) for path in abandoned if path.name not in ids]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)  # another process may do the same; the next call removes the rest


def _is_abandoned(folder: Path) -> bool:
    """Return whether no process works in a folder and it contains no prepared set to keep."""
    upload = UploadFolder(folder)
    if upload.prepared.exists() and not upload.deleted.exists():
        # Kept even without a row: the database may have been replaced.
        return False
    descriptor = os.open(upload.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _mark_gone(folder: Path) -> Path:
    return folder.rename(folder.with_name(_GONE + folder.name))


def folder_size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    sizes: dict[int, int] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            # By inode, so that hard links count once; files may vanish meanwhile.
            with suppress(FileNotFoundError):
                status = os.lstat(os.path.join(root, name))  # noqa: PTH118  # of many files, fast
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())

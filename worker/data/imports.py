"""Prepares an uploaded archive: decodes it image by image, in the order of names, into a set to train on.

Nothing is unfolded to the disk. What is done is written down as it goes, so that a later attempt goes on where one
ended; the same images give the same bytes, whatever their order and dates in the archive.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import time
import zipfile
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from models.datasets.archives import Archive, ArchiveProblem, Contents, Limits, Member, opened
from models.datasets.catalogue import class_folders
from models.datasets.uploads import Finding, Options, Report, UploadFolder
from models.files import locked, sync_folder, write_file
from models.settings import available_cores
from worker.data.contact_sheet import draw
from worker.data.decode import Shape, Unusable, examine, shape_of
from worker.data.journal import JOURNAL, PLAN, VERSION, Journal, Plan
from worker.data.perceptual_hash import difference_hash
from worker.data.prepared import DataProblem, Manifest, seal
from worker.data.validation import Record, diagnose, propose

_AHEAD: Final = 32  # images read ahead of the writer
_AHEAD_BYTES: Final = 64 << 20
_PROGRESS_SECONDS: Final = 0.2
_TOLD: Final = 5
_GREY_TOLERANCE: Final = 8  # levels between the colours of a pixel that JPEG may leave in a grey image


class Stopped(Exception):
    """A stop was asked for; what was done is kept."""


class Preparation:
    """The preparation of one upload."""

    def __init__(
        self,
        folder: UploadFolder,
        name: str,
        options: Options,
        limits: Limits,
        max_pixels: int,
        room: Callable[[], int],
        stop_wanted: Callable[[], bool],
    ) -> None:
        """Prepare to prepare.

        Args:
            folder: where the archive lies and the prepared set will.
            name: the data set's.
            options: what its owner asked for.
            limits: those that the archive passed when it came.
            max_pixels: of an image; larger ones are left out.
            room: tells how many bytes may still be written.
            stop_wanted: asked after every image.
        """
        self._folder = folder
        self._name = name
        self._options = options
        self._limits = limits
        self._max_pixels = max_pixels
        self._room = room
        self._stop_wanted = stop_wanted
        self._budget = _Budget(max_pixels)
        self._told = 0.0

    def run(self) -> Report:
        """Prepare, or go on with it, or find that it was done; one process at a time.

        Raises:
            DataProblem: the archive holds nothing that can be used, or there is no room.
            Stopped: a stop was asked for.
        """
        with locked(self._folder.lock):
            report = self._folder.report()
            if report is not None and report.options == self._options:
                return report
            try:
                with opened(self._folder.archive, self._limits) as (archive, contents):
                    self._work(archive, contents)
            except ArchiveProblem as problem:
                raise DataProblem(str(problem)) from problem
            done = self._folder.report()
        assert done is not None
        return done

    def _work(self, archive: Archive, contents: Contents) -> None:
        plan = self._plan(archive, contents.images)
        classes, labels = _labels(contents.images)
        with Journal(self._folder.work, plan) as journal:
            start = len(journal.records)
            self._check_room(plan, len(contents.images) - start)
            looks = self._look_at(archive, contents.images[start:], labels[start:], plan)
            for record, pixels in looks:
                journal.add(record, pixels)
                self._tell_progress(len(journal.records), len(contents.images))
                self._check_stop()
        _finish(self._folder, self._name, plan, journal.records, classes, contents)

    def _check_room(self, plan: Plan, images: int) -> None:
        missing, room = images * plan.image_bytes, self._room()
        if missing > room:
            raise DataProblem(
                f"at {plan.size} px the images take {missing / 1e6:,.0f} MB more, and there is room for "
                f"{max(0, room) / 1e6:,.0f} MB: delete another data set, choose a smaller size, or raise "
                "ATELIER_UPLOADS_QUOTA_BYTES"
            )

    def _tell_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told > _PROGRESS_SECONDS or done == total:
            self._folder.set_progress(done, total)
            self._told = now

    def _check_stop(self) -> None:
        if self._stop_wanted():
            raise Stopped

    def _plan(self, archive: Archive, images: Sequence[Member]) -> Plan:
        """Decide by the headers of all images what they are made into, or read what was decided."""
        path = self._folder.work / PLAN
        with suppress(FileNotFoundError, NotADirectoryError, ValidationError):
            plan = Plan.model_validate_json(path.read_bytes())
            if plan.options == self._options and plan.version == VERSION:
                return plan
        shutil.rmtree(self._folder.work, ignore_errors=True)
        shutil.rmtree(self._folder.prepared, ignore_errors=True)
        shapes = list(self._shapes(archive, images))
        proposal = propose(shapes)
        plan = Plan(
            options=self._options,
            size=self._options.size or proposal.size,
            channels=1 if shapes and all(shape.grey for shape in shapes) else 3,
            crop=self._options.crop or proposal.crop,
            proposal=proposal,
        )
        self._folder.work.mkdir()
        write_file(path, plan.model_dump_json().encode())
        return plan

    def _shapes(self, archive: Archive, images: Sequence[Member]) -> Iterator[Shape]:
        for member in images:
            self._check_stop()
            with suppress(Unusable, *_UNREADABLE), archive.open(member) as file:
                yield shape_of(file, self._max_pixels)

    def _look_at(
        self, archive: Archive, members: Sequence[Member], labels: Sequence[int | None], plan: Plan
    ) -> Iterator[_Look]:
        """Decode on several threads, a bounded number of images ahead; give them in order."""
        waiting: deque[tuple[int, Future[_Look]]] = deque()
        with ThreadPoolExecutor(min(4, available_cores())) as pool:
            held = 0
            for member, label in zip(members, labels, strict=True):
                data = _read(archive, member)
                waiting.append((len(data), pool.submit(self._look, member.name, data, label, plan)))
                held += len(data)
                while len(waiting) > _AHEAD or held > _AHEAD_BYTES:
                    size, look = waiting.popleft()
                    held -= size
                    yield look.result()
            while waiting:
                yield waiting.popleft()[1].result()

    def _look(self, name: str, data: bytes, label: int | None, plan: Plan) -> _Look:
        try:
            shape = shape_of(io.BytesIO(data), self._max_pixels)
            with self._budget.taken(shape.width * shape.height):
                seen = examine(io.BytesIO(data), plan.size, plan.channels, plan.crop, self._max_pixels)
        except Unusable as reason:
            message = "is empty, or damaged in the archive" if not data else str(reason)
            return _Look(Record(name, reason.kind, message, None, 0, 0, (), "", None, False), None)
        spread = np.ptp(seen.pixels, axis=0).max() if plan.channels == 3 else 0
        record = Record(
            *(name, None, None, label, seen.width, seen.height, seen.done),
            digest=hashlib.sha256(data).hexdigest()[:32],
            likeness=difference_hash(seen.pixels),
            grey=bool(spread <= _GREY_TOLERANCE),
        )
        return _Look(record, seen.pixels)


class _Look(NamedTuple):
    record: Record
    pixels: NDArray[np.uint8] | None


# What the archives' readers raise for a file whose bytes are not what the archive says.
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


def _read(archive: Archive, member: Member) -> bytes:
    """Read a file out of the archive; nothing where it is damaged there."""
    try:
        with archive.open(member) as file:
            return file.read()
    except _UNREADABLE:
        return b""


def _labels(images: Sequence[Member]) -> tuple[list[str], list[int | None]]:
    paths = [Path(member.name) for member in images]
    root, classes = class_folders(paths)
    index = {name: label for label, name in enumerate(classes)}
    return classes, [index.get(path.relative_to(root).parts[0]) for path in paths]


class _Budget:
    """Pixels that may be decoded at once: one huge image, or several of the usual size."""

    def __init__(self, pixels: int) -> None:
        self._most = pixels
        self._left = pixels
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait for room for an image."""
        pixels = min(pixels, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._left >= pixels)
            self._left -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._left += pixels
                self._changed.notify_all()


def _finish(
    folder: UploadFolder, name: str, plan: Plan, records: Sequence[Record], classes: Sequence[str], contents: Contents
) -> None:
    """Seal the set, write what was found, and let it appear."""
    used = [record for record in records if record.kind is None]
    if not used:
        reasons = "; ".join(f'"{record.name}" {record.reason}' for record in records[:_TOLD])
        raise DataProblem(f"no image can be used: {reasons}")
    labels = [record.label for record in used if record.label is not None]
    manifest = seal(folder.work, name, plan.size, plan.channels, labels, classes)
    findings = diagnose(records, classes, contents.others, contents.renamed)
    draw(folder.work, manifest)
    _tell(folder.work, plan, manifest, findings, Counter(classes[label] for label in labels))
    sync_folder(folder.work)
    folder.work.rename(folder.prepared)
    sync_folder(folder.path)
    for leftover in (JOURNAL, PLAN):
        (folder.prepared / leftover).unlink()


def _tell(work: Path, plan: Plan, manifest: Manifest, findings: Sequence[Finding], counts: Counter[str]) -> None:
    lines = "".join(finding.model_dump_json() + "\n" for finding in findings)
    report = Report(
        count=manifest.count,
        left_out=sum(not finding.used for finding in findings),
        size=plan.size,
        channels=plan.channels,
        crop=plan.crop,
        classes={name: counts[name] for name in manifest.classes},
        findings=dict(sorted(Counter(finding.kind for finding in findings).items())),
        proposal=plan.proposal,
        options=plan.options,
        sha256=manifest.sha256,
    )
    for name, text in (("findings.jsonl", lines), ("report.json", report.model_dump_json(indent=1))):
        (work / name).unlink(missing_ok=True)
        write_file(work / name, text.encode())

"""Uploaded data sets: an archive is decoded image by image, in the order of names, into a prepared set.

Nothing is unpacked to the disk. The same images give the same bytes, independent of their order and dates in the
archive.
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

from models.datasets.archives import Archive, ArchiveProblem, Contents, Limits, Member, open_archive
from models.datasets.catalogue import DatasetProblem, class_folders
from models.datasets.uploads import Finding, Options, UploadFolder, ValidationReport
from models.files import locked, sync_folder, write_file
from models.records import Records
from models.settings import available_cores
from worker.data.decode import ImageHeader, UnusableImage, decode_image, read_header
from worker.data.journal import JOURNAL, PLAN, VERSION, PreparationJournal, PreparationPlan
from worker.data.perceptual_hash import difference_hash
from worker.data.prepared import Prepared, PreparedManifest, draw_pictures, finish_prepared, read_prepared
from worker.data.reduction import reduced
from worker.data.validation import ImageRecord, list_findings, propose_preparation

_PREFETCH: Final = 32  # images read ahead of the writer
_PREFETCH_BYTES: Final = 64 << 20
_PROGRESS_SECONDS: Final = 0.2
_MAX_REASONS: Final = 5  # in an error message
_GREY_TOLERANCE: Final = 8  # levels between the colours of a pixel that JPEG may leave in a grey image
# Errors of the archives' readers for damaged files.
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


class PreparationStopped(Exception):
    """A stop was requested; finished work is kept."""


class _Processed(NamedTuple):
    """The record of an image, and its pixels uint8 `[C, H, W]` if it is used."""

    record: ImageRecord
    pixels: NDArray[np.uint8] | None


class UploadPreparation:
    """The preparation of one upload."""

    def __init__(
        self,
        folder: UploadFolder,
        name: str,
        options: Options,
        limits: Limits,
        max_pixels: int,
        free_bytes: Callable[[], int],
        stop_wanted: Callable[[], bool],
    ) -> None:
        """Describe a preparation.

        Args:
            folder: of the archive and of the prepared set.
            name: of the data set.
            options: as requested by its owner.
            limits: of the archive.
            max_pixels: of an image; larger ones are left out.
            free_bytes: returns how many bytes may still be written.
            stop_wanted: called after every image.
        """
        self._folder = folder
        self._name = name
        self._options = options
        self._limits = limits
        self._max_pixels = max_pixels
        self._free_bytes = free_bytes
        self._stop_wanted = stop_wanted
        self._pixels = _PixelSemaphore(max_pixels)
        self._reported = 0.0

    def run(self) -> ValidationReport:
        """Prepare, or continue, or return the report of a set that is prepared; one process at a time.

        Raises:
            DatasetProblem: the archive holds nothing that can be used, or there is no disk space.
            PreparationStopped: a stop was requested.
        """
        with locked(self._folder.lock):
            report = self._folder.report()
            if report is not None and report.options == self._options:
                return report
            try:
                with open_archive(self._folder.archive, self._limits) as (archive, contents):
                    self._prepare(archive, contents)
            except ArchiveProblem as problem:
                raise DatasetProblem(str(problem)) from problem
            done = self._folder.report()
        assert done is not None
        return done

    def _prepare(self, archive: Archive, contents: Contents) -> None:
        plan = self._plan(archive, contents.images)
        classes, labels = _labels(contents.images)
        with PreparationJournal(self._folder.work, plan) as journal:
            start = len(journal.records)
            self._check_space(plan, len(contents.images) - start)
            for record, pixels in self._process_all(archive, contents.images[start:], labels[start:], plan):
                journal.add(record, pixels)
                self._report_progress(len(journal.records), len(contents.images))
                self._check_stop()
        _finish(self._folder, self._name, plan, journal.records, classes, contents)

    def _check_space(self, plan: PreparationPlan, images: int) -> None:
        needed, free = images * plan.shape.values, self._free_bytes()
        if needed > free:
            raise DatasetProblem(
                f"at {plan.size} px the images take {needed / 1e6:,.0f} MB more, and there is room for "
                f"{max(0, free) / 1e6:,.0f} MB: delete another data set, choose a smaller size, or raise "
                "ATELIER_UPLOADS_QUOTA_BYTES"
            )

    def _report_progress(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._reported > _PROGRESS_SECONDS or done == total:
            self._folder.set_progress(done, total)
            self._reported = now

    def _check_stop(self) -> None:
        if self._stop_wanted():
            raise PreparationStopped

    def _plan(self, archive: Archive, images: Sequence[Member]) -> PreparationPlan:
        """Read an earlier attempt's plan, or make one from the headers of all images."""
        path = self._folder.work / PLAN
        with suppress(FileNotFoundError, NotADirectoryError, ValidationError):
            plan = PreparationPlan.model_validate_json(path.read_bytes())
            if plan.options == self._options and plan.version == VERSION:
                return plan
        shutil.rmtree(self._folder.work, ignore_errors=True)
        shutil.rmtree(self._folder.prepared, ignore_errors=True)
        headers = list(self._headers(archive, images))
        proposal = propose_preparation(headers)
        plan = PreparationPlan(
            options=self._options,
            size=self._options.size or proposal.size,
            channels=1 if headers and all(header.grey for header in headers) else 3,
            crop=self._options.crop or proposal.crop,
            proposal=proposal,
        )
        # Written before the first image: a later attempt must not choose another size for the rest.
        self._folder.work.mkdir()
        write_file(path, plan.model_dump_json().encode())
        return plan

    def _headers(self, archive: Archive, images: Sequence[Member]) -> Iterator[ImageHeader]:
        for member in images:
            self._check_stop()
            with suppress(UnusableImage, *_UNREADABLE), archive.open(member) as file:
                yield read_header(file, self._max_pixels)

    def _process_all(
        self, archive: Archive, members: Sequence[Member], labels: Sequence[int | None], plan: PreparationPlan
    ) -> Iterator[_Processed]:
        """Decode on several threads and yield the images in order."""
        # A bounded number of images ahead bounds memory.
        waiting: deque[tuple[int, Future[_Processed]]] = deque()
        # Archives are read on this thread alone, since their readers share a file position; decoding runs in parallel.
        with ThreadPoolExecutor(min(4, available_cores())) as pool:
            held = 0
            for member, label in zip(members, labels, strict=True):
                data = _read(archive, member)
                waiting.append((len(data), pool.submit(self._process, member.name, data, label, plan)))
                held += len(data)
                while len(waiting) > _PREFETCH or held > _PREFETCH_BYTES:
                    size, processed = waiting.popleft()
                    held -= size
                    yield processed.result()
            while waiting:
                yield waiting.popleft()[1].result()

    def _process(self, name: str, data: bytes, label: int | None, plan: PreparationPlan) -> _Processed:
        try:
            header = read_header(io.BytesIO(data), self._max_pixels)
            with self._pixels.acquire(header.width * header.height):
                image = decode_image(io.BytesIO(data), plan.shape, plan.crop, self._max_pixels)
        except UnusableImage as reason:
            message = "is empty, or damaged in the archive" if not data else str(reason)
            return _Processed(ImageRecord(name, reason.kind, message, None, 0, 0, (), "", None, False), None)
        spread = np.ptp(image.pixels, axis=0).max() if plan.channels == 3 else 0
        record = ImageRecord(
            *(name, None, None, label, image.width, image.height, image.conversions),
            digest=hashlib.sha256(data).hexdigest()[:32],
            perceptual_hash=difference_hash(image.pixels),
            grey=bool(spread <= _GREY_TOLERANCE),
        )
        return _Processed(record, image.pixels)


def _read(archive: Archive, member: Member) -> bytes:
    """Read a file of the archive; empty if it is damaged there."""
    try:
        with archive.open(member) as file:
            return file.read()
    except _UNREADABLE:
        return b""


def _labels(images: Sequence[Member]) -> tuple[list[str], list[int | None]]:
    """Return the class names, and a label for each image."""
    paths = [Path(member.name) for member in images]
    root, classes = class_folders(paths)
    index = {name: label for label, name in enumerate(classes)}
    return classes, [index.get(path.relative_to(root).parts[0]) for path in paths]


class _PixelSemaphore:
    """Bounds the pixels that are decoded at once: one huge image, or several usual ones."""

    def __init__(self, pixels: int) -> None:
        self._limit = pixels
        self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def acquire(self, pixels: int) -> Iterator[None]:
        """Hold `pixels` of the bound while the block runs; wait until they are free."""
        pixels = min(pixels, self._limit)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= pixels)
            self._free -= pixels
        try:
            yield
        finally:
            with self._changed:
                self._free += pixels
                self._changed.notify_all()


def _finish(
    folder: UploadFolder,
    name: str,
    plan: PreparationPlan,
    records: Sequence[ImageRecord],
    classes: Sequence[str],
    contents: Contents,
) -> None:
    """Complete the prepared set, write the findings and the report, and rename the folder to its place."""
    used = [record for record in records if record.kind is None]
    if not used:
        reasons = "; ".join(f'"{record.name}" {record.reason}' for record in records[:_MAX_REASONS])
        raise DatasetProblem(f"no image can be used: {reasons}")
    labels = [record.label for record in used if record.label is not None]
    manifest = finish_prepared(folder.work, name, plan.size, plan.channels, labels, classes)
    findings = list_findings(records, classes, contents.others, contents.odd_names)
    draw_pictures(folder.work, manifest)
    _write_report(folder.work, plan, manifest, findings, Counter(classes[label] for label in labels))
    # Everything is on the disk before the name appears, so that no power cut leaves an incomplete set behind.
    sync_folder(folder.work)
    folder.work.rename(folder.prepared)
    sync_folder(folder.path)
    for leftover in (JOURNAL, PLAN):
        (folder.prepared / leftover).unlink()


def _write_report(
    work: Path, plan: PreparationPlan, manifest: PreparedManifest, findings: Sequence[Finding], counts: Counter[str]
) -> None:
    lines = "".join(finding.model_dump_json() + "\n" for finding in findings)
    report = ValidationReport(
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


def open_upload(dataset: str, size: int, channels: int, *, records: Records, uploads_dir: Path) -> Prepared:
    """Open the prepared set of an uploaded data set, by its name, reduced to a smaller size where that is asked for.

    Raises:
        DatasetProblem: there is none of that name, it is not ready, or its images are smaller or of another kind.
        OSError: a reduced set could not be written, such as on a full disk.
        RecordsUnavailable: the database did not respond.
    """
    row = records.get_dataset(dataset)
    if row is None:
        raise DatasetProblem(f'there is no data set "{dataset}" any more: upload it again, or start a run on another')
    folder = UploadFolder(uploads_dir / row.id)
    prepared = read_prepared(folder.prepared) if row.state == "ready" else None
    if prepared is None:
        raise DatasetProblem(f'the data set "{dataset}" is {row.state} and cannot be read: see GET /datasets/{dataset}')
    manifest = prepared.manifest
    if manifest.size < size or manifest.channels != channels:
        raise DatasetProblem(
            f'the data set "{dataset}" has {manifest.channels}x{manifest.size}x{manifest.size} images, the run needs '
            f"{channels}x{size}x{size}"
        )
    # In the data set's own folder, so that it is deleted and counted with it.
    return reduced(prepared, size, folder.path)

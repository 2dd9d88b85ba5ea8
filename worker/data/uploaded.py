"""Opens what was prepared of an uploaded data set, by its name."""

from __future__ import annotations

from pathlib import Path

from models.datasets.uploads import UploadFolder
from models.records import Records
from worker.data.prepared import DataProblem, Prepared, read


def open_uploaded(dataset: str, size: int, channels: int, *, records: Records, uploads_dir: Path) -> Prepared:
    """Give an uploaded data set, which was prepared when it came.

    Raises:
        DataProblem: there is none of that name, it is not ready, or its images are of another size or kind.
        RecordsUnavailable: the database did not answer.
    """
    row = records.get_dataset(dataset)
    if row is None:
        raise DataProblem(f'there is no data set "{dataset}" any more: upload it again, or start a run on another')
    prepared = read(UploadFolder(uploads_dir / row.id).prepared) if row.state == "ready" else None
    if prepared is None:
        raise DataProblem(f'the data set "{dataset}" is {row.state} and cannot be read: see GET /datasets/{dataset}')
    manifest = prepared.manifest
    if (manifest.size, manifest.channels) != (size, channels):
        raise DataProblem(
            f'the data set "{dataset}" has {manifest.channels}x{manifest.size}x{manifest.size} images, the run needs '
            f"{channels}x{size}x{size}"
        )
    return prepared

"""A data set as clients see it, built in or uploaded; and whether a training may use it.

Rows are `models.records`'s, files `models.datasets`'s, preparing the workers'; receiving is `app.datasets_upload`'s.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from app.house import House
from app.problems import Problem, phrase
from models import catalogue, presets
from models.catalogue import BUILTIN, FOLDER, BuiltinDataset, DatasetProblem, UnknownDataset
from models.config import TrainingConfig
from models.datasets.uploads import PREVIEW, Crop, Finding, FindingKind, Options, Report, UploadFolder
from models.presets import Proposed
from models.records import Dataset

SHOWN_FINDINGS = 200


class DatasetProgress(BaseModel):
    """How far a preparation is."""

    done: int = Field(description="files looked at")
    total: int = Field(description="files to look at; 0 before that is known")
    fraction: float


class ProposalView(BaseModel):
    """What the doctor would choose; `train` is what `POST /train` takes for the set as it is prepared."""

    size: int
    crop: Crop
    train: dict[str, Any] | None = Field(description="null: no preset is made for images of this size")


class DatasetView(BaseModel):
    """A data set and what is known about it; what is not known yet is null."""

    name: str
    title: str
    state: Annotated[
        Literal["ready", "remote", "preparing", "failed"],
        Field(description="remote: its files are downloaded when a run first needs them"),
    ]
    count: int | None = Field(description="images")
    classes: tuple[str, ...]
    class_counts: dict[str, int] | None = None
    size: int | None = Field(description="pixels on each side")
    channels: int | None = Field(description="1: grey; 3: colour")
    licence: str | None = None
    source: str | None = None
    options: Options | None = Field(default=None, description="what was asked for when it was uploaded")
    crop: Crop | None = None
    progress: DatasetProgress | None = None
    pictures: bool = Field(default=False, description="whether `preview.png` and `mean.png` are there")
    left_out: int = Field(default=0, description="files that could not be used")
    finding_counts: dict[FindingKind, int] = {}
    proposal: ProposalView | None = None
    bytes: int | None = Field(default=None, description="size of the upload")
    error: str | None = None
    created_at: AwareDatetime | None = None


class DatasetDetail(DatasetView):
    """A data set with what was found in it."""

    findings: list[Finding] = Field(description=f"the first {SHOWN_FINDINGS}; `/datasets/NAME/findings` gives all")


def describe_builtin(house: House, dataset: BuiltinDataset) -> DatasetView:
    """Describe a data set that every installation knows."""
    return DatasetView.model_validate(
        {
            **dataset.model_dump(exclude={"folder", "counts"}),
            "state": "ready" if dataset.is_here(house.settings.datasets_dir) else "remote",
            "count": dataset.count,
            "class_counts": dict(zip(dataset.classes, dataset.counts, strict=True)),
            "pictures": pictures_of_builtin(house, dataset) is not None,
        }
    )


def pictures_of_builtin(house: House, dataset: BuiltinDataset) -> Path | None:
    """Find the folder of a built-in set's pictures; None before it was prepared as it was published."""
    prepared = house.settings.prepared_dir.glob(f"{dataset.name}-{dataset.size}-{dataset.channels}-{'[0-9a-f]' * 16}")
    return next((folder for folder in prepared if (folder / PREVIEW).exists()), None)


def describe_upload(row: Dataset) -> DatasetView:
    """Describe an uploaded data set by its row."""
    report = Report.model_validate(row.report) if row.report else None
    known: dict[str, Any] = {}
    if report is not None:
        known = report.model_dump(include={"count", "size", "channels", "crop", "left_out"})
        known |= {"classes": tuple(report.classes), "class_counts": report.classes or None}
        known |= {"finding_counts": report.findings, "proposal": _proposal(row.name, report)}
    empty = {"count": None, "classes": (), "size": None, "channels": None}
    fraction = row.done / row.total if row.total else 0.0
    working = row.state == "preparing"
    return DatasetView.model_validate(
        {
            **empty,
            **known,
            "name": row.name,
            "title": row.name,
            "state": row.state,
            "options": row.options,
            "pictures": row.state == "ready",
            "progress": {"done": row.done, "total": row.total, "fraction": fraction} if working else None,
            "bytes": row.bytes,
            "error": row.error,
            "created_at": row.created_at,
        }
    )


def _proposal(name: str, report: Report) -> dict[str, Any]:
    return {**report.proposal.model_dump(), "train": _training_for(name, report)}


def _training_for(name: str, report: Report) -> dict[str, Any] | None:
    """Find the preset for so many images of this kind; the colours may be overridden, networks are made for a size."""
    fitting = {
        preset.proposed.most_images or math.inf: preset
        for preset in presets.load().values()
        if preset.proposed and preset.training["size"] == report.size and _suits(preset.proposed, report)
    }
    if not fitting:
        return None
    best = fitting[min(fitting)]
    request: dict[str, Any] = {"preset": best.name, "dataset": name}
    if name not in presets.RESERVED_MODELS:
        request["model"] = name
    if best.training.get("channels") != report.channels:
        request["overrides"] = {"channels": report.channels}
    return request


def _suits(proposed: Proposed, report: Report) -> bool:
    few = proposed.most_images is None or report.count <= proposed.most_images
    return few and report.channels in proposed.channels


def find_upload(house: House, name: str) -> Dataset:
    """Read an uploaded data set's row.

    Raises:
        Problem: 404, there is none.
    """
    row = house.records.get_dataset(name)
    if row is None:
        raise Problem(404, phrase(404), f'there is no data set "{name}": known are {", ".join(_names(house))}')
    return row


def folder_of(house: House, row: Dataset) -> UploadFolder:
    """Give the folder of an uploaded data set."""
    return UploadFolder(house.settings.uploads_dir / row.id)


def _names(house: House) -> list[str]:
    return [*BUILTIN, *(row.name for row in house.records.list_datasets())]


def classes(house: House, name: str) -> tuple[str, ...]:
    """Name a data set's classes, label by label; none where it has no labels, or is no prepared upload.

    Raises:
        DatasetProblem: it is unknown, or its folder cannot be used.
    """
    if not catalogue.is_uploaded(name):
        return catalogue.classes(name, house.settings.images_dir)
    row = house.records.get_dataset(name)
    return tuple(row.report.get("classes", ())) if row is not None else ()


def check(house: House, config: TrainingConfig) -> None:
    """Refuse a training on a data set that it cannot use.

    Raises:
        DatasetProblem: the data set is unknown, not ready, or of another size or number of channels.
    """
    name = config.dataset
    if not catalogue.is_uploaded(name):
        catalogue.check(name, house.settings.images_dir)
        return
    row = house.records.get_dataset(name)
    if row is None:
        raise UnknownDataset(
            f'unknown data set "{name}": known are {", ".join(_names(house))}, and {FOLDER}PATH for a folder of '
            f"images below {house.settings.images_dir}"
        )
    if row.state == "preparing":
        raise DatasetProblem(f'"{name}" is still being prepared: wait until GET /datasets/{name} says "ready"')
    if row.state == "failed":
        raise DatasetProblem(f'"{name}" could not be prepared: {row.error}')
    report = Report.model_validate(row.report)
    if report.size != config.size:
        raise DatasetProblem(
            f'"{name}" was prepared at {report.size} px and the preset "{config.preset}" trains at {config.size} px: '
            f"use another preset{_hint(name, report)}, or make a copy of it with size={config.size}"
        )
    if report.channels != config.channels:
        kinds = {1: "grey", 3: "colour"}
        raise DatasetProblem(
            f'"{name}" holds {kinds[report.channels]} images and the preset "{config.preset}" trains on '
            f'{kinds[config.channels]} ones: add "overrides": {{"channels": {report.channels}}}'
        )


def _hint(name: str, report: Report) -> str:
    request = _training_for(name, report)
    return f", such as {request['preset']}" if request else ""

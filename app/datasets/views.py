"""A data set as clients see it, built in or uploaded; and whether a training may use it.

Rows are `models.records`'s, files `models.datasets`'s, preparing the workers'; receiving is `app.datasets.upload`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from app.http.problems import Problem, phrase
from app.state import AppState
from models.config import presets
from models.datasets import catalogue
from models.datasets.catalogue import BUILTIN, FOLDER, BuiltinDataset, DatasetProblem, UnknownDataset
from models.datasets.folders import of_folder
from models.datasets.info import DatasetInfo, of_builtin, of_upload
from models.datasets.uploads import PREVIEW, Crop, Finding, FindingKind, Options, Report, UploadFolder
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


def describe_builtin(app_state: AppState, dataset: BuiltinDataset) -> DatasetView:
    """Describe a data set that every installation knows."""
    return DatasetView.model_validate(
        {
            **dataset.model_dump(exclude={"folder", "counts"}),
            "state": "ready" if dataset.is_here(app_state.settings.datasets_dir) else "remote",
            "count": dataset.count,
            "class_counts": dict(zip(dataset.classes, dataset.counts, strict=False)),
            "pictures": pictures_of_builtin(app_state, dataset) is not None,
        }
    )


def pictures_of_builtin(app_state: AppState, dataset: BuiltinDataset) -> Path | None:
    """Find the folder of a built-in set's pictures; None before it was prepared as it was published."""
    prepared = app_state.settings.prepared_dir.glob(
        f"{dataset.name}-{dataset.size}-{dataset.channels}-{'[0-9a-f]' * 16}"
    )
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
    best = presets.proposed(report.size, report.channels, report.count)
    if best is None:
        return None
    request: dict[str, Any] = {"preset": best.name, "dataset": name}
    if name not in presets.RESERVED_MODELS:
        request["model"] = name
    overrides: dict[str, int] = {}
    if best.training.get("channels") != report.channels:
        overrides["channels"] = report.channels
    if best.training.get("batch_size", 0) > report.count > 1:
        overrides["batch_size"] = report.count
    return {**request, "overrides": overrides} if overrides else request


def find_upload(app_state: AppState, name: str) -> Dataset:
    """Read an uploaded data set's row.

    Raises:
        Problem: 404, there is none.
    """
    row = app_state.records.get_dataset(name)
    if row is None:
        raise Problem(404, phrase(404), f'there is no data set "{name}": known are {", ".join(_names(app_state))}')
    return row


def folder_of(app_state: AppState, row: Dataset) -> UploadFolder:
    """Give the folder of an uploaded data set."""
    return UploadFolder(app_state.settings.uploads_dir / row.id)


def _names(app_state: AppState) -> list[str]:
    return [*BUILTIN, *(row.name for row in app_state.records.list_datasets())]


def facts(app_state: AppState, name: str) -> DatasetInfo:
    """Give what is known of a data set that a training may use.

    Raises:
        DatasetProblem: it is unknown or not ready, or a folder cannot be used.
    """
    if name in BUILTIN:
        return of_builtin(name)
    if not catalogue.is_uploaded(name):
        return of_folder(name, app_state.settings.images_dir)
    row = app_state.records.get_dataset(name)
    if row is None:
        raise UnknownDataset(
            f'unknown data set "{name}": known are {", ".join(_names(app_state))}, and {FOLDER}PATH for a folder of '
            f"images below {app_state.settings.images_dir}"
        )
    if row.state == "preparing":
        raise DatasetProblem(f'"{name}" is still being prepared: wait until GET /datasets/{name} says "ready"')
    if row.state == "failed":
        raise DatasetProblem(f'"{name}" could not be prepared: {row.error}')
    return of_upload(name, Report.model_validate(row.report))

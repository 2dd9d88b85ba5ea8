"""Views of data sets, built in or uploaded, and the information that a training needs about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field

from app.http.problems import Problem, phrase
from app.state import AppState
from models.config.presets import AUTO
from models.config.values import CHOSEN_SIZES
from models.datasets import catalogue
from models.datasets.catalogue import BUILTIN, FOLDER, BuiltinDataset, DatasetProblem, UnknownDataset
from models.datasets.folders import folder_info
from models.datasets.info import DatasetInfo, builtin_info, upload_info
from models.datasets.uploads import PREVIEW, Crop, Finding, FindingKind, Options, UploadFolder, ValidationReport
from models.records import Dataset

SHOWN_FINDINGS = 200


class DatasetProgress(BaseModel):
    """Progress of a preparation."""

    done: int = Field(description="files read")
    total: int = Field(description="files to read; 0 before that is known")
    fraction: float


class ProposalView(BaseModel):
    """The size and crop that suit the images; `train` is a body for `POST /train` with the set as it is prepared."""

    size: int
    crop: Crop
    train: dict[str, Any] | None = Field(description="null: nothing can be trained on such images")


class DatasetView(BaseModel):
    """A data set; unknown values are null."""

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
    options: Options | None = Field(default=None, description="as requested with the upload")
    crop: Crop | None = None
    progress: DatasetProgress | None = None
    pictures: bool = Field(default=False, description="whether `preview.png` and `mean.png` exist")
    left_out: int = Field(default=0, description="files that could not be used")
    finding_counts: dict[FindingKind, int] = {}
    proposal: ProposalView | None = None
    bytes: int | None = Field(default=None, description="size of the upload")
    error: str | None = None
    created_at: AwareDatetime | None = None


class DatasetDetail(DatasetView):
    """A data set with its findings."""

    findings: list[Finding] = Field(description=f"the first {SHOWN_FINDINGS}; `/datasets/NAME/findings` lists all")


def builtin_view(app_state: AppState, dataset: BuiltinDataset) -> DatasetView:
    return DatasetView.model_validate(
        {
            **dataset.model_dump(exclude={"folder", "counts"}),
            "state": "ready" if dataset.is_available(app_state.settings.datasets_dir) else "remote",
            "count": dataset.count,
            "class_counts": dict(zip(dataset.classes, dataset.counts, strict=False)),
            "pictures": builtin_picture_folder(app_state, dataset) is not None,
        }
    )


def builtin_picture_folder(app_state: AppState, dataset: BuiltinDataset) -> Path | None:
    """Return the folder of a built-in set's pictures; None before it is prepared in its original size."""
    prepared = app_state.settings.prepared_dir.glob(
        f"{dataset.name}-{dataset.size}-{dataset.channels}-{'[0-9a-f]' * 16}"
    )
    return next((folder for folder in prepared if (folder / PREVIEW).exists()), None)


def upload_view(row: Dataset) -> DatasetView:
    report = ValidationReport.model_validate(row.report) if row.report else None
    known: dict[str, Any] = {}
    if report is not None:
        known = report.model_dump(include={"count", "size", "channels", "crop", "left_out"})
        known |= {"classes": tuple(report.classes), "class_counts": report.classes or None}
        known |= {"finding_counts": report.findings, "proposal": _proposal(row.name, report)}
    empty = {"count": None, "classes": (), "size": None, "channels": None}
    fraction = row.done / row.total if row.total else 0.0
    preparing = row.state == "preparing"
    return DatasetView.model_validate(
        {
            **empty,
            **known,
            "name": row.name,
            "title": row.name,
            "state": row.state,
            "options": row.options,
            "pictures": row.state == "ready",
            "progress": {"done": row.done, "total": row.total, "fraction": fraction} if preparing else None,
            "bytes": row.bytes,
            "error": row.error,
            "created_at": row.created_at,
        }
    )


def _proposal(name: str, report: ValidationReport) -> dict[str, Any]:
    return {**report.proposal.model_dump(), "train": _training_for(name, report)}


def _training_for(name: str, report: ValidationReport) -> dict[str, Any] | None:
    """Return a request that suits the data set on any machine; None for images that nothing can be trained on."""
    if report.count < 2 or report.size < CHOSEN_SIZES[0]:
        return None
    return {"preset": AUTO, "dataset": name}


def find_upload(app_state: AppState, name: str) -> Dataset:
    """Read an uploaded data set's row.

    Raises:
        Problem: 404, there is none.
    """
    row = app_state.records.get_dataset(name)
    if row is None:
        raise Problem(404, phrase(404), f'there is no data set "{name}": known are {", ".join(_names(app_state))}')
    return row


def upload_folder(app_state: AppState, row: Dataset) -> UploadFolder:
    return UploadFolder(app_state.settings.uploads_dir / row.id)


def _names(app_state: AppState) -> list[str]:
    return [*BUILTIN, *(row.name for row in app_state.records.list_datasets())]


def dataset_info(app_state: AppState, name: str) -> DatasetInfo:
    """Return the information on a data set that a training may use.

    Raises:
        DatasetProblem: it is unknown or not ready, or a folder cannot be used.
    """
    if name in BUILTIN:
        return builtin_info(name)
    if not catalogue.is_uploaded(name):
        return folder_info(name, app_state.settings.images_dir)
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
    return upload_info(name, ValidationReport.model_validate(row.report))

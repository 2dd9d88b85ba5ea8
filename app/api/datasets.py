"""`/datasets`: sets of images to train on, built in or uploaded; workers prepare them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import contextmanager_in_threadpool
from pydantic import Field, ValidationError
from starlette.concurrency import run_in_threadpool

from app.api.dependencies import AppStateDep, no_query
from app.datasets import views as datasets
from app.datasets.upload import UploadWriter, check_space, link_or_copy, receive_upload
from app.datasets.views import SHOWN_FINDINGS, DatasetDetail, DatasetView
from app.http.paging import Page, PagingQuery, page
from app.http.problems import Problem, invalid, phrase, responses, retry_later
from app.security.keys import Requires
from app.state import AppState
from models.config.values import NAME, Frozen, Name, Size
from models.datasets.archives import ArchiveProblem, check_archive
from models.datasets.catalogue import BUILTIN, BuiltinDataset
from models.datasets.uploads import MEAN, PREVIEW, Crop, Finding, Options, UploadFolder, new_folder, remove
from models.files import sync_folder
from models.records import Dataset, DatasetExists, DatasetInUse, UnknownDatasetRow, new_id

router = APIRouter(prefix="/datasets", tags=["datasets"])

USE = [Requires("train"), Depends(no_query)]

_FORM: dict[str, Any] = {
    "type": "object",
    "required": ["name", "file"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": NAME},
        "size": {"type": "integer", "enum": list(get_args(Size)), "description": "default: as proposed"},
        "crop": {
            "type": "string",
            "enum": list(get_args(Crop)),
            "description": "the middle square, or the whole image with a border; default: as proposed",
        },
        "file": {"type": "string", "format": "binary", "description": "zip, tar or tar.gz of images"},
    },
}
_PNG: dict[str, Any] = {
    "response_class": Response,
    "dependencies": USE,
    "responses": {200: {"content": {"image/png": {}}}, **responses(404, 503)},
}


class UploadFields(Options):
    """The fields of an upload beside its file."""

    name: Name


class FindingsQuery(Frozen):
    """A page of findings."""

    limit: Annotated[int, Field(ge=1, le=200, description="items per page")] = 50
    cursor: Annotated[str | None, Field(pattern=r"^[0-9]{1,9}$", description="`next` of the page before")] = None


@router.get("", summary="List the data sets", dependencies=[Requires("train")], responses=responses(422, 503))
def list_datasets(app_state: AppStateDep, paging: PagingQuery) -> Page[DatasetView]:
    """List the data sets in the order of their names."""
    views = {name: datasets.builtin_view(app_state, dataset) for name, dataset in BUILTIN.items()}
    views |= {row.name: datasets.upload_view(row) for row in app_state.records.list_datasets()}
    return page(views, paging)


@router.post(
    "",
    status_code=202,
    response_model=DatasetView,
    summary="Upload a data set",
    dependencies=USE,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "/datasets/NAME"}}},
        **responses(409, 413, 415, 422, 503, 507),
    },
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}},
)
async def create(request: Request, app_state: AppStateDep, response: Response) -> DatasetView:
    """Receive a zip, tar or tar.gz of images; a worker prepares it.

    Folders become classes if every image lies in one. The archive is checked before any of it is unpacked. It is
    refused and removed if names lead out of its folder, if it contains links, archives or two files of the same name,
    or if it unpacks to far more than its size. Send `name` before `file`: a name that is taken is then refused early.
    """
    settings = app_state.settings
    length = request.headers.get("content-length", "0")
    await run_in_threadpool(check_space, settings, int(length) if length.isdecimal() else 0)
    dataset_id = new_id()
    try:
        async with contextmanager_in_threadpool(new_folder(settings.uploads_dir, dataset_id)) as folder:
            with UploadWriter(folder.archive, settings) as writer:
                form = await receive_upload(request, writer, lambda fields: _check_early(app_state, fields))
            await run_in_threadpool(check_archive, folder.archive, settings.upload_limits)
            row = await run_in_threadpool(_insert, app_state, folder, _fields(form), writer.size)
    except ArchiveProblem as problem:
        raise invalid([{"loc": ("body", "file"), "msg": str(problem)}]) from problem
    app_state.notifications.look_at_uploads()
    app_state.notifications.announce()
    response.headers["Location"] = f"/datasets/{row.name}"
    return datasets.upload_view(row)


def _check_early(app_state: AppState, form: dict[str, str]) -> None:
    """Check the fields that were sent before the file, to refuse an upload before gigabytes are sent."""
    if "name" not in form:
        return
    row = app_state.records.get_dataset(name := _fields(form).name)
    if row is not None and row.state != "failed":
        raise Problem(409, phrase(409), f'there is a data set "{name}" already: choose another name, or delete it')


def _fields(form: dict[str, str]) -> UploadFields:
    size = form.get("size", "")
    try:
        fields = UploadFields.model_validate({**form, "size": int(size)} if size.isdecimal() else form)
    except ValidationError as error:
        raise invalid([{"loc": ("body", *item["loc"]), "msg": item["msg"]} for item in error.errors()]) from error
    _check_name(fields)
    return fields


def _check_name(fields: UploadFields) -> None:
    if fields.name in BUILTIN:
        raise invalid([{"loc": ("body", "name"), "msg": f'"{fields.name}" is built in: choose another name'}])


def _insert(app_state: AppState, folder: UploadFolder, fields: UploadFields, size: int) -> Dataset:
    sync_folder(folder.path)
    sync_folder(folder.path.parent)
    try:
        return app_state.records.create_dataset(
            folder.path.name, fields.name, fields.model_dump(exclude={"name"}), size
        )
    except DatasetExists as error:
        raise Problem(409, phrase(409), str(error)) from error


@router.post(
    "/{name}/copy",
    status_code=202,
    summary="Prepare an upload in another way",
    dependencies=USE,
    responses={
        202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "/datasets/NAME"}}},
        **responses(404, 409, 503, 507),
    },
)
def copy(app_state: AppStateDep, name: str, fields: UploadFields, response: Response) -> DatasetView:
    """Create another data set from the images of an uploaded one, with another size or crop.

    Data sets never change: delete the first one if the second is better. Nothing is uploaded again, and both share one
    archive.
    """
    _check_name(fields)
    check_space(app_state.settings, 0)
    source = datasets.upload_folder(app_state, datasets.find_upload(app_state, name))
    with new_folder(app_state.settings.uploads_dir, new_id()) as folder:
        try:
            link_or_copy(source.archive, folder.archive, app_state.settings)
        except FileNotFoundError:
            detail = f'the images of "{name}" are not kept, for they could not be prepared: upload them again'
            raise Problem(409, phrase(409), detail) from None
        row = _insert(app_state, folder, fields, folder.archive.stat().st_size)
    app_state.notifications.look_at_uploads()
    response.headers["Location"] = f"/datasets/{row.name}"
    return datasets.upload_view(row)


@router.get("/{name}", summary="Show one data set", dependencies=USE, responses=responses(404, 503))
def get_dataset(app_state: AppStateDep, name: str) -> DatasetDetail:
    """Show one data set with its findings; the pictures of a built-in one are drawn at the first request."""
    if name in BUILTIN:
        view = datasets.builtin_view(app_state, BUILTIN[name])
        if view.state == "ready" and not view.pictures:
            _draw(app_state, BUILTIN[name])
        return DatasetDetail(**view.model_dump(), findings=[])
    row = datasets.find_upload(app_state, name)
    findings = datasets.upload_folder(app_state, row).findings(0, SHOWN_FINDINGS) if row.state == "ready" else []
    return DatasetDetail(**datasets.upload_view(row).model_dump(), findings=findings)


@router.get(
    "/{name}/findings",
    summary="What was found in a data set",
    dependencies=[Requires("train")],
    responses=responses(404, 503),
)
def get_findings(app_state: AppStateDep, name: str, query: Annotated[FindingsQuery, Query()]) -> Page[Finding]:
    """List the findings: those about the whole set first, then by file."""
    if name in BUILTIN:
        return Page(items=[], next=None)
    row = datasets.find_upload(app_state, name)
    start = int(query.cursor or 0)
    found = datasets.upload_folder(app_state, row).findings(start, query.limit + 1) if row.state == "ready" else []
    following = str(start + query.limit) if len(found) > query.limit else None
    return Page(items=found[: query.limit], next=following)


@router.get("/{name}/preview.png", summary="A data set's contact sheet", **_PNG)
def get_preview(app_state: AppStateDep, name: str) -> Response:
    """Return images from all over a data set; those of a built-in one are drawn at the first request."""
    return _picture_response(app_state, name, PREVIEW)


@router.get("/{name}/mean.png", summary="A data set's mean image", **_PNG)
def get_mean(app_state: AppStateDep, name: str) -> Response:
    """Return the mean of all images of a data set; that of a built-in one is drawn at the first request."""
    return _picture_response(app_state, name, MEAN)


def _picture_response(app_state: AppState, name: str, file: str) -> Response:
    folder = _builtin_pictures(app_state, BUILTIN[name]) if name in BUILTIN else _uploaded_pictures(app_state, name)
    try:
        data = (folder / file).read_bytes()
    except FileNotFoundError:
        raise Problem(404, phrase(404), f'the data set "{name}" is being deleted') from None
    return Response(data, media_type="image/png", headers={"Cache-Control": "no-cache"})


def _builtin_pictures(app_state: AppState, dataset: BuiltinDataset) -> Path:
    folder = datasets.builtin_picture_folder(app_state, dataset)
    if folder is not None:
        return folder
    if not dataset.is_available(app_state.settings.datasets_dir):
        detail = f'the data set "{dataset.name}" is not here: its files are downloaded when a run first needs them'
        raise Problem(404, phrase(404), detail)
    _draw(app_state, dataset)
    raise retry_later("Not drawn yet", f'a worker draws the pictures of the data set "{dataset.name}"')


def _draw(app_state: AppState, dataset: BuiltinDataset) -> None:
    """Wake a worker to prepare a built-in set in its original size, which also makes its pictures."""
    app_state.notifications.prepare(dataset.name, dataset.size, dataset.channels)


def _uploaded_pictures(app_state: AppState, name: str) -> Path:
    row = datasets.find_upload(app_state, name)
    if row.state != "ready":
        raise Problem(404, phrase(404), f'the data set "{name}" is {row.state}: there is no picture of it')
    return datasets.upload_folder(app_state, row).prepared


@router.delete(
    "/{name}",
    status_code=204,
    summary="Delete a data set",
    dependencies=[Requires("admin"), Depends(no_query)],
    responses=responses(404, 409, 503),
)
def delete_dataset(app_state: AppStateDep, name: str) -> None:
    """Delete an uploaded data set; 409 while a run that has not ended uses it."""
    if name in BUILTIN:
        raise Problem(409, phrase(409), f'the data set "{name}" is built in: it cannot be deleted')
    folder = datasets.upload_folder(app_state, datasets.find_upload(app_state, name))
    with suppress(OSError):  # a full disk is no reason to keep it
        folder.deleted.touch()  # should this process die before the folder is gone, a sweep takes it
    try:
        row = app_state.records.delete_dataset(name)
    except UnknownDatasetRow as error:
        raise Problem(404, phrase(404), str(error)) from error
    except DatasetInUse as error:
        folder.deleted.unlink(missing_ok=True)
        raise Problem(409, phrase(409), str(error)) from error
    remove(app_state.settings.uploads_dir, row.id)

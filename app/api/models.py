"""`/models`: published versions, their manifests and files; aliases and deletion."""

from __future__ import annotations

import operator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from app.api.dependencies import AppStateDep, no_query
from app.http.headers import cache_control, matches_etag
from app.http.paging import Page, PagingQuery, page
from app.http.problems import Problem, phrase, responses
from app.http.ranges import file_response
from app.security.keys import Requires
from models.config.networks import GeneratorConfig
from models.config.values import Frozen
from models.scores import Score
from models.store.catalogue import ModelInfo
from models.store.manifest import (
    CARD,
    MAX_VERSION,
    NEIGHBOURS,
    PREVIEW,
    DiscriminatorEntry,
    EncoderEntry,
    FileEntry,
    GeneratorEntry,
    Manifest,
    Provenance,
    Task,
)
from models.store.versions import State, Version, WholeVersion, is_pinned

router = APIRouter(prefix="/models", tags=["models"])

READ = [Requires("sample"), Depends(no_query)]
CHANGE = [Requires("admin"), Depends(no_query)]
NOT_WHOLE = responses(404, 409, 422)


class VersionView(BaseModel):
    """A version of a model."""

    ref: str = Field(examples=["digits@3"])
    version: int
    state: State
    reason: str | None = Field(description="why it is not whole")
    created_at: datetime | None
    scores: dict[str, Score]


class ModelView(BaseModel):
    """A model: its versions, oldest first, and its aliases, `latest` included."""

    name: str
    read_only: bool = Field(description="it ships with Atelier and cannot be changed")
    aliases: dict[str, int]
    versions: list[VersionView]


class ManifestView(BaseModel):
    """The manifest of a version; `generator` is the first generator's configuration, in both formats."""

    format: int
    model: str
    version: int
    created_at: datetime
    files: dict[str, FileEntry]
    generator: GeneratorConfig
    classes: tuple[str, ...]
    provenance: Provenance
    scores: dict[str, Score]
    task: Task | None = Field(None, description="from format 2 on", exclude_if=operator.not_)
    generators: dict[str, GeneratorEntry] | None = Field(None, description="from format 2 on", exclude_if=operator.not_)
    encoders: dict[str, EncoderEntry] | None = Field(None, description="from format 2 on", exclude_if=operator.not_)
    discriminators: dict[str, DiscriminatorEntry] | None = Field(
        None, description="kept for trainings that start from this version", exclude_if=operator.not_
    )


class AliasTarget(Frozen):
    """The new target of an alias."""

    version: Annotated[int, Field(ge=1, le=MAX_VERSION, strict=True)]


def _version_view(version: Version) -> VersionView:
    manifest = version.manifest
    return VersionView(
        ref=version.ref,
        version=version.number,
        state=version.state,
        reason=version.reason,
        created_at=manifest.created_at if manifest is not None else None,
        scores=manifest.scores if manifest is not None else {},
    )


def _model_view(info: ModelInfo) -> ModelView:
    return ModelView(
        name=info.name,
        read_only=info.read_only,
        aliases=info.aliases,
        versions=[_version_view(version) for version in info.versions],
    )


def _manifest_view(manifest: Manifest) -> ManifestView:
    view = ManifestView.model_validate(manifest, from_attributes=True)
    # Format 1 is returned unchanged.
    named = ("task", "generators", "encoders", "discriminators")
    return view if manifest.format == 2 else view.model_copy(update=dict.fromkeys(named))


@router.get("", summary="List the models", dependencies=[Requires("sample")], responses=responses(422))
def list_models(paging: PagingQuery, app_state: AppStateDep) -> Page[ModelView]:
    """List the models in the order of their names."""
    return page({info.name: _model_view(info) for info in app_state.store.models()}, paging)


@router.get("/{name}@{reference}", summary="Show a version", dependencies=READ, responses=NOT_WHOLE)
def get_manifest(name: str, reference: str, app_state: AppStateDep) -> ManifestView:
    """Show the manifest of a version, found by number or alias: its networks, files, provenance and scores."""
    return _manifest_view(app_state.store.resolve(f"{name}@{reference}").manifest)


@router.delete(
    "/{name}@{version}", summary="Delete a version", status_code=204, dependencies=CHANGE, responses=NOT_WHOLE
)
def delete_version(name: str, version: int, app_state: AppStateDep) -> None:
    """Delete a version's files. No alias but `latest` may point at it, and its number is never used again."""
    app_state.store.delete_version(name, version)


@router.get(
    "/{name}@{reference}/preview.png",
    summary="See a version's preview",
    dependencies=READ,
    response_class=StreamingResponse,
    responses={200: {"content": {"image/png": {}}}, **NOT_WHOLE},
)
def get_preview(name: str, reference: str, request: Request, app_state: AppStateDep) -> Response:
    """Send the picture that was published with a version."""
    return _file(request, app_state, f"{name}@{reference}", PREVIEW, "image/png")


@router.get(
    "/{name}@{reference}/generator.safetensors",
    summary="Download a version's weights",
    dependencies=READ,
    response_class=StreamingResponse,
    responses={200: {"content": {"application/octet-stream": {}}}, **NOT_WHOLE},
)
def get_weights(name: str, reference: str, request: Request, app_state: AppStateDep) -> Response:
    """Send the first generator's weights; the manifest has their sha256 and the network that they belong to."""
    return _file(request, app_state, f"{name}@{reference}", None, "application/octet-stream")


@router.get(
    "/{name}@{reference}/card.md",
    summary="Read a version's card",
    dependencies=READ,
    response_class=StreamingResponse,
    responses={200: {"content": {"text/markdown": {}}}, **NOT_WHOLE},
)
def get_card(name: str, reference: str, request: Request, app_state: AppStateDep) -> Response:
    """Send the model card: data, settings, scores with their protocols, and how to use it, as Markdown."""
    return _file(request, app_state, f"{name}@{reference}", CARD, "text/markdown; charset=utf-8")


@router.get(
    "/{name}@{reference}/neighbours.png",
    summary="See a version's nearest training images",
    dependencies=[Requires("train"), Depends(no_query)],
    response_class=StreamingResponse,
    responses={200: {"content": {"image/png": {}}}, **NOT_WHOLE},
)
def get_neighbours(name: str, reference: str, request: Request, app_state: AppStateDep) -> Response:
    """Send generated images, each beside the most similar training image; requires the scope that trains."""
    return _file(request, app_state, f"{name}@{reference}", NEIGHBOURS, "image/png", private=True)


@router.get("/{name}", summary="Show a model", dependencies=READ, responses=responses(404, 422))
def get_model(name: str, app_state: AppStateDep) -> ModelView:
    """Show a model with its versions, whether they are whole, and its aliases."""
    return _model_view(app_state.store.model(name))


@router.put("/{name}/aliases/{alias}", summary="Point an alias", dependencies=CHANGE, responses=NOT_WHOLE)
def put_alias(name: str, alias: str, target: AliasTarget, app_state: AppStateDep) -> ModelView:
    """Point an alias at a whole version; create it if it does not exist."""
    app_state.store.set_alias(name, alias, target.version)
    return _model_view(app_state.store.model(name))


@router.delete(
    "/{name}/aliases/{alias}", summary="Delete an alias", status_code=204, dependencies=CHANGE, responses=NOT_WHOLE
)
def delete_alias(name: str, alias: str, app_state: AppStateDep) -> None:
    """Delete an alias; the version that it points at stays."""
    app_state.store.delete_alias(name, alias)


def _file(
    request: Request, app_state: AppStateDep, ref: str, name: str | None, media_type: str, *, private: bool = False
) -> Response:
    """Send one of a version's files, None for its weights, if it agrees with the manifest.

    Args:
        private: keep it out of shared caches.
    """
    version: WholeVersion = app_state.store.resolve(ref)
    name = version.manifest.first.weights if name is None else name
    entry = version.manifest.files.get(name)
    if entry is None:
        raise Problem(404, phrase(404), f"{version.ref} was published without {name}")
    pinned = is_pinned(ref)
    headers = {
        "ETag": f'"{entry.sha256}"',
        "Cache-Control": cache_control(seeded=True, pinned=pinned, private=private or app_state.settings.keys_required),
        "X-Atelier-Model": version.ref,
    }
    if matches_etag(request.headers.getlist("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return file_response(app_state.store.open(version, name), entry.size, request.headers, headers, media_type)

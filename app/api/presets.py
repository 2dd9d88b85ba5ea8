"""`/presets`: the complete training configurations that a run can start from."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from app.api.dependencies import no_query
from app.http.paging import Page, PagingQuery, page
from app.http.problems import Problem, phrase, responses
from app.security.keys import Requires
from models.config.presets import Preset, listed

router = APIRouter(prefix="/presets", tags=["presets"], dependencies=[Requires("train")])


@router.get("", summary="List the presets", responses=responses(422))
def list_presets(paging: PagingQuery) -> Page[Preset]:
    """List the presets in the order of their names."""
    return page(listed(), paging)


@router.get("/{name}", summary="Show one preset", dependencies=[Depends(no_query)], responses=responses(404, 422))
def get_preset(name: str) -> Preset:
    """Show one preset with all its settings."""
    presets = listed()
    if name not in presets:
        raise Problem(404, phrase(404), f'there is no preset "{name}": known are {", ".join(presets)}')
    return presets[name]

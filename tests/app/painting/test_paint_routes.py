"""Routes that paint answer the short way, and skip nothing by it."""

from __future__ import annotations

import pytest
from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute, APIRouter

from app.api import grids, samples
from app.sampling.routing import PaintRoute, verify
from tests.fixtures.service import Service


def closed() -> None:
    """A dependency that is no scope."""


@pytest.mark.parametrize(
    "path", ["/samples?n=2", "/grid?kind=interpolate&seeds=1,2", "/grid?kind=truncation&psi=0,1", "/walk?seeds=1,2"]
)
def test_a_valid_query_needs_nothing_of_fastapi(
    shared_service: Service, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(*_: object) -> None:
        raise AssertionError("FastAPI was asked")

    monkeypatch.setattr(APIRoute, "handle", handle)
    assert shared_service.client.head(path).status_code == 200


def test_a_route_that_depends_on_more_than_scopes_is_refused() -> None:
    router = APIRouter(route_class=PaintRoute, dependencies=[Depends(closed)])
    with pytest.raises(TypeError, match="/pictures depends on more than scopes"):
        router.add_api_route("/pictures", samples.get_samples)


def test_what_is_asked_where_routes_are_included_cannot_be_skipped() -> None:
    included = FastAPI()
    included.include_router(samples.router)
    included.include_router(grids.router, dependencies=[Depends(closed)])
    with pytest.raises(TypeError, match="/grid must declare by itself"):
        verify(included)
    whole = FastAPI(dependencies=[Depends(closed)])
    whole.include_router(samples.router)
    with pytest.raises(TypeError, match="/samples must declare by itself"):
        verify(whole)

"""Sampling routes parse their own queries, as FastAPI would, and skip none of its dependencies."""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Query
from fastapi.routing import APIRoute, APIRouter, iter_route_contexts

from app.api import sampling
from app.http import problems
from app.main import create_app
from app.sampling.queries import GridQuery, RenderQuery, SampleQuery, WalkQuery, parse_query
from app.sampling.routing import SamplingRoute
from app.settings import AppSettings
from tests.fixtures.service import Service


@pytest.mark.parametrize(
    "path", ["/samples?n=2", "/grid?kind=interpolate&seeds=1,2", "/grid?kind=truncation&psi=0,1", "/walk?seeds=1,2"]
)
def test_a_query_needs_nothing_of_fastapi(shared_service: Service, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(*_: object) -> None:
        raise AssertionError("FastAPI handled it")

    monkeypatch.setattr(APIRoute, "handle", handle)
    assert shared_service.client.head(path).status_code == 200


QUERIES: dict[type[RenderQuery], tuple[str, ...]] = {
    SampleQuery: (
        "", "n=3&seed=7&class=a", "n=0&sed=7", "n=", "n", "n=2&n=3", "n=x&n=3", "n=3&n=x", "psi=nan", "seed=1;n=2",
        "model=a%40b&class=%C3%A9", "class=%ff", "class=a+b", "format=bmp", "class_=a",
    ),
    GridQuery: (
        "", "kind=x", "kind=interpolate&seeds=1,2", "kind=interpolate&seeds=1,2&seeds=3,4", "kind=classes&kind=x",
        "kind=interpolate&seeds=1&seeds=x&seeds=3", "kind=truncation&psi=0&psi=1,2", "kind=truncation&psi=",
        "kind=truncation&psi=3&seed=1&seed=2",
    ),
    WalkQuery: ("", "seeds=1", "seeds=1,2&seeds=3", "seeds=&frames=1", "seeds=1,2&fps=0&x=1"),
}  # fmt: skip


@pytest.mark.parametrize(("query_type", "query"), [(t, query) for t, queries in QUERIES.items() for query in queries])
def test_a_query_is_parsed_as_fastapi_parses_it(query_type: type[RenderQuery], query: str) -> None:
    app = FastAPI()
    problems.install(app)

    async def by_fastapi(query: RenderQuery) -> str:
        return repr(query)

    async def by_us() -> str:
        return repr(parse_query(query_type, query.encode()))

    by_fastapi.__annotations__["query"] = Annotated[query_type, Query()]
    app.get("/fastapi")(by_fastapi)
    app.get("/us")(by_us)

    async def answers() -> tuple[httpx.Response, httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get(f"/fastapi?{query}"), await client.get("/us")

    expected, found = asyncio.run(answers())
    assert (found.status_code, found.content) == (expected.status_code, expected.content)


def test_a_route_that_depends_on_more_than_scopes_is_refused() -> None:
    def closed() -> None:
        """A dependency that is no scope."""

    router = APIRouter(route_class=SamplingRoute, dependencies=[Depends(closed)])
    with pytest.raises(TypeError, match="/images runs no dependencies but scopes"):
        router.add_api_route("/images", sampling.get_samples)


def test_nothing_is_required_where_the_routes_are_included() -> None:
    checked = 0
    for context in iter_route_contexts(create_app(AppSettings()).routes):
        if isinstance(route := context.original_route, SamplingRoute):
            assert list(context.dependencies) == list(route.dependencies)
            checked += 1
    assert checked == 6

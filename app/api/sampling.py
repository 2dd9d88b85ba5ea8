"""`GET /samples`, `/grid`, `/walk`: images of a published generator."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.dependencies import AppStateDep
from app.sampling.encoders import ANIMATION_TYPES, IMAGE_TYPES
from app.sampling.planning import plan_grid, plan_samples, plan_walk
from app.sampling.queries import GridQuery, SampleQuery, WalkQuery, check_grid, check_samples, check_walk, negotiate
from app.sampling.respond import RenderResponse
from app.sampling.routing import SamplingRoute, describe_responses
from app.security.keys import Requires


def _router() -> APIRouter:
    return APIRouter(tags=["samples"], dependencies=[Requires("sample")], route_class=SamplingRoute)


# FastAPI matches a request against the routes of an included router twice: each endpoint has a router of its own.
samples, grids, walks = _router(), _router(), _router()


@samples.get(
    "/samples",
    summary="Generate images",
    response_class=Response,
    responses=describe_responses("One grid, or every image by itself (npy, zip)", IMAGE_TYPES.values()),
)
async def get_samples(request: Request, query: Annotated[SampleQuery, Query()], app_state: AppStateDep) -> Response:
    """Generate `n` images of a seed. Image `i` of a seed is the same for any `n` and at any load."""
    image_format = query.format or negotiate(request.headers.getlist("accept"), IMAGE_TYPES)
    check_samples(query, image_format, app_state.settings)
    return RenderResponse(app_state, query.model, partial(plan_samples, query, image_format, app_state.settings))


@grids.get(
    "/grid",
    summary="Lay out images",
    response_class=Response,
    responses=describe_responses("One grid, or every image by itself, row by row (npy, zip)", IMAGE_TYPES.values()),
)
async def get_grid(request: Request, query: Annotated[GridQuery, Query()], app_state: AppStateDep) -> Response:
    """Generate a grid between seeds, of each class, or over truncations.

    An image of a seed has the same pixels as from `/samples`.
    """
    image_format = query.format or negotiate(request.headers.getlist("accept"), IMAGE_TYPES)
    check_grid(query, image_format)
    return RenderResponse(app_state, query.model, partial(plan_grid, query, image_format, app_state.settings))


@walks.get(
    "/walk",
    summary="Animate a walk",
    response_class=Response,
    responses=describe_responses(
        "An animation that loops for ever, or a video that can be looped (mp4)", ANIMATION_TYPES.values()
    ),
)
async def get_walk(request: Request, query: Annotated[WalkQuery, Query()], app_state: AppStateDep) -> Response:
    """Generate a walk from seed to seed and back to the first, one image per frame, at a constant pace."""
    animation_format = query.format or negotiate(request.headers.getlist("accept"), ANIMATION_TYPES)
    check_walk(query, app_state.settings)
    return RenderResponse(app_state, query.model, partial(plan_walk, query, animation_format, app_state.settings))


# HEAD is left out of the schema: HTTP defines it by GET.
samples.add_api_route("/samples", get_samples, methods=["HEAD"], include_in_schema=False)
grids.add_api_route("/grid", get_grid, methods=["HEAD"], include_in_schema=False)
walks.add_api_route("/walk", get_walk, methods=["HEAD"], include_in_schema=False)

"""`GET /samples`: images of a published generator, as one picture or as a stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.dependencies import AppStateDep
from app.sampling.answers import answer, negotiated, painted
from app.sampling.containers import IMAGE_TYPES
from app.sampling.routing import PaintRoute
from app.sampling.samples import SampleQuery, check, order
from app.security.keys import Requires

router = APIRouter(tags=["samples"], dependencies=[Requires("sample")], route_class=PaintRoute)


@router.get(
    "/samples",
    summary="Paint images",
    response_class=Response,
    responses=painted("One grid, or every image by itself (npy, zip)", IMAGE_TYPES.values()),
)
async def get_samples(request: Request, query: Annotated[SampleQuery, Query()], app_state: AppStateDep) -> Response:
    """Paint `n` images of a seed. Image `i` of a seed is the same whatever `n` is, and whatever else is painted."""
    image_format = query.format or negotiated(request, IMAGE_TYPES)
    check(query, image_format, app_state.settings)
    return answer(
        request, app_state, query.model, lambda version: order(query, image_format, version, app_state.settings)
    )


# HEAD has no place of its own in the schema: it is what HTTP says it is.
router.add_api_route("/samples", get_samples, methods=["HEAD"], include_in_schema=False)

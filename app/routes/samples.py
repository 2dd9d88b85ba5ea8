"""`GET /samples`: images of a published generator, as one picture or as a stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.deps import HouseDep
from app.painting.answers import answer, negotiated, painted
from app.painting.containers import IMAGE_TYPES
from app.painting.routing import PaintRoute
from app.sampling import SampleQuery, check, order
from app.security import Requires

router = APIRouter(tags=["samples"], dependencies=[Requires("sample")], route_class=PaintRoute)


@router.get(
    "/samples",
    summary="Paint images",
    response_class=Response,
    responses=painted("One grid, or every image by itself (npy, zip)", IMAGE_TYPES.values()),
)
async def get_samples(request: Request, query: Annotated[SampleQuery, Query()], house: HouseDep) -> Response:
    """Paint `n` images of a seed. Image `i` of a seed is the same whatever `n` is, and whatever else is painted."""
    image_format = query.format or negotiated(request, IMAGE_TYPES)
    check(query, image_format, house.settings)
    return answer(request, house, query.model, lambda version: order(query, image_format, version, house.settings))


# HEAD has no place of its own in the schema: it is what HTTP says it is.
router.add_api_route("/samples", get_samples, methods=["HEAD"], include_in_schema=False)

"""`GET /grid`: images of a published generator in an order that means something."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.dependencies import AppStateDep
from app.sampling.answers import answer, negotiated, painted
from app.sampling.containers import IMAGE_TYPES
from app.sampling.routing import PaintRoute
from app.sampling.structured_grids import GridQuery, check, order
from app.security.keys import Requires

router = APIRouter(tags=["samples"], dependencies=[Requires("sample")], route_class=PaintRoute)


@router.get(
    "/grid",
    summary="Lay out images",
    response_class=Response,
    responses=painted("One grid, or every image by itself, row by row (npy, zip)", IMAGE_TYPES.values()),
)
async def get_grid(request: Request, query: Annotated[GridQuery, Query()], app_state: AppStateDep) -> Response:
    """Show what lies between seeds, what each class looks like, or what truncation does.

    An image of a seed is the same one, to the byte, that `/samples` paints.
    """
    image_format = query.format or negotiated(request, IMAGE_TYPES)
    check(query, image_format)
    return answer(
        request, app_state, query.model, lambda version: order(query, image_format, version, app_state.settings)
    )


# HEAD has no place of its own in the schema: it is what HTTP says it is.
router.add_api_route("/grid", get_grid, methods=["HEAD"], include_in_schema=False)

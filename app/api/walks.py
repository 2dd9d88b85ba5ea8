"""`GET /walk`: a film of a walk through a published generator's latent space."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.dependencies import AppStateDep
from app.sampling.answers import answer, negotiated, painted
from app.sampling.films import FILM_TYPES
from app.sampling.routing import PaintRoute
from app.sampling.walks import WalkQuery, check, order
from app.security.keys import Requires

router = APIRouter(tags=["samples"], dependencies=[Requires("sample")], route_class=PaintRoute)


@router.get(
    "/walk",
    summary="Film a walk",
    response_class=Response,
    responses=painted("An animation that loops for ever, or a film that can be looped (mp4)", FILM_TYPES.values()),
)
async def get_walk(request: Request, query: Annotated[WalkQuery, Query()], app_state: AppStateDep) -> Response:
    """Walk from seed to seed and back to the first, an image per frame, at the same pace between any two."""
    film_format = query.format or negotiated(request, FILM_TYPES)
    check(query, app_state.settings)
    return answer(
        request, app_state, query.model, lambda version: order(query, film_format, version, app_state.settings)
    )


# HEAD has no place of its own in the schema: it is what HTTP says it is.
router.add_api_route("/walk", get_walk, methods=["HEAD"], include_in_schema=False)

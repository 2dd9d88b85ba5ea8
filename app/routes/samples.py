"""`GET /samples`: images of a published generator, as one picture or as a stream."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from app.deps import HouseDep
from app.house import House
from app.negotiation import has_already, preferred
from app.presence import while_present
from app.problems import Problem, phrase, responses
from app.sampling import (
    MEDIA_TYPES,
    Format,
    SampleQuery,
    check,
    npy_length,
    npy_pieces,
    order,
    picture,
    zip_pieces,
)
from app.security import Requires
from models.versions import Version

router = APIRouter(tags=["samples"], dependencies=[Requires("sample")])

HEADERS = {
    "X-Atelier-Model": {"description": "The version that painted, NAME@VERSION", "schema": {"type": "string"}},
    "X-Atelier-Seed": {"description": "The seed; ask for it again to see these again", "schema": {"type": "integer"}},
    "ETag": {"description": "Send it as If-None-Match", "schema": {"type": "string"}},
}
BINARY = {"schema": {"type": "string", "format": "binary"}}


@router.get(
    "/samples",
    summary="Paint images",
    response_class=Response,
    responses={
        200: {
            "description": "One grid, or every image by itself (npy, zip)",
            "headers": HEADERS,
            "content": dict.fromkeys(MEDIA_TYPES.values(), BINARY),
        },
        304: {"description": "If-None-Match names what would be sent", "headers": HEADERS},
        **responses(404, 406, 409, 422, 503),
    },
)
async def get_samples(request: Request, query: Annotated[SampleQuery, Query()], house: HouseDep) -> Response:
    """Paint `n` images of a seed. Image `i` of a seed is the same whatever `n` is, and whatever else is painted."""
    image_format = query.format or _negotiated(request)
    check(query, image_format, house.settings)
    if request.method == "HEAD" or "if-none-match" in request.headers:
        version = house.sampler.resolve(query.model)
        if (answer := _without_body(request, house, query, image_format, version)) is not None:
            return answer
    return await while_present(request, _painted(request, house, query, image_format))


# HEAD has no place of its own in the schema: it is what HTTP says it is.
router.add_api_route("/samples", get_samples, methods=["HEAD"], include_in_schema=False)


def _negotiated(request: Request) -> Format:
    chosen = preferred(request.headers.getlist("accept"), MEDIA_TYPES)
    if chosen is None:
        offers = ", ".join(MEDIA_TYPES.values())
        raise Problem(406, phrase(406), f"Accept admits none of what can be made here: {offers}")
    return chosen


def _without_body(
    request: Request, house: House, query: SampleQuery, image_format: Format, version: Version
) -> Response | None:
    """Answer what needs neither picture nor device: HEAD, and a client that has the answer already."""
    if (fingerprint := house.sampler.fingerprint(version)) is None:
        return None
    job = order(query, image_format, version, house.settings)
    headers = job.headers(fingerprint, private=house.settings.keys_required)
    if has_already(request.headers.getlist("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if request.method != "HEAD":
        return None
    answer = Response(media_type=MEDIA_TYPES[job.format], headers=headers)
    del answer.headers["Content-Length"]
    return answer


async def _painted(request: Request, house: House, query: SampleQuery, image_format: Format) -> Response:
    version = await house.sampler.hold(query.model)
    if (answer := _without_body(request, house, query, image_format, version)) is not None:
        return answer
    fingerprint = house.sampler.fingerprint(version)
    assert fingerprint is not None, f"{version.ref} is loaded, so its numerics are decided"
    job = order(query, image_format, version, house.settings)
    headers = job.headers(fingerprint, private=house.settings.keys_required)
    media_type = MEDIA_TYPES[job.format]
    house.metrics.images.labels(version.model).inc(job.n)
    match job.format:
        case "npy":
            body = await _begun(npy_pieces(house.sampler, job))
            headers["Content-Length"] = str(npy_length(job))
            return StreamingResponse(body, headers=headers, media_type=media_type)
        case "zip":
            return StreamingResponse(
                await _begun(zip_pieces(house.sampler, job)), headers=headers, media_type=media_type
            )
        case _:
            return Response(await picture(house.sampler, job), headers=headers, media_type=media_type)


async def _begun(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Wait for the first piece, so that what is refused is refused before the answer begins."""
    first = await anext(pieces)

    async def all_of_them() -> AsyncGenerator[bytes]:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return all_of_them()

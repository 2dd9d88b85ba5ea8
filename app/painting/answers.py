"""From an order to an HTTP answer: 304 and HEAD without the device, everything else painted while the client waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from app.house import House
from app.negotiation import has_already, preferred
from app.painting.orders import Order
from app.presence import while_present
from app.problems import Problem, phrase, responses
from models.versions import Version

F = TypeVar("F", bound=str)

HEADERS = {
    "X-Atelier-Model": {"description": "The version that painted, NAME@VERSION", "schema": {"type": "string"}},
    "X-Atelier-Seed": {"description": "The seed; ask for it again to see these again", "schema": {"type": "string"}},
    "ETag": {"description": "Send it as If-None-Match", "schema": {"type": "string"}},
}
BINARY = {"schema": {"type": "string", "format": "binary"}}


def painted(description: str, media_types: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Describe the answers of a route that paints in the API's schema.

    Args:
        description: what is sent with 200.
        media_types: as what.
    """
    return {
        200: {"description": description, "headers": HEADERS, "content": dict.fromkeys(media_types, BINARY)},
        304: {"description": "If-None-Match names what would be sent", "headers": HEADERS},
        **responses(404, 406, 409, 422, 503),
    }


def negotiated(request: Request, offers: Mapping[F, str]) -> F:
    """Choose a format by the Accept header: the first offer if it is admitted at all.

    Args:
        offers: media types by format.

    Raises:
        Problem: 406.
    """
    chosen = preferred(request.headers.getlist("accept"), offers)
    if chosen is None:
        raise Problem(406, phrase(406), f"Accept admits none of what can be made here: {', '.join(offers.values())}")
    return chosen


async def answer(request: Request, house: House, model: str | None, order: Callable[[Version], Order]) -> Response:
    """Answer a request for pictures.

    Args:
        model: the reference that the request names.
        order: makes every choice that the request leaves open, or raises a 422 if the version cannot answer it.

    Raises:
        Problem: as `order` does.
        ModelError: there is no such model, or it cannot be loaded.
        Overloaded: too much waits already.
    """
    if request.method == "HEAD" or "if-none-match" in request.headers:
        version = house.sampler.resolve(model)
        if (reply := _without_body(request, house, order, version)) is not None:
            return reply
    return await while_present(request, _painted(request, house, model, order))


def _without_body(
    request: Request, house: House, order: Callable[[Version], Order], version: Version
) -> Response | None:
    """Answer what needs neither picture nor device: HEAD, and a client that has the answer already."""
    if (fingerprint := house.sampler.fingerprint(version)) is None:
        return None
    job = order(version)
    headers = job.headers(job.tag(fingerprint), private=house.settings.keys_required)
    if has_already(request.headers.getlist("if-none-match"), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    if request.method != "HEAD":
        return None
    reply = Response(media_type=job.container.media_type, headers=headers)
    del reply.headers["Content-Length"]
    return reply


async def _painted(request: Request, house: House, model: str | None, order: Callable[[Version], Order]) -> Response:
    version = await house.sampler.hold(model)
    if (reply := _without_body(request, house, order, version)) is not None:
        return reply
    fingerprint = house.sampler.fingerprint(version)
    assert fingerprint is not None, f"{version.ref} is loaded, so its numerics are decided"
    job = order(version)
    headers = job.headers(job.tag(fingerprint), private=house.settings.keys_required)
    house.metrics.images.labels(version.model).inc(job.subject.count)
    pieces = await _begun(_admitted(house, job))
    media_type = job.container.media_type
    if not job.container.streamed:
        return Response(b"".join([piece async for piece in pieces]), headers=headers, media_type=media_type)
    if (length := job.container.length(job)) is not None:
        headers["Content-Length"] = str(length)
    return StreamingResponse(pieces, headers=headers, media_type=media_type)


async def _admitted(house: House, job: Order) -> AsyncGenerator[bytes]:
    sampler = house.sampler
    with sampler.admission.admit(job.container.held(job)):
        async with aclosing(job.container.pieces(job, sampler)) as pieces:
            async for piece in pieces:
                yield piece


async def _begun(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Wait for the first piece, so that what is refused is refused before the answer begins."""
    first = await anext(pieces)

    async def all_of_them() -> AsyncGenerator[bytes]:
        async with aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return all_of_them()

"""What the endpoint of a route that paints ends in, and how such a route is described in the API's schema."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from app.http.negotiation import preferred
from app.http.problems import Problem, phrase, responses
from app.sampling.asks import Ask
from app.sampling.orders import Order
from app.sampling.response import Painted
from app.state import AppState
from models.store.versions import WholeVersion

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


def answer(
    request: Request, app_state: AppState, model: str | None, order: Callable[[WholeVersion], Order]
) -> Response:
    """Answer a request for pictures, and remember what it asks for.

    Args:
        model: the reference that the request names.
        order: makes every choice that the request leaves open, or raises a 422 if the version cannot answer it.
            It must depend on nothing but the request and the settings.

    Returns:
        What is decided when it is sent, errors included.
    """
    ask = Ask(model, order, private=app_state.settings.keys_required)
    app_state.asks.put(request.scope, ask)
    return Painted(app_state, ask)

"""Routes of the sampling endpoints: described by FastAPI in the schema, parsed by their own queries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_type_hints

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.http.problems import responses
from app.sampling.cache import request_key
from app.sampling.queries import RenderQuery, parse_query
from app.security.keys import ScopeCheck
from app.state import AppState

HEADERS = {
    "X-Atelier-Model": {"description": "The version that generated it, NAME@VERSION", "schema": {"type": "string"}},
    "X-Atelier-Seed": {"description": "The seed; request it again for the same images", "schema": {"type": "string"}},
    "ETag": {"description": "Send it as If-None-Match", "schema": {"type": "string"}},
}
BINARY = {"schema": {"type": "string", "format": "binary"}}


class SamplingRoute(APIRoute):
    """A route whose endpoint takes `request`, `query` and `app_state`, and returns a `RenderResponse`.

    Other dependencies must be scopes (`Requires`), declared on its own router.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._query_type: type[RenderQuery] = get_type_hints(self.endpoint)["query"]
        self._scope_checks: list[ScopeCheck] = []
        for dependency in self.dependencies:
            if not isinstance(dependency.dependency, ScopeCheck):
                raise TypeError(f"{self.path} runs no dependencies but scopes: {dependency.dependency}")
            self._scope_checks.append(dependency.dependency)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        # Every time: keys may be revoked between two equal requests.
        for scope_check in self._scope_checks:
            scope_check.check(scope)
        # Without FastAPI's dependency solver, which takes longer than the rest of a cached response.
        state: AppState = scope["app"].state.atelier
        key = request_key(scope)
        if (response := state.request_cache.get(key)) is None:
            query = parse_query(self._query_type, scope["query_string"])
            response = await self.endpoint(request=Request(scope, receive), query=query, app_state=state)
            state.request_cache.put(key, response)
        await response(scope, receive, send)


def describe_responses(description: str, media_types: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """Describe the responses of a sampling route for the API's schema.

    Args:
        description: of the body of 200.
        media_types: of that body.
    """
    return {
        200: {"description": description, "headers": HEADERS, "content": dict.fromkeys(media_types, BINARY)},
        304: {"description": "If-None-Match names what would be sent", "headers": HEADERS},
        **responses(404, 406, 409, 422, 503),
    }

"""Routes that paint: FastAPI describes them and words what they refuse; a valid request need not pass its machinery."""

from __future__ import annotations

from typing import Any, get_type_hints
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import ValidationError
from starlette.types import Receive, Scope, Send

from app.sampling.queries import PaintQuery
from app.sampling.response import Painted
from app.security.keys import ScopeCheck
from app.state import AppState


class PaintRoute(APIRoute):
    """A route whose endpoint takes `request`, `query` and `house` and ends in `answers.answer`.

    Its only dependencies beside these are scopes (`Requires`). A request that was understood before is answered from
    that; a new one that is valid costs the validation of its query; anything else is FastAPI's, which takes ten times
    as long for either.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._query: type[PaintQuery] = get_type_hints(self.endpoint)["query"]
        self._checks: list[ScopeCheck] = []
        for dependency in self.dependencies:
            if not isinstance(dependency.dependency, ScopeCheck):
                raise TypeError(f"{self.path} depends on more than scopes, and would skip it: {dependency.dependency}")
            self._checks.append(dependency.dependency)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the short way where that gives the same answer as the long one."""
        if scope["method"] not in (self.methods or ()):
            await super().handle(scope, receive, send)
            return
        for check in self._checks:
            check.check(scope)
        app_state: AppState = scope["app"].state.atelier
        if (ask := app_state.asks.get(scope)) is not None:
            await Painted(app_state, ask)(scope, receive, send)
        elif (query := self._parsed(scope["query_string"])) is not None:
            response = await self.endpoint(request=Request(scope, receive), query=query, app_state=app_state)
            await response(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    def _parsed(self, query_string: bytes) -> PaintQuery | None:
        """Validate a query as FastAPI does; None where it repeats a name, or is not valid."""
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True)
        values = dict(pairs)
        if len(values) < len(pairs):
            return None
        try:
            return self._query.model_validate(values)
        except ValidationError:
            return None


def verify(app: FastAPI) -> None:
    """Refuse an app that asks more of its painting routes than they ask themselves: the short way would skip it.

    Raises:
        TypeError: a dependency was given to the app, or where a router was included.
    """
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, PaintRoute) and list(context.dependencies) != list(route.dependencies):
            raise TypeError(f"{route.path} must declare by itself what it depends on, in its own router")

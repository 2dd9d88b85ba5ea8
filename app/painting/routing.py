"""Routes that paint: they recognise a request that was validated before, and skip FastAPI's parsing of it."""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from app.house import House
from app.painting.response import Painted
from app.security import ScopeCheck


class PaintRoute(APIRoute):
    """A route whose endpoint ends in `answers.answer`, and whose only dependencies are scopes (`Requires`)."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._checks: list[ScopeCheck] = []
        for dependency in self.dependencies:
            # Any other dependency would be skipped for a request that is known.
            assert isinstance(dependency.dependency, ScopeCheck), f"{self.path} depends on more than scopes"
            self._checks.append(dependency.dependency)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is known; everything else goes the long way, and is known afterwards."""
        house: House = scope["app"].state.house
        ask = house.asks.get(scope) if scope["method"] in (self.methods or ()) else None
        if ask is None:
            await super().handle(scope, receive, send)
            return
        for check in self._checks:
            check.check(scope)
        await Painted(house, ask)(scope, receive, send)

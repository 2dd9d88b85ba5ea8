"""Dependencies of the routes."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.http.problems import invalid, wrong_parameter
from app.state import AppState


async def app_state(request: Request) -> AppState:
    value = request.app.state.atelier
    assert isinstance(value, AppState)
    return value


AppStateDep = Annotated[AppState, Depends(app_state)]


async def no_query(request: Request) -> None:
    """Refuse every query parameter, for routes without any: `dependencies=[Depends(no_query)]`."""
    if names := list(dict.fromkeys(request.query_params)):
        raise invalid([wrong_parameter(name, f'there is no parameter "{name}" here') for name in names])

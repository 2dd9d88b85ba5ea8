"""What routes ask for, as annotated dependencies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.house import House
from app.problems import invalid, wrong_parameter


async def house(request: Request) -> House:
    """Give what lives as long as the app."""
    value = request.app.state.house
    assert isinstance(value, House)
    return value


HouseDep = Annotated[House, Depends(house)]


async def no_query(request: Request) -> None:
    """Refuse every query parameter: for routes that have none. Use `dependencies=[Depends(no_query)]`."""
    if names := list(dict.fromkeys(request.query_params)):
        raise invalid([wrong_parameter(name, f'there is no parameter "{name}" here') for name in names])

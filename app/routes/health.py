"""`/healthz`, `/readyz`, `/metrics`: how the service is, for machines."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from app.deps import no_query

router = APIRouter(tags=["health"], dependencies=[Depends(no_query)])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


@router.get("/healthz", summary="Is the process alive?")
async def healthz() -> Alive:
    """Answer, whatever else may be away."""
    return Alive()

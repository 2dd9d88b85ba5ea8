"""`/` and `/docs`: the page, and the API's documentation, both from files of installed packages, without a CDN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from app.deps import no_query

WEB = Path(__file__).parents[1] / "web"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"

# Swagger UI styles its elements inline and draws its icons from data URLs; scripts stay files of ours.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False, dependencies=[Depends(no_query)])


@router.get("/")
def page() -> FileResponse:
    """Give the page."""
    return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


@router.get("/docs")
def docs() -> FileResponse:
    """Give the API's documentation."""
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": DOCS_POLICY}
    return FileResponse(WEB / "docs.html", headers=headers)


class _Files(StaticFiles):
    """Files that a browser asks about each time: after an upgrade, old scripts must not meet new answers."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def mount(app: FastAPI) -> None:
    """Serve the files that the pages need."""
    app.mount("/web/swagger", _Files(directory=SWAGGER))
    app.mount("/web", _Files(directory=WEB))

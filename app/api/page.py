"""The page and the API's documentation, from local files: no CDN is used."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.dependencies import no_query
from app.http.problems import Problem
from app.http.static import ITEM_VIEWS, VIEWS, Files

WEB = Path(__file__).parents[1] / "web" / "dist"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"

# Swagger UI uses inline styles and icons from data URLs; scripts are still our own files.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)
_files = Files(directory=WEB, check_dir=False)


# Query parameters are accepted: a view keeps its state in its URL, for the script.
async def page(request: Request) -> Response:
    return await _html("index.html", request)


for _path in (*VIEWS, *(f"{view}{{_name}}" for view in ITEM_VIEWS)):
    router.add_api_route(_path, page, methods=["GET"])


@router.get("/docs", dependencies=[Depends(no_query)])
async def docs(request: Request) -> Response:
    """Return Swagger UI, served offline."""
    answer = await _html("docs.html", request)
    answer.headers["Content-Security-Policy"] = DOCS_POLICY
    return answer


async def _html(name: str, request: Request) -> Response:
    try:
        return await _files.get_response(name, request.scope)
    except HTTPException as missing:
        raise Problem(503, "Page not built", "the page has not been built: run `make web`") from missing


def mount(app: FastAPI) -> None:
    """Serve the static files of the page and of Swagger UI."""
    app.mount("/web/swagger", Files(directory=SWAGGER))
    app.mount("/web", _files)

"""The page and the API's documentation, from files of installed packages and of the build, without a CDN.

Every view of the page is the same HTML: `app.http.page_paths` says which addresses are views, the script shows them.
"""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.dependencies import no_query
from app.http.page_paths import ITEM_VIEWS, VIEWS
from app.http.problems import Problem
from app.http.static import Files

WEB = Path(__file__).parents[1] / "web" / "dist"
SWAGGER = Path(fastapi_offline.__file__).parent / "static"

# Swagger UI styles its elements inline and draws its icons from data URLs; scripts stay files of ours.
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

router = APIRouter(include_in_schema=False)
_files = Files(directory=WEB, check_dir=False)


# Queries are for the script: a view keeps its state in its address.
async def page(request: Request) -> Response:
    """Give the page, whatever the view."""
    return await _html("index.html", request)


for _path in (*VIEWS, *(f"{view}{{_name}}" for view in ITEM_VIEWS)):
    router.add_api_route(_path, page, methods=["GET"])


@router.get("/docs", dependencies=[Depends(no_query)])
async def docs(request: Request) -> Response:
    """Give the API's documentation."""
    answer = await _html("docs.html", request)
    answer.headers["Content-Security-Policy"] = DOCS_POLICY
    return answer


async def _html(name: str, request: Request) -> Response:
    try:
        return await _files.get_response(name, request.scope)
    except HTTPException as missing:
        raise Problem(503, "Page not built", "the page has not been built here: run `make web`") from missing


def mount(app: FastAPI) -> None:
    """Serve the files that the pages need."""
    app.mount("/web/swagger", Files(directory=SWAGGER))
    app.mount("/web", _files)

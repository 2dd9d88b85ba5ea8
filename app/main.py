"""Application factory: routers, middleware and lifespan; no logic of its own.

`uvicorn --factory app.main:create_app` works; `python -m app.cli.serve` also ends event streams on shutdown.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app.api import page
from app.api.routers import ROUTERS, TAGS
from app.http import model_problems, problems, schema
from app.http.body_limit import BodyLimit
from app.metrics import MetricsMiddleware
from app.security.keys import Authentication
from app.security.origin import BrowserHeaders, OriginCheck
from app.settings import AppSettings
from app.state import AppState

API_VERSION = "1"
DESCRIPTION = """
Train a GAN on a folder of images, evaluate it, and serve it.

`GET /samples?n=25` generates images, `POST /train` starts a run, `GET /train/ID/events` reports its progress.
Errors are RFC 9457 problems; unknown parameters and fields are refused.
"""

EXPOSED_HEADERS = ["ETag", "Location", "Retry-After", "X-Atelier-Model", "X-Atelier-Seed"]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app_state: AppState = app.state.atelier
    await app_state.start()
    try:
        yield
    finally:
        await app_state.stop()


def create_app(settings: AppSettings | None = None) -> FastAPI:
    """Build the ASGI application.

    Args:
        settings: read from the environment unless given.
    """
    # Nothing is opened, and torch is not imported, before the lifespan starts: the schema is made without both.
    settings = settings or AppSettings()
    app = FastAPI(
        title="Atelier",
        version=API_VERSION,
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        separate_input_output_schemas=False,
    )
    app.state.atelier = AppState(settings)
    problems.install(app)
    model_problems.install(app)
    for router in ROUTERS:
        app.include_router(router)
    page.mount(app)
    schema.install(app)
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: AppSettings) -> None:
    # From the innermost to the outermost: each middleware handles a request before those added above it.
    app.add_middleware(Authentication)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID"],
            expose_headers=EXPOSED_HEADERS,
        )
    uploads = {("POST", "/datasets"): settings.max_upload_bytes}
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes, uploads=uploads)
    app.add_middleware(OriginCheck, settings=settings)
    app.add_middleware(BrowserHeaders)
    app.add_middleware(MetricsMiddleware)

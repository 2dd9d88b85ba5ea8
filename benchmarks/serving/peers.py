"""Peers that a user might run instead, as processes: `python -m benchmarks.serving.peers plain|constant …`.

Written as well as a user would write it who knows FastAPI: the weights that the service serves, latents from a seeded
generator of torch's, `inference_mode`, and torchvision's `save_image` into memory. `peers_litserve` has the other peer.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio.to_thread
import torch
import uvicorn
from fastapi import FastAPI, Query
from starlette.responses import Response
from torch import Tensor, nn
from torchvision.utils import save_image

from app.cli.serve import KEEP_ALIVE_SECONDS
from app.sampling.queries import SampleQuery
from benchmarks.serving.models import MODELS
from models.store.weights import load_generator

COUNT = 25


def load(weights: Path, name: str, device: torch.device) -> nn.Module:
    """Load a generator, eager and in float32."""
    return load_generator(weights.read_bytes(), MODELS[name]).to(device)


def draw(seed: int, name: str) -> Tensor:
    """Draw a request's latents."""
    return torch.randn(COUNT, MODELS[name].latent.dim, generator=torch.Generator().manual_seed(seed))


def png(images: Tensor) -> bytes:
    """Encode a grid."""
    buffer = io.BytesIO()
    save_image(images, buffer, format="png", nrow=5, normalize=True, value_range=(-1, 1))
    return buffer.getvalue()


def plain(weights: Path, name: str, device: torch.device, threads: int) -> FastAPI:
    """A route that generates images on request, in two ways that use `threads` threads.

    `/threads` is a plain function, which FastAPI runs in a pool of so many threads, a request on each. `/loop` is a
    coroutine, which serves one request at a time on as many threads of torch's.
    """

    @asynccontextmanager
    async def limited(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = threads
        yield

    app = FastAPI(lifespan=limited)
    generator = load(weights, name, device)

    def generate(seed: int) -> Response:
        with torch.inference_mode():
            images = generator(draw(seed, name).to(device)).cpu()
        return Response(png(images), media_type="image/png")

    @app.get("/threads")
    def in_pool(seed: int) -> Response:
        torch.set_num_threads(1)
        return generate(seed)

    @app.get("/loop")
    async def on_loop(seed: int) -> Response:
        torch.set_num_threads(threads)
        return generate(seed)

    @app.get("/health")
    async def health() -> str:
        return "well"

    return app


def constant(body: bytes) -> FastAPI:
    """A route with the service's query model that always answers with the same bytes."""
    app = FastAPI()

    @app.get("/samples")
    async def samples(query: Annotated[SampleQuery, Query()]) -> Response:  # noqa: ARG001
        return Response(body, media_type="image/png")

    @app.get("/health")
    async def health() -> str:
        return "well"

    return app


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of the arguments that every peer takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--file", type=Path, required=True, help="weights; for `constant` the answer")
    parser.add_argument("--model", choices=tuple(MODELS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def main() -> None:
    """Serve until killed."""
    parser = arguments(__doc__)
    parser.add_argument("peer", choices=("plain", "constant"))
    options = parser.parse_args()
    if options.peer == "plain":
        app = plain(options.file, options.model, torch.device(options.device), options.threads)
    else:
        app = constant(options.file.read_bytes())
    # The settings of the service's own server; uvicorn chooses event loop and HTTP parser for all of them.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


if __name__ == "__main__":
    main()

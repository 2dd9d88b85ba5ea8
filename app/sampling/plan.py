"""Render plans: requests for images with all choices made, and their ETag and headers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar

from app.engine.queue import Images
from app.http.headers import cache_control, etag
from app.sampling.images import ImageSequence
from models.store.versions import WholeVersion

T = TypeVar("T")
RawHeaders = list[tuple[bytes, bytes]]

# Images of fewer bytes are never streamed, by any encoder, so that their body can be shared and cached.
SHARED_BYTES = 1 << 20


class RunEncoder(Protocol):
    """Runs part of an encoder's work on a thread: `SamplingEngine.encode`."""

    async def __call__(self, work: Callable[[], T], kind: str, size: int, *, inline: bool = False) -> T:
        """Run `work`; `kind` and `size` in bytes predict how long that takes."""


class Encoder(Protocol):
    """Encodes the images of a plan as a response body."""

    @property
    def media_type(self) -> str: ...

    @property
    def streams(self) -> bool:
        """Whether a body is sent while it is encoded."""

    def etag_parts(self) -> tuple[object, ...]:
        """Return all that decides the bytes for given images, the encoder's release included, as JSON values."""

    def peak_bytes(self, plan: RenderPlan) -> int:
        """Bound the memory that generating, encoding and sending takes at any one time."""

    def content_length(self, plan: RenderPlan) -> int | None:
        """Return the length of a streamed body where it is known beforehand."""

    def encode(self, plan: RenderPlan, images: AsyncGenerator[Images], run: RunEncoder) -> AsyncGenerator[bytes]:
        """Encode images as they are generated; yield the whole body at once unless `streams`.

        Closes `images` at the end or when closed itself.
        """


@dataclass(frozen=True)
class RenderPlan:
    """The images to generate, the version and numerics, and the encoder.

    Attributes:
        fingerprint: names the numerics, as `SamplingEngine.fingerprint` returns it.
        seeded: the request names every seed, so that the same request means the same images.
        pinned: the request names the version by its number.
        private: only this client may cache the response.
    """

    version: WholeVersion
    fingerprint: str
    images: ImageSequence
    encoder: Encoder
    seeded: bool
    pinned: bool
    private: bool

    @property
    def streamed(self) -> bool:
        """Whether the body is sent while it is made."""
        return self.encoder.streams and self.images.total_bytes > SHARED_BYTES

    @cached_property
    def etag(self) -> str:
        """Names the body: equal tags, equal bytes."""
        weights = self.version.manifest.weights_sha256
        parts = (*self.encoder.etag_parts(), *self.images.etag_parts())
        return etag(self.version.ref, weights, self.fingerprint, *parts)

    @cached_property
    def headers(self) -> RawHeaders:
        """The response's headers without a body, as in 304."""
        headers = {
            "ETag": self.etag,
            "Cache-Control": cache_control(seeded=self.seeded, pinned=self.pinned, private=self.private),
            "Vary": "Accept",
            "X-Atelier-Model": self.version.ref,
            "X-Atelier-Seed": self.images.seed_text,
        }
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    @cached_property
    def body_headers(self) -> RawHeaders:
        """The headers of a response with a body, without its length."""
        return [(b"content-type", self.encoder.media_type.encode()), *self.headers]

    def png_text(self, index: int) -> dict[str, str]:
        """Return the text chunks of a PNG that begins with image `index`."""
        model, _, number = self.version.ref.partition("@")
        return {"model": model, "version": number, **self.images.png_text(index)}

"""What is painted and how it is wrapped, every choice made; the tag and the headers follow from that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.engine.inputs import Source
from app.http.negotiation import cache_control, etag
from models.config.networks import GeneratorConfig
from models.store.manifest import Manifest
from models.store.versions import WholeVersion

if TYPE_CHECKING:
    from app.engine.sampler import Sampler

WHOLE_BYTES = 1 << 20
"""Images of fewer bytes leave whole, whatever they are wrapped in: so they can be shared and kept."""


class Subject(Protocol):
    """Which images."""

    @property
    def count(self) -> int:
        """How many; at least one."""

    @property
    def seed(self) -> str:
        """The seed or seeds, as `X-Atelier-Seed` tells them."""

    def parts(self) -> tuple[object, ...]:
        """Give everything that tells these images from others of the same generator, as JSON values."""

    def source(self, generator: GeneratorConfig) -> Source:
        """Give the images' inputs."""

    def text(self, index: int) -> Mapping[str, str]:
        """Say in a PNG's text chunks what it shows, if the image at `index` of the source is its first."""


class Container(Protocol):
    """As what the images leave."""

    @property
    def media_type(self) -> str:
        """The answer's type."""

    @property
    def streamed(self) -> bool:
        """Whether an answer can leave while it is painted; others leave whole."""

    def parts(self) -> tuple[object, ...]:
        """Give everything that decides the bytes of given images, the encoder's release included, as JSON values."""

    def held(self, order: Order) -> int:
        """Bound the bytes that making the answer takes at any one time, the answer itself included."""

    def length(self, order: Order) -> int | None:
        """Give the bytes of a streamed answer where that is known before it is painted."""

    def pieces(self, order: Order, sampler: Sampler) -> AsyncGenerator[bytes]:
        """Paint and encode; one piece where the answer is not streamed.

        Raises:
            VersionNotReady: the version cannot be loaded; before the first piece.
        """


@dataclass(frozen=True)
class Order:
    """A request that can be fulfilled: every choice made.

    Args:
        pinned: the request names the version by its number.
        seeded: the request names every seed, so that the same request means the same pictures.
    """

    version: WholeVersion
    pinned: bool
    seeded: bool
    subject: Subject
    container: Container

    @property
    def manifest(self) -> Manifest:
        """What the version says about itself."""
        return self.version.manifest

    @property
    def generator(self) -> GeneratorConfig:
        """The network's configuration."""
        return self.manifest.generator

    @property
    def streamed(self) -> bool:
        """Whether the answer leaves while it is painted."""
        return self.container.streamed and self.subject.count * self.generator.pixels > WHOLE_BYTES

    def source(self) -> Source:
        """Give the images' inputs."""
        return self.subject.source(self.generator)

    def tag(self, fingerprint: str) -> str:
        """Name the answer's bytes: equal tags, equal bytes. `fingerprint` names the numerics of the device."""
        weights = self.manifest.weights_sha256
        return etag(self.version.ref, weights, fingerprint, *self.container.parts(), *self.subject.parts())

    def headers(self, tag: str, *, private: bool) -> dict[str, str]:
        """Give the headers of the answer, whole or 304.

        Args:
            tag: as `tag` gives it.
            private: only the caller may see the answer.
        """
        return {
            "ETag": tag,
            "Cache-Control": cache_control(seeded=self.seeded, pinned=self.pinned, private=private),
            "Vary": "Accept",
            "X-Atelier-Model": self.version.ref,
            "X-Atelier-Seed": self.subject.seed,
        }

    def text(self, index: int) -> dict[str, str]:
        """Give the text chunks of a PNG whose first image is the one at `index`."""
        model, _, number = self.version.ref.partition("@")
        return {"model": model, "version": number, **self.subject.text(index)}

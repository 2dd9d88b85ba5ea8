"""Images whose order means something: what `/grid` and `/walk` show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.engine.inputs import Source
from app.engine.sources import Arranged
from app.sampling.classes import tell_classes
from models.config.networks import GeneratorConfig
from models.store.manifest import Manifest


@dataclass(frozen=True)
class Structured:
    """Rows of images; the frames of a walk are one row.

    Args:
        images: their inputs, for the generator that the request named.
        seeds: in the order in which they were named.
        columns: images per row.
        choices: everything else that tells these images from others of the same generator, as JSON values.
    """

    images: Arranged
    seeds: tuple[int, ...]
    columns: int
    choices: Mapping[str, object]

    @property
    def count(self) -> int:
        """How many images."""
        return len(self.images)

    @property
    def seed(self) -> str:
        """The seeds, as `X-Atelier-Seed` tells them."""
        return ",".join(map(str, self.seeds))

    def parts(self) -> tuple[object, ...]:
        """Give what tells these images from others of the same generator."""
        return ("structured", self.seeds, self.columns, self.count, self.choices)

    def source(self, generator: GeneratorConfig) -> Source:  # noqa: ARG002  # made for it already
        """Give the images' inputs."""
        return self.images

    def text(self, index: int) -> dict[str, str]:
        """Say which seeds are shown, and where in the grid a PNG begins."""
        row, column = divmod(index, self.columns)
        return {"seed": self.seed, "kind": str(self.choices["kind"]), "first cell": f"{row},{column}"}

    def listing(self, manifest: Manifest) -> tuple[dict[str, object], list[dict[str, object]]]:
        """Tell each image's place, and its class where the generator is conditional."""
        places = (divmod(index, self.columns) for index in range(self.count))
        images: list[dict[str, object]] = [{"row": row, "column": column} for row, column in places]
        tell_classes(images, self.images.labels(0, self.count), manifest)
        return {"seeds": self.seeds, **self.choices}, images

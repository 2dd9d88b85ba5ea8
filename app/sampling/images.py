"""Image sequences: the images that a request means, in order, as generator inputs and in the response."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.config.inputs import LabelInput
from models.config.networks import GeneratorConfig
from models.inputs import Inputs, Labels, make_inputs, make_labels

Description = dict[str, object]


class ImageSequence(ABC):
    """Images of one generator, at least one; inputs are drawn when needed (the engine's `Source`)."""

    generator: GeneratorConfig

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def seed_text(self) -> str:
        """The seed, or all of them in the request's order, as in `X-Atelier-Seed` and in PNGs."""

    @property
    def total_bytes(self) -> int:
        """Pixels of all images together, in bytes."""
        return len(self) * self.generator.pixels

    @abstractmethod
    def inputs(self, start: int, stop: int) -> Inputs:
        """Draw the inputs of images `start` to `stop` - 1; they do not depend on other requests."""

    @abstractmethod
    def labels(self, start: int, stop: int) -> Labels | None:
        """Return the classes of images `start` to `stop` - 1; None for a generator without classes."""

    @abstractmethod
    def etag_parts(self) -> tuple[object, ...]:
        """Return all that distinguishes these images from others of the same generator, as JSON values."""

    @abstractmethod
    def png_text(self, index: int) -> dict[str, str]:
        """Return the text chunks of a PNG that begins with image `index`."""

    @abstractmethod
    def common(self) -> Mapping[str, object]:
        """Return the properties that all images share, as JSON values."""

    @abstractmethod
    def places(self) -> list[Description]:
        """Return the properties of each image, as JSON values."""

    def index_json(self, model: str, files: Sequence[str], classes: Sequence[str]) -> bytes:
        """Return `index.json` of an archive.

        Args:
            model: `NAME@VERSION`.
            files: the images' file names.
            classes: names by label.
        """
        images = [{"file": file, **place} for file, place in zip(files, self.places(), strict=True)]
        if (labels := self.labels(0, len(self))) is not None:
            for image, label in zip(images, labels, strict=True):
                image["class"] = classes[label]
        return json.dumps({"model": model, **self.common(), "images": images}, indent=1).encode()


def label_input(generator: GeneratorConfig) -> LabelInput | None:
    """Return the declaration of a generator's class labels, if it takes any."""
    return next((spec for spec in generator.inputs.values() if isinstance(spec, LabelInput)), None)


@dataclass(frozen=True)
class SeedImages(ImageSequence):
    """The first `count` images of a seed.

    Args:
        seed: 0 to 2^63-1.
        psi: truncation.
        label: the class of every image; None draws one for each from the seed.
    """

    generator: GeneratorConfig
    seed: int
    count: int
    psi: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return self.count

    @property
    def seed_text(self) -> str:
        return str(self.seed)

    def inputs(self, start: int, stop: int) -> Inputs:
        indices = np.arange(start, stop)
        return make_inputs(self.generator.inputs, self.seed, indices, psi=self.psi, label=self.label)

    def labels(self, start: int, stop: int) -> Labels | None:
        spec = label_input(self.generator)
        return None if spec is None else make_labels(spec, self.seed, np.arange(start, stop), self.label)

    def etag_parts(self) -> tuple[object, ...]:
        return ("seed", self.seed, self.count, self.psi, self.label)

    def png_text(self, index: int) -> dict[str, str]:
        return {"seed": self.seed_text, "first index": str(index)}

    def common(self) -> Mapping[str, object]:
        return {"seed": self.seed, "psi": self.psi}

    def places(self) -> list[Description]:
        return [{"seed": self.seed, "index": index} for index in range(self.count)]

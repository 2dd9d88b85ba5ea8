"""What a version says about itself, `manifest.json`: strictly checked, bounded, and free of paths.

`models.store.versions` compares it with the files beside it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from models.config.networks import MAX_CLASSES, GeneratorConfig
from models.config.values import Frozen, Label, Name, Seed
from models.scores import Score

MANIFEST = "manifest.json"
WEIGHTS = "generator.safetensors"
PREVIEW = "preview.png"
CARD = "card.md"
NEIGHBOURS = "neighbours.png"
DELETED = "deleted.json"

MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 30
MAX_VERSION = 10**9 - 1

FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class ManifestError(ValueError):
    """A manifest cannot be used; `arriving` tells that it merely seems to end too early."""

    def __init__(self, reason: str, arriving: bool = False) -> None:
        super().__init__(reason)
        self.arriving = arriving


class FileEntry(Frozen):
    """A file beside the manifest: sha256 in hexadecimal, size in bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        """Describe a file of these bytes."""
        return cls(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Provenance(Frozen):
    """Where a version comes from; `run` is None for versions made elsewhere, `kimg` is the position in its run."""

    run: str | None = None
    preset: str
    dataset: str
    kimg: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    seed: Seed
    software: dict[str, str] = Field(default_factory=dict)

    @property
    def images(self) -> int:
        """The position in its run, counted in images."""
        return round(self.kimg * 1000)


class Manifest(Frozen):
    """Everything about a version but its bytes."""

    format: Literal[1] = 1
    model: Name
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    created_at: AwareDatetime
    files: Annotated[dict[FileName, FileEntry], Field(max_length=16)]
    generator: GeneratorConfig
    classes: Annotated[tuple[Label, ...], Field(max_length=MAX_CLASSES)] = ()
    provenance: Provenance
    scores: dict[str, Score] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if WEIGHTS not in self.files:
            raise ValueError(f"files must list {WEIGHTS}")
        if reserved := {MANIFEST, DELETED} & set(self.files):
            raise ValueError(f"files must not list {', '.join(sorted(reserved))}")
        if self.generator.classes and len(self.classes) != self.generator.classes:
            told = f"the generator has {self.generator.classes} classes"
            raise ValueError(f"{told}: classes must name each of them, not {len(self.classes)}")
        return self

    def to_json(self) -> bytes:
        """Write it as the bytes of a `manifest.json`."""
        return self.model_dump_json(indent=2).encode() + b"\n"


class Deletion(Frozen):
    """What is left of a deleted version, `deleted.json`: its number is never used again."""

    model: str
    version: int
    deleted_at: AwareDatetime
    run: str | None = None
    images: int | None = None


def parse_manifest(data: bytes, model: str, version: int) -> Manifest:
    """Read the manifest of the version that lies in `model/version`.

    Raises:
        ManifestError: it is not one, or is another version's.
    """
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise _manifest_error(error) from error
    if (manifest.model, manifest.version) != (model, version):
        raise ManifestError(
            f"{MANIFEST} describes {manifest.model}@{manifest.version}, but lies in the folder of {model}@{version}: "
            "move it to its own folder, or correct it"
        )
    return manifest


def _manifest_error(error: ValidationError) -> ManifestError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return ManifestError(f"{MANIFEST} is not JSON: {first['msg']}", arriving="EOF" in first["msg"])
    where = ".".join(str(part) for part in first["loc"])
    return ManifestError(f"{MANIFEST} is not valid: {where + ': ' if where else ''}{first['msg']}")

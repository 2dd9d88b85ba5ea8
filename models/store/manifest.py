"""Manifests of versions, `manifest.json`: strictly checked, bounded, and free of paths."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, Field, ValidationError, model_validator

from models.config.inputs import InputSpec, OutputSpec
from models.config.networks import MAX_CLASSES, GeneratorConfig
from models.config.values import Frozen, Label, Name, Seed
from models.scores import Score

MANIFEST = "manifest.json"
# Name of the only generator of most versions.
GENERATOR = "generator"
WEIGHTS = f"{GENERATOR}.safetensors"
PREVIEW = "preview.png"
CARD = "card.md"
NEIGHBOURS = "neighbours.png"
DELETED = "deleted.json"

MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 30
MAX_VERSION = 10**9 - 1
MAX_NETWORKS = 8

Task = Literal["sample", "translate"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class ManifestError(ValueError):
    """A manifest cannot be used; `arriving` if it seems to be incomplete."""

    def __init__(self, reason: str, arriving: bool = False) -> None:
        super().__init__(reason)
        self.arriving = arriving


class FileEntry(Frozen):
    """A file beside the manifest: sha256 in hexadecimal, size in bytes."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]

    @classmethod
    def of(cls, data: bytes) -> FileEntry:
        return cls(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Provenance(Frozen):
    """Origin of a version; `run` is None for versions made elsewhere, `kimg` is the position in its run."""

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


class GeneratorEntry(Frozen):
    """One generator of a version: its file of weights, configuration, inputs and output."""

    weights: FileName
    config: GeneratorConfig
    inputs: dict[str, InputSpec]
    output: OutputSpec

    @classmethod
    def of(cls, name: str, config: GeneratorConfig) -> GeneratorEntry:
        """Describe the generator of this name; its weights are in `NAME.safetensors`."""
        return cls(weights=weights_file(name), config=config, inputs=config.inputs, output=config.output)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        # For readers that do not know the family; a contradiction would mislead them.
        if self.inputs != self.config.inputs or self.output != self.config.output:
            raise ValueError("inputs and output must be those of the config")
        return self


class EncoderEntry(Frozen):
    """A frozen network that the generators need."""

    weights: FileName


class DiscriminatorEntry(Frozen):
    """A discriminator that trained the generators: only a training that starts from the version reads it."""

    weights: FileName


class Manifest(Frozen):
    """The description of a version, in format 2; format 1 is converted when it is read.

    Attributes:
        format: of `manifest.json`: 1 has one generator, named `generator`, and none of the fields that only format 2
            has.
        generators: by name; the first one is used where none is named.
    """

    format: Literal[1, 2] = 2
    model: Name
    version: Annotated[int, Field(ge=1, le=MAX_VERSION)]
    created_at: AwareDatetime
    files: Annotated[dict[FileName, FileEntry], Field(max_length=16)]
    task: Task = "sample"
    generators: Annotated[dict[Name, GeneratorEntry], Field(min_length=1, max_length=MAX_NETWORKS)]
    encoders: Annotated[dict[Name, EncoderEntry], Field(max_length=MAX_NETWORKS, exclude_if=operator.not_)] = Field(
        default_factory=dict
    )
    discriminators: Annotated[
        dict[Name, DiscriminatorEntry], Field(max_length=MAX_NETWORKS, exclude_if=operator.not_)
    ] = Field(default_factory=dict)
    classes: Annotated[tuple[Label, ...], Field(max_length=MAX_CLASSES)] = ()
    provenance: Provenance
    scores: dict[str, Score] = Field(default_factory=dict)

    @property
    def first(self) -> GeneratorEntry:
        """The generator that is used if none is named."""
        return next(iter(self.generators.values()))

    @property
    def generator(self) -> GeneratorConfig:
        """The configuration of the first generator."""
        return self.first.config

    @property
    def weights_sha256(self) -> str:
        """The sha256 of the first generator's weights."""
        return self.files[self.first.weights].sha256

    @model_validator(mode="after")
    def _fits(self) -> Self:
        needed = [entry.weights for entry in self.generators.values()]
        needed += [entry.weights for entry in self.encoders.values()]
        _check_files(self.files, [*needed, *(entry.weights for entry in self.discriminators.values())])
        for name, entry in self.generators.items():
            # An engine that feeds latents must not be given a generator that wants an image.
            takes_image = any(spec.kind == "image" for spec in entry.inputs.values())
            if takes_image != (self.task == "translate"):
                raise ValueError(f"the task is {self.task}, but {name} takes {'an' if takes_image else 'no'} image")
            _check_classes(entry.config, self.classes)
        return self

    def to_json(self) -> bytes:
        """Encode as the bytes of a `manifest.json`, in its own format."""
        document = self if self.format == 2 else ManifestV1.of(self)
        return document.model_dump_json(indent=2).encode() + b"\n"


class ManifestV1(Frozen):
    """`manifest.json` in format 1: one generator, in `generator.safetensors`."""

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
        _check_files(self.files, [WEIGHTS])
        _check_classes(self.generator, self.classes)
        return self

    @classmethod
    def of(cls, manifest: Manifest) -> ManifestV1:
        """Convert back a manifest that was read in format 1."""
        shared = {name: getattr(manifest, name) for name in cls.model_fields if name != "generator"}
        return cls(**shared, generator=manifest.generator)

    def upgrade(self) -> Manifest:
        """Convert to the current format."""
        shared = {name: getattr(self, name) for name in type(self).model_fields if name != "generator"}
        return Manifest(**shared, generators={GENERATOR: GeneratorEntry.of(GENERATOR, self.generator)})


def weights_file(network: str) -> str:
    return f"{network}.safetensors"


def _check_files(files: Mapping[str, FileEntry], needed: Iterable[str]) -> None:
    for name in needed:
        if name not in files:
            raise ValueError(f"files must list {name}")
    # A manifest cannot carry its own sha256, and deleted.json would delete the version.
    if reserved := {MANIFEST, DELETED} & set(files):
        raise ValueError(f"files must not list {', '.join(sorted(reserved))}")


def _check_classes(generator: GeneratorConfig, classes: Sequence[str]) -> None:
    if generator.classes and len(classes) != generator.classes:
        raise ValueError(
            f"the generator has {generator.classes} classes: classes must name each of them, not {len(classes)}"
        )


class Deletion(Frozen):
    """The record of a deleted version, `deleted.json`: its number is never used again."""

    model: str
    version: int
    deleted_at: AwareDatetime
    run: str | None = None
    images: int | None = None


def parse_manifest(data: bytes, model: str, version: int) -> Manifest:
    """Parse the manifest of version `version` of the model `model`, in any format.

    Raises:
        ManifestError: it is not one, or is another version's.
    """
    try:
        manifest = _parse(data)
    except ValidationError as error:
        raise _manifest_error(error) from error
    if (manifest.model, manifest.version) != (model, version):
        raise ManifestError(
            f"{MANIFEST} describes {manifest.model}@{manifest.version}, but is in the folder of {model}@{version}: "
            "move it to its own folder, or correct it"
        )
    return manifest


def _parse(data: bytes) -> Manifest:
    # A manifest without a format is of the first one.
    if _Format.model_validate_json(data).format == 1:
        return ManifestV1.model_validate_json(data).upgrade()
    return Manifest.model_validate_json(data)


class _Format(BaseModel):
    """The format alone."""

    # Read first, because each format has errors of its own fields.
    format: Literal[1, 2] = 1


def _manifest_error(error: ValidationError) -> ManifestError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return ManifestError(f"{MANIFEST} is not JSON: {first['msg']}", arriving="EOF" in first["msg"])
    where = ".".join(str(part) for part in first["loc"])
    return ManifestError(f"{MANIFEST} is not valid: {where + ': ' if where else ''}{first['msg']}")

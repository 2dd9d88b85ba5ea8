"""Publishing: a run's generators become a version, atomically and once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import safetensors.numpy

from models.config.networks import GeneratorConfig
from models.config.training import TrainingConfig
from models.config.values import NAME
from models.objectives.methods import METHODS
from models.records import Claim, Records
from models.scores import Evaluation, Score
from models.store.base import ModelStore
from models.store.card import Pairs, render_card
from models.store.errors import InvalidName, ReadOnlyModel
from models.store.manifest import (
    CARD,
    NEIGHBOURS,
    PREVIEW,
    Deletion,
    DiscriminatorEntry,
    FileEntry,
    GeneratorEntry,
    Manifest,
    Provenance,
    weights_file,
)
from models.store.versions import STARTER, Version


@dataclass(frozen=True)
class TrainedRun:
    """The data that all publications of an attempt have in common.

    Attributes:
        claim: of the run; it must still hold when its versions are numbered.
        preset: the preset that `auto` has chosen, or the requested one.
        software: versions of the software that trained it, by name.
    """

    claim: Claim
    config: TrainingConfig
    preset: str
    software: Mapping[str, str]

    @property
    def generators(self) -> dict[str, GeneratorConfig]:
        """The configurations of the run's generators by name; the first one is the default."""
        return {name: self.config.generator_config() for name in METHODS.get(self.config.method).generators}

    def draft(
        self,
        images: int,
        weights: bytes,
        preview: bytes,
        evaluation: Evaluation | None,
    ) -> VersionDraft:
        """Prepare a version.

        Args:
            images: the position, in real images shown to the discriminator.
            weights: the averaged generators, and discriminators that are kept, as one safetensors file, as snapshots
                have them. With several networks each tensor's name begins with its network's.
            preview: a PNG.
            evaluation: at this position, if there was one.
        """
        scores = {} if evaluation is None else evaluation.scores
        networks = [*self.generators, *self.config.kept_discriminators]
        return VersionDraft(self, images, split_weights(weights, networks), preview, scores)


@dataclass(frozen=True)
class VersionDraft:
    """A version without a number: a run's generators at a position, for the model that its configuration names.

    Attributes:
        images: the position, in real images shown to the discriminator.
        weights: of each generator of the run and of each discriminator that is kept, as safetensors.
        scores: the one that decides about `best` first.
        pairs: makes images beside the nearest ones in the data; called only where nothing is published there yet.
    """

    source: TrainedRun
    images: int
    weights: Mapping[str, bytes]
    preview: bytes
    scores: Mapping[str, Score] = field(default_factory=dict)
    pairs: Callable[[], Pairs] | None = None

    @property
    def model(self) -> str:
        return self.source.config.model

    def files(self) -> dict[str, bytes]:
        """Return the files that do not depend on the version's number."""
        return {**{weights_file(name): data for name, data in self.weights.items()}, PREVIEW: self.preview}

    def manifest(self, version: int, files: Mapping[str, bytes]) -> Manifest:
        source = self.source
        return Manifest(
            model=self.model,
            version=version,
            created_at=datetime.now(UTC),
            files={name: FileEntry.of(data) for name, data in files.items()},
            generators={name: GeneratorEntry.of(name, config) for name, config in source.generators.items()},
            discriminators={
                name: DiscriminatorEntry(weights=weights_file(name)) for name in source.config.kept_discriminators
            },
            classes=source.config.classes,
            provenance=Provenance(
                run=source.claim.id,
                preset=source.preset,
                dataset=source.config.dataset,
                kimg=self.images / 1000,
                seed=source.config.seed,
                software=dict(source.software),
            ),
            scores=dict(self.scores),
        )


def split_weights(weights: bytes, networks: Sequence[str]) -> dict[str, bytes]:
    """Split a safetensors file into one for each network, by the prefixes of its tensors' names."""
    if len(networks) == 1:
        return {networks[0]: weights}
    tensors = safetensors.numpy.load(weights)
    return {
        network: safetensors.numpy.save(
            {
                name.removeprefix(f"{network}."): tensor
                for name, tensor in tensors.items()
                if name.startswith(f"{network}.")
            }
        )
        for network in networks
    }


@dataclass(frozen=True)
class Published:
    """A version that is in the store.

    Attributes:
        already: an earlier attempt had put it there.
        replaced: it is of the same position, but holds other weights: the run was rolled back in between.
    """

    model: str
    version: int
    already: bool
    replaced: bool = False

    @property
    def ref(self) -> str:
        """`NAME@NUMBER`."""
        return f"{self.model}@{self.version}"


def publish(store: ModelStore, records: Records, draft: VersionDraft) -> Published:
    """Publish, and point `best` at the version if its score is the best.

    Args:
        store: where versions are kept.
        records: allocates the number.
        draft: the version to publish.

    Raises:
        ClaimLost: a newer attempt holds the run; nothing was published.
        RecordsUnavailable: the database is away; a retry is safe.
        ReadOnlyModel: the model is the starter.
        InvalidName: the model's name is not allowed.
        OSError: a file could not be written, such as on a full disk; a retry is safe.
    """
    _check_name(draft.model)
    published = _find_published(store, records, draft)
    if published is None:
        published = _publish_new(store, records, draft)
    # Also for an existing version: the attempt that published it may have been killed before this step.
    store.promote_best(published.model, published.version)
    return published


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise InvalidName(
            f'"{name}" is no model name: use up to 64 of a-z 0-9 . _ - and begin with a letter or a digit'
        )
    if name == STARTER:
        raise ReadOnlyModel(f'the model "{STARTER}" ships with Atelier and cannot be changed: use another name')


def _find_published(store: ModelStore, records: Records, draft: VersionDraft) -> Published | None:
    """Return the version of the same run at the same position, also if it was deleted since."""
    position = draft.source.claim.id, draft.images
    for row in records.publications(draft.source.claim.id):
        if row.images != draft.images:
            continue
        found = store.examine(row.model, row.version)
        if _position(found) == position:
            return Published(row.model, row.version, already=True, replaced=_replaced(found, draft))
    return None


def _position(found: Version | Deletion | None) -> tuple[str | None, int | None] | None:
    if isinstance(found, Deletion):
        return found.run, found.images
    if found is None or found.manifest is None:
        return None
    return found.manifest.provenance.run, found.manifest.provenance.images


def _replaced(found: Version | Deletion | None, draft: VersionDraft) -> bool:
    # The weights of a deleted version are not known any more.
    if found is None or isinstance(found, Deletion) or found.manifest is None:
        return False
    files = found.manifest.files
    hashes = {weights_file(name): hashlib.sha256(data).hexdigest() for name, data in draft.weights.items()}
    return any(name not in files or files[name].sha256 != sha256 for name, sha256 in hashes.items())


def _publish_new(store: ModelStore, records: Records, draft: VersionDraft) -> Published:
    source, model = draft.source, draft.model
    with store.stage(model, source.claim.id, draft.images, source.claim.token) as staging:
        files, pairs = draft.files(), None
        if draft.pairs is not None:
            pairs = draft.pairs()
            files[NEIGHBOURS] = pairs.picture
        for name, data in files.items():
            staging.write(name, data)
        # Only now, with the files safe: a number that is allocated is meant to be used.
        while True:
            number = records.allocate(source.claim, draft.images, model, taken=store.numbers(model))
            # The card names the number; the manifest lists the card.
            files[CARD] = render_card(draft.manifest(number, files), source.config, pairs)
            staging.write(CARD, files[CARD])
            # Refused where a number was taken since, by a copied version: the next one is allocated then.
            if staging.commit(draft.manifest(number, files)):
                return Published(model, number, already=False)

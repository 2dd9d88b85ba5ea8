"""Publishing: a generator's bytes become `MODEL/VERSION`, whole or not at all, and once however often it is tried.

`models.records` gives out the number; `models.store.local` reads what lies here.
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from models.artifacts.attempts import kimg_name
from models.config.networks import GeneratorConfig
from models.config.training import TrainingConfig
from models.config.values import NAME
from models.files import sync_folder, write_file
from models.records import Claim, Records
from models.scores import Score, is_best
from models.store.aliases import BEST, changing, write_alias
from models.store.card import Pairs, write_card
from models.store.errors import InvalidName, ReadOnlyModel
from models.store.local import ModelDirectory
from models.store.manifest import (
    CARD,
    DELETED,
    MANIFEST,
    NEIGHBOURS,
    PREVIEW,
    WEIGHTS,
    Deletion,
    FileEntry,
    Manifest,
    Provenance,
)
from models.store.survey import STARTER, ModelInfo, survey
from models.store.versions import Version, examine, numbers

# What rename says where something stands already: a folder that is not empty, or a file.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


@dataclass(frozen=True)
class Published:
    """A version that is in the model directory; `already` when an earlier attempt had put it there."""

    model: str
    version: int
    already: bool

    @property
    def ref(self) -> str:
        """`NAME@NUMBER`."""
        return f"{self.model}@{self.version}"


def publish(
    directory: ModelDirectory | Path,
    records: Records,
    *,
    run: str,
    token: int,
    images: int,
    model: str,
    weights: bytes,
    preview: bytes,
    generator: GeneratorConfig,
    classes: Sequence[str] = (),
    provenance: Provenance,
    scores: Mapping[str, Score] | None = None,
    training: TrainingConfig | None = None,
    pairs: Callable[[], Pairs] | None = None,
) -> Published:
    """Publish a run's generator at a position, and move `best` to it where its score is the best.

    Args:
        directory: the model directory.
        records: gives out the number.
        run: the run.
        token: the caller's fencing token.
        images: the position; `provenance` must name the same run and position.
        model: the name to publish under.
        weights: the generator as safetensors.
        preview: a PNG.
        generator: what the weights belong to.
        classes: the labels of a conditional generator.
        provenance: where it comes from.
        scores: measurements, the one that decides about `best` first.
        training: what trained it; with it comes a model card.
        pairs: gives images beside the nearest ones in the data; asked only where the position is not published yet.

    Raises:
        ClaimLost: a newer attempt holds the run; nothing was published.
        RecordsUnavailable: the database is away; trying again is safe.
        ReadOnlyModel: the model is the starter.
        InvalidName: no model can be called that.
        OSError: a file could not be written, such as on a full disk; trying again is safe.
    """
    _check_name(model)
    if (provenance.run, provenance.images) != (run, images):
        raise ValueError(
            f"the provenance is of run {provenance.run} at {provenance.images} images, not of run {run} at {images}"
        )
    root = directory if isinstance(directory, Path) else directory.root
    folder = root / model
    folder.mkdir(parents=True, exist_ok=True)
    sync_folder(root)
    published = _published_before(folder, records, run, images)
    if published is None:
        _discard_older_staging(folder, run, token)
        files, shown = {WEIGHTS: weights, PREVIEW: preview}, None
        if pairs is not None:
            shown = pairs()
            files[NEIGHBOURS] = shown.picture
        staging = folder / f".staging-{run}-{kimg_name(images)}-{token}-{secrets.token_hex(4)}"
        try:
            staging.mkdir()
            for name, data in files.items():
                write_file(staging / name, data)
            while published is None:
                version = records.allocate(Claim("run", run, token), images, model, taken=set(numbers(folder)))
                manifest = build_manifest(model, version, files, generator, classes, provenance, scores or {})
                if training is not None:
                    manifest = _with_card(manifest, training, shown, staging)
                published = _place(staging, folder, manifest)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    _move_best(folder, model, published.version)
    return published


def _with_card(manifest: Manifest, training: TrainingConfig, pairs: Pairs | None, staging: Path) -> Manifest:
    """Write the card, which names the version's number, and list it."""
    card = write_card(manifest, training, pairs)
    (staging / CARD).unlink(missing_ok=True)
    write_file(staging / CARD, card)
    return manifest.model_copy(update={"files": {**manifest.files, CARD: FileEntry.of(card)}})


def build_manifest(
    model: str,
    version: int,
    files: Mapping[str, bytes],
    generator: GeneratorConfig,
    classes: Sequence[str],
    provenance: Provenance,
    scores: Mapping[str, Score],
) -> Manifest:
    """Write what a version says about itself, with the sha256 and size of each of its `files`."""
    return Manifest(
        model=model,
        version=version,
        created_at=datetime.now(UTC),
        files={name: FileEntry.of(data) for name, data in files.items()},
        generator=generator,
        classes=tuple(classes),
        provenance=provenance,
        scores=dict(scores),
    )


def _check_name(name: str) -> None:
    if not re.fullmatch(NAME, name):
        raise InvalidName(
            f'"{name}" is no model name: use up to 64 of a-z 0-9 . _ - and begin with a letter or a digit'
        )
    if name == STARTER:
        raise ReadOnlyModel(f'the model "{STARTER}" ships with Atelier and cannot be changed: use another name')


def _published_before(folder: Path, records: Records, run: str, images: int) -> Published | None:
    for publication in records.publications(run):
        if publication.images == images and _is_of(folder, publication.version, run, images):
            return Published(publication.model, publication.version, already=True)
    return None


def _is_of(folder: Path, number: int, run: str, images: int) -> bool:
    """Say whether a number stands for this run at this position, be it deleted since."""
    place = folder / str(number)
    version = examine(place, folder.name, number)
    if version is None:
        try:
            deletion = Deletion.model_validate_json((place / DELETED).read_bytes())
        except ValueError:
            return False
        return (deletion.run, deletion.images) == (run, images)
    if version.manifest is None:
        return False
    return (version.manifest.provenance.run, version.manifest.provenance.images) == (run, images)


def _place(staging: Path, folder: Path, manifest: Manifest) -> Published | None:
    """Rename a staged version to its number; None when something came to stand there meanwhile."""
    (staging / MANIFEST).unlink(missing_ok=True)
    write_file(staging / MANIFEST, manifest.to_json())
    sync_folder(staging)
    try:
        staging.rename(folder / str(manifest.version))
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return None
    sync_folder(folder)
    return Published(manifest.model, manifest.version, already=False)


def _discard_older_staging(folder: Path, run: str, token: int) -> None:
    """Remove what earlier attempts of this run left unfinished; one that still lives is fenced, and finds it gone."""
    for path in folder.iterdir():
        staging = re.fullmatch(rf"\.staging-{re.escape(run)}-[0-9.]+-([0-9]+)-[0-9a-f]+", path.name)
        if staging and int(staging[1]) < token:
            shutil.rmtree(path, ignore_errors=True)


def _move_best(folder: Path, model: str, number: int) -> None:
    """Point `best` at a version whose first score beats every other whole version's of the same protocol.

    The first version with a protocol has nothing to beat. Repeating it changes nothing.
    """
    with changing(folder):
        info = survey(folder, model)
        version = next((v for v in info.versions if v.number == number), None) if info is not None else None
        if info is not None and version is not None and _is_best(info, version):
            write_alias(folder, BEST, number)


def _is_best(info: ModelInfo, version: Version) -> bool:
    scores = version.manifest.scores if version.manifest is not None else {}
    if not scores:
        return False
    name, score = next(iter(scores.items()))
    rivals = [v.manifest.scores.get(name) for v in info.versions if v.manifest and v != version and v.state == "whole"]
    return is_best(score, (rival for rival in rivals if rival is not None))

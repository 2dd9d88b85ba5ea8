"""A model store in a local directory, `NAME/VERSION/` and `NAME/aliases/`, scanned and then resolved from memory."""

from __future__ import annotations

import errno
import hashlib
import logging
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from models.artifacts.attempts import kimg_name
from models.config.values import NAME
from models.files import sync_folder, write_file
from models.store import folders
from models.store.catalogue import Catalogue, ModelInfo
from models.store.errors import (
    AliasConflict,
    BrokenVersion,
    InvalidName,
    ReadOnlyModel,
    UnknownModel,
    VersionInUse,
    VersionNotReady,
)
from models.store.manifest import MANIFEST, Deletion, FileEntry, Manifest
from models.store.versions import (
    BEST,
    LATEST,
    STARTER,
    UnusableVersion,
    Version,
    WholeVersion,
    alias_problem,
    unusable,
)

logger = logging.getLogger(__name__)

STARTER_FOLDER = Path(__file__).parents[1] / STARTER

# Errors of rename for a name that is taken, by a folder that is not empty or by a file.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)

Change = Callable[[ModelInfo, Path], None]


class LocalStore:
    """A `ModelStore` in a directory."""

    def __init__(self, root: Path, default_model: str | None = None, *, starter: Path = STARTER_FOLDER) -> None:
        """Use the directory `root`.

        Args:
            root: where models are published; it need not exist yet.
            default_model: the reference to use if none is given.
            starter: the folder of the starter model.
        """
        self._root = root
        self._default_model = default_model
        self._starter = starter
        self._lock = threading.RLock()
        self._catalogue: Catalogue | None = None
        self._changed: set[str] = set()
        self._complaints: dict[str, str] = {}

    def scan(self) -> frozenset[str]:
        with self._lock:
            self.refresh()
            changed = frozenset(self._changed)
            self._changed.clear()
            return changed

    def refresh(self) -> None:
        # One scan at a time; readers go on with the catalogue of the last one.
        with self._lock:
            before = self._catalogue.models if self._catalogue is not None else {}
            found = {name: self._examine(name, before.get(name)) for name in self._names(before.keys())}
            self._update({name: info for name, info in found.items() if info is not None})

    def models(self) -> list[ModelInfo]:
        return self._found().listed()

    def model(self, name: str) -> ModelInfo:
        return self._found().model(name)

    def resolve(self, ref: str | None) -> WholeVersion:
        return self._found().resolve(ref)

    def read(self, version: WholeVersion, name: str) -> bytes:
        entry = version.manifest.files[name]
        # Never memory-mapped: a file that is truncated later would kill the process.
        with self._opened(version, name) as file:
            data = file.read(entry.size + 1)
        self._check(version, name, len(data), lambda: hashlib.sha256(data).hexdigest())
        return data

    def open(self, version: WholeVersion, name: str) -> BufferedReader:
        file = self._opened(version, name)
        try:
            # The very file that is handed out is checked: another one may take its name meanwhile.
            self._check(version, name, file.seek(0, 2), lambda: _digest(file))
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    def _opened(self, version: WholeVersion, name: str) -> BufferedReader:
        try:
            return (self._folder(version.model) / str(version.number) / name).open("rb")
        except OSError as error:
            raise VersionNotReady(unusable(version, "arriving", f"{name} cannot be read: {error}")) from error

    def _check(self, version: WholeVersion, name: str, size: int, sha256: Callable[[], str]) -> None:
        entry: FileEntry = version.manifest.files[name]
        if size != entry.size:
            raise VersionNotReady(unusable(version, "arriving", f"{name} no longer has {entry.size:,} bytes"))
        if (found := sha256()) != entry.sha256:
            reason = f"{name} has the sha256 {found}, the manifest says {entry.sha256}: copy the version again"
            raise BrokenVersion(self.mark_broken(version, reason))

    def mark_broken(self, version: Version, reason: str) -> UnusableVersion:
        broken = unusable(version, "broken", reason)
        with self._lock:
            models = self._found().models
            info = models.get(version.model)
            # Not where the files have changed since: the reason is about the older ones.
            if info is not None and version in info.versions:
                self._update({**models, info.name: info.replace(version, broken)})
        return broken

    def set_alias(self, model: str, alias: str, number: int) -> None:
        def change(info: ModelInfo, folder: Path) -> None:
            version = info.version(number)
            if version.state != "whole":
                raise AliasConflict(f"{version.ref} is {version.state} ({version.reason}): no alias may point at it")
            folders.write_alias(folder, alias, number)

        self._change_alias(model, alias, change)

    def delete_alias(self, model: str, alias: str) -> None:
        def change(info: ModelInfo, folder: Path) -> None:
            if alias not in info.aliases:
                raise UnknownModel(f'the model {model} has no alias "{alias}"')
            folders.remove_alias(folder, alias)

        self._change_alias(model, alias, change)

    def delete_version(self, model: str, number: int) -> None:
        def change(info: ModelInfo, folder: Path) -> None:
            version = info.version(number)
            users = [alias for alias, target in info.aliases.items() if target == number and alias != LATEST]
            if users:
                raise VersionInUse(
                    f"{version.ref} is what {', '.join(users)} points at: move or delete the alias first"
                )
            # `deleted.json` stays in the folder, so that the number is never used again.
            folders.delete_version(folder / str(number), version)

        self._change(model, change)

    def _change_alias(self, model: str, alias: str, change: Change) -> None:
        if problem := alias_problem(alias):
            raise InvalidName(problem)
        self._change(model, change)

    def _change(self, model: str, change: Change) -> None:
        """Apply `change` to a model's present state on the disk, alone among threads and processes."""
        # First without the lock: a model that is not there has no folder to lock.
        self.refresh()
        if self.model(model).read_only:
            raise ReadOnlyModel(f'the model "{model}" ships with Atelier and cannot be changed')
        folder = self._folder(model)
        with folders.lock_model(folder):
            # Again under the lock: another process may have changed the model meanwhile.
            self.refresh()
            change(self.model(model), folder)
        self.refresh()

    def numbers(self, model: str) -> set[int]:
        return set(folders.list_numbers(self._folder(model)))

    def examine(self, model: str, number: int) -> Version | Deletion | None:
        folder = self._folder(model) / str(number)
        version = folders.examine_version(folder, model, number)
        return folders.read_deletion(folder) if version is None else version

    @contextmanager
    def stage(self, model: str, run: str, images: int, token: int) -> Iterator[LocalStaging]:
        folder = self._folder(model)
        folder.mkdir(parents=True, exist_ok=True)
        sync_folder(self._root)
        _discard_older_staging(folder, run, token)
        staging = folder / f".staging-{run}-{kimg_name(images)}-{token}-{secrets.token_hex(4)}"
        try:
            staging.mkdir()
            yield LocalStaging(staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def promote_best(self, model: str, number: int) -> None:
        folder = self._folder(model)
        with folders.lock_model(folder):
            # Read afresh, not from the catalogue: scores of versions that others have just published count too.
            info = folders.examine_model(folder, model)
            if info is not None and info.is_best(number):
                folders.write_alias(folder, BEST, number)

    def _folder(self, model: str) -> Path:
        return self._starter if model == STARTER else self._root / model

    def _found(self) -> Catalogue:
        # No lock: sampling never waits for a scan of a slow disk.
        if self._catalogue is None:
            self.refresh()
        return self._catalogue or Catalogue({}, self._default_model)

    def _update(self, models: dict[str, ModelInfo]) -> None:
        """Replace the catalogue; the next `scan` reports the differences."""
        before = self._catalogue.models if self._catalogue is not None else {}
        for name in before.keys() | models.keys():
            if before.get(name) != models.get(name):
                self._changed.add(name)
                _log_broken(before.get(name), models.get(name))
        # One assignment, so that readers without the lock see either catalogue whole.
        self._catalogue = Catalogue(models, self._default_model)

    def _names(self, before: Iterable[str]) -> list[str]:
        try:
            names = {path.name for path in self._root.iterdir() if re.fullmatch(NAME, path.name)}
            self._complain(".", None)
        except FileNotFoundError:
            names = set()
        except OSError as error:
            # A disk that is away for a moment must not remove models that are being served.
            self._complain(".", f"the model directory {self._root} cannot be read: {error}")
            names = set(before)
        return sorted(names | {STARTER})

    def _examine(self, name: str, before: ModelInfo | None) -> ModelInfo | None:
        folder = self._folder(name)
        try:
            info = folders.examine_model(folder, name, before)
        except OSError as error:
            self._complain(name, f"the model {name} in {folder} cannot be read: {error}")
            return before
        self._complain(name, None)
        return info

    def _complain(self, about: str, message: str | None) -> None:
        """Log a complaint once, until it changes or ends (None)."""
        if message is None:
            self._complaints.pop(about, None)
        elif self._complaints.get(about) != message:
            self._complaints[about] = message
            logger.warning(message)


class LocalStaging:
    """A version in a hidden folder, which the commit renames to its number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, data: bytes) -> None:
        (self._folder / name).unlink(missing_ok=True)
        write_file(self._folder / name, data)

    def commit(self, manifest: Manifest) -> bool:
        self.write(MANIFEST, manifest.to_json())
        # Names before the rename: after a power cut the version must not be there without its files.
        sync_folder(self._folder)
        try:
            self._folder.rename(self._folder.parent / str(manifest.version))
        except OSError as error:
            # Rename decides: after a check beforehand somebody could still copy a version in.
            if error.errno not in _TAKEN:
                raise
            return False
        sync_folder(self._folder.parent)
        return True


def _digest(file: BufferedReader) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _discard_older_staging(folder: Path, run: str, token: int) -> None:
    """Remove the unfinished versions of earlier attempts of this run."""
    for path in folder.iterdir():
        staging = re.fullmatch(rf"\.staging-{re.escape(run)}-[0-9.]+-([0-9]+)-[0-9a-f]+", path.name)
        if staging and int(staging[1]) < token:
            # An earlier attempt that still runs is fenced: its next write fails.
            shutil.rmtree(path, ignore_errors=True)


def _log_broken(before: ModelInfo | None, after: ModelInfo | None) -> None:
    """Log each version that was not broken when it was last examined and is now."""
    known = before.versions if before is not None else ()
    for version in after.versions if after is not None else ():
        if version.state == "broken" and version not in known:
            logger.error("%s is broken and is not served: %s", version.ref, version.reason)

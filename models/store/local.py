"""The model directory, `NAME/VERSION/` and `NAME/aliases/`: found by scanning, resolved from memory.

`models.store.publishing` adds versions. Nothing is created by reading: the directory need not exist.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from models.config.values import NAME
from models.store.aliases import LATEST, alias_problem, changing, remove_alias, write_alias
from models.store.errors import (
    AliasConflict,
    BrokenVersion,
    InvalidName,
    ModelError,
    ReadOnlyModel,
    UnknownModel,
    VersionInUse,
    VersionNotReady,
)
from models.store.manifest import MANIFEST, PREVIEW, WEIGHTS, FileEntry, Manifest, Provenance
from models.store.survey import STARTER, ModelInfo, survey
from models.store.versions import State, Version, delete

__all__ = [
    "MANIFEST",
    "PREVIEW",
    "STARTER",
    "WEIGHTS",
    "AliasConflict",
    "BrokenVersion",
    "FileEntry",
    "InvalidName",
    "Manifest",
    "ModelDirectory",
    "ModelError",
    "ModelInfo",
    "Provenance",
    "ReadOnlyModel",
    "State",
    "UnknownModel",
    "Version",
    "VersionInUse",
    "VersionNotReady",
]

logger = logging.getLogger(__name__)

STARTER_FOLDER = Path(__file__).parents[1] / STARTER

Change = Callable[[ModelInfo, Path], None]


class ModelDirectory:
    """A model directory as it was last seen; `scan` looks again. May be used from any thread."""

    def __init__(self, root: Path, default_model: str | None = None, *, starter: Path = STARTER_FOLDER) -> None:
        """Use the directory `root`, which need not exist yet.

        Args:
            root: where models are published.
            default_model: the reference that is meant where none is given.
            starter: the folder of the model that is always there.
        """
        self.root = root
        self._default_model = default_model
        self._starter = starter
        self._lock = threading.RLock()
        self._models: dict[str, ModelInfo] | None = None
        self._newest: tuple[dict[str, ModelInfo], str] | None = None
        """The model published last, and what was seen when it was."""
        self._changed: set[str] = set()
        self._complaints: dict[str, str] = {}

    def scan(self) -> frozenset[str]:
        """Look at everything again: stats, and the contents of changed manifests and of aliases.

        Returns:
            The names of the models that have changed, come or gone since the last scan. A bad version is never an
            error: it is described by its state and reason.
        """
        with self._lock:
            self.refresh()
            changed = frozenset(self._changed)
            self._changed.clear()
            return changed

    def refresh(self) -> None:
        """Look at everything again, and leave what has changed to be told by the next `scan`."""
        with self._lock:
            before = self._models or {}
            found = {name: self._survey(name, before.get(name)) for name in self._names()}
            self._become({name: info for name, info in found.items() if info is not None})

    def models(self) -> list[ModelInfo]:
        """List the models by name."""
        return sorted(self._seen().values(), key=lambda info: info.name)

    def model(self, name: str) -> ModelInfo:
        """Give a model.

        Raises:
            UnknownModel: there is none of that name.
        """
        try:
            return self._seen()[name]
        except KeyError:
            raise UnknownModel(f'there is no model "{name}"') from None

    def default(self) -> Version:
        """Give the version that is meant where none is named: the configured one, else of the model published last.

        Raises:
            UnknownModel: the configured one does not exist, or there is nothing at all.
            VersionNotReady: the configured one cannot be used now.
        """
        if self._default_model is not None:
            return self.resolve(self._default_model)
        seen = self._seen()
        if self._newest is None or self._newest[0] is not seen:
            dated = [(at, info.name) for info in seen.values() if not info.read_only and (at := info.published_at())]
            self._newest = (seen, max(dated)[1] if dated else STARTER)
        return self.resolve(self._newest[1])

    def resolve(self, ref: str | None) -> Version:
        """Find the whole version that a reference means.

        Args:
            ref: `NAME@NUMBER`, `NAME@ALIAS`, `NAME` (its `best` where that is whole, else its `latest`), or None for
                the default.

        Raises:
            UnknownModel: there is no such model, version or alias.
            VersionNotReady: the version is arriving.
            BrokenVersion: the version is broken.
        """
        if ref is None:
            return self.default()
        name, at, selector = ref.partition("@")
        version = self.model(name).select(selector if at else None)
        if version.state == "broken":
            raise BrokenVersion(version)
        if version.state == "arriving":
            raise VersionNotReady(version)
        return version

    def read_weights(self, version: Version) -> bytes:
        """Read a version's weights into memory, once, and check them against the manifest.

        Raises:
            VersionNotReady: the file is missing or has another size by now, or its manifest cannot be read.
            BrokenVersion: the bytes are not those that the manifest was written for; the version is marked so.
        """
        if version.manifest is None:
            raise VersionNotReady(version)
        entry = version.manifest.files[WEIGHTS]
        try:
            with (version.path / WEIGHTS).open("rb") as file:
                data = file.read(entry.size + 1)
        except OSError as error:
            reason = f"{WEIGHTS} cannot be read: {error}"
            raise VersionNotReady(replace(version, state="arriving", reason=reason)) from error
        if len(data) != entry.size:
            reason = f"{WEIGHTS} no longer has {entry.size:,} bytes"
            raise VersionNotReady(replace(version, state="arriving", reason=reason))
        if (sha256 := hashlib.sha256(data).hexdigest()) != entry.sha256:
            reason = f"{WEIGHTS} has the sha256 {sha256}, its manifest says {entry.sha256}: copy the version again"
            raise BrokenVersion(self.mark_broken(version, reason))
        return data

    def mark_broken(self, version: Version, reason: str) -> Version:
        """Note that a version cannot be used, until one of its files changes; gives it as it is then."""
        broken = replace(version, state="broken", reason=reason)
        with self._lock:
            models = self._seen()
            info = models.get(version.model)
            if info is not None and version in info.versions:
                self._become({**models, info.name: info.replacing(version, broken)})
        return broken

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a whole version.

        Raises:
            InvalidName: the alias can have no such name.
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such model or version.
            AliasConflict: the version is not whole.
            OSError: it could not be written; the alias is as it was.
        """

        def change(info: ModelInfo, folder: Path) -> None:
            version = info.version(number)
            if version.state != "whole":
                raise AliasConflict(f"{version.ref} is {version.state} ({version.reason}): no alias may point at it")
            write_alias(folder, alias, number)

        self._change_alias(model, alias, change)

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias.

        Raises:
            InvalidName: there can be no such alias, or it is `latest`.
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such model or alias.
        """

        def change(info: ModelInfo, folder: Path) -> None:
            if alias not in info.aliases:
                raise UnknownModel(f'the model {model} has no alias "{alias}"')
            remove_alias(folder, alias)

        self._change_alias(model, alias, change)

    def delete_version(self, model: str, number: int) -> None:
        """Delete a version's files; `deleted.json` stays, so that its number never returns.

        Raises:
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such version.
            VersionInUse: an alias other than `latest` points at it.
        """

        def change(info: ModelInfo, _folder: Path) -> None:
            version = info.version(number)
            users = [alias for alias, target in info.aliases.items() if target == number and alias != LATEST]
            if users:
                raise VersionInUse(
                    f"{version.ref} is what {', '.join(users)} points at: move or delete the alias first"
                )
            delete(version)

        self._change(model, change)

    def _change_alias(self, model: str, alias: str, change: Change) -> None:
        if problem := alias_problem(alias):
            raise InvalidName(problem)
        self._change(model, change)

    def _change(self, model: str, change: Change) -> None:
        """Apply `change` to a model as it is on the disk now, alone among threads and processes."""
        self.refresh()
        if self.model(model).read_only:
            raise ReadOnlyModel(f'the model "{model}" ships with Atelier and cannot be changed')
        folder = self.root / model
        with changing(folder):
            self.refresh()
            change(self.model(model), folder)
        self.refresh()

    def _seen(self) -> dict[str, ModelInfo]:
        # No lock: whoever samples never waits for a scan of a slow disk.
        if self._models is None:
            self.refresh()
        return self._models or {}

    def _become(self, after: dict[str, ModelInfo]) -> None:
        """Replace what was seen; what differs is told by the next `scan`."""
        before = self._models or {}
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                self._changed.add(name)
                _report(before.get(name), after.get(name))
        self._models = after

    def _names(self) -> list[str]:
        try:
            names = {path.name for path in self.root.iterdir() if re.fullmatch(NAME, path.name)}
            self._complain(".", None)
        except FileNotFoundError:
            names = set()
        except OSError as error:
            # A disk that is away for a moment takes no model away that is being served.
            self._complain(".", f"the model directory {self.root} cannot be read: {error}")
            names = set(self._models or {})
        return sorted(names | {STARTER})

    def _survey(self, name: str, before: ModelInfo | None) -> ModelInfo | None:
        folder = self._starter if name == STARTER else self.root / name
        try:
            info = survey(folder, name, before)
        except OSError as error:
            self._complain(name, f"the model {name} in {folder} cannot be read: {error}")
            return before
        self._complain(name, None)
        return info

    def _complain(self, about: str, message: str | None) -> None:
        """Log a complaint once, until it changes or is over (None)."""
        if message is None:
            self._complaints.pop(about, None)
        elif self._complaints.get(about) != message:
            self._complaints[about] = message
            logger.warning(message)


def _report(before: ModelInfo | None, after: ModelInfo | None) -> None:
    """Log each version that was not broken when it was last seen and is now."""
    known = before.versions if before is not None else ()
    for version in after.versions if after is not None else ():
        if version.state == "broken" and version not in known:
            logger.error("%s is broken and is not served: %s", version.ref, version.reason)

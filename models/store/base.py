"""The interface of model stores; the local directory, `models.store.local`, is the first implementation."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from models.store.catalogue import ModelInfo
from models.store.manifest import Deletion, Manifest
from models.store.versions import UnusableVersion, Version, WholeVersion


class Staging(Protocol):
    """A version before its commit, invisible to readers."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or replace one, and wait until it survives a crash.

        Raises:
            OSError: it could not be written, such as on a full disk.
        """

    def commit(self, manifest: Manifest) -> bool:
        """Make the files the version that the manifest describes: atomically.

        Returns:
            False if that number is taken; the caller may try another one.

        Raises:
            OSError: it could not be written.
        """


class ModelStore(Protocol):
    """Published versions and their aliases; may be used from any thread.

    Reads use the result of the last scan, in memory; the first one scans.
    """

    def scan(self) -> frozenset[str]:
        """Examine all versions and aliases, without reading weights.

        Returns:
            The names of the models that were changed, added or removed since the last scan. A bad version is never an
            error: it is described by its state and reason.
        """

    def refresh(self) -> None:
        """Examine everything, but leave changes to be reported by the next `scan`."""

    def models(self) -> list[ModelInfo]:
        """List the models by name."""

    def model(self, name: str) -> ModelInfo:
        """Return a model.

        Raises:
            UnknownModel: there is none of that name.
        """

    def resolve(self, ref: str | None) -> WholeVersion:
        """Return the whole version that a reference means.

        Args:
            ref: `NAME@NUMBER`, `NAME@ALIAS`, `NAME` (its `best` where that is whole, else its `latest`), or None for
                the default: the configured reference, else the model published last.

        Raises:
            UnknownModel: there is no such model, version or alias.
            VersionNotReady: the version is arriving.
            BrokenVersion: the version is broken.
        """

    def read(self, version: WholeVersion, name: str) -> bytes:
        """Read a listed file into memory, once, and check its sha256.

        Raises:
            VersionNotReady: the file is missing or has another size by now.
            BrokenVersion: the bytes are not those of the manifest; the version is marked broken.
        """

    def open(self, version: WholeVersion, name: str) -> BinaryIO:
        """Open a listed file at its start, after checking its sha256.

        Raises:
            VersionNotReady: the file is missing or has another size by now.
            BrokenVersion: the bytes are not those of the manifest; the version is marked broken.
        """

    def mark_broken(self, version: Version, reason: str) -> UnusableVersion:
        """Mark a version as broken until one of its files changes; return it in that state."""

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a whole version.

        Raises:
            InvalidName: the name is not allowed.
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such model or version.
            AliasConflict: the version is not whole.
            OSError: it could not be written; the alias is unchanged.
        """

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias.

        Raises:
            InvalidName: the name is not allowed, or is `latest`.
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such model or alias.
        """

    def delete_version(self, model: str, number: int) -> None:
        """Delete a version's files; its number is never used again.

        Raises:
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such version.
            VersionInUse: an alias other than `latest` points at it.
        """

    def numbers(self, model: str) -> set[int]:
        """Return every number in use by a model now, deleted versions included."""

    def examine(self, model: str, number: int) -> Version | Deletion | None:
        """Examine the version or deletion under a number now; None if there is none, or it is unreadable."""

    def stage(self, model: str, run: str, images: int, token: int) -> AbstractContextManager[Staging]:
        """Begin a version of a run at a position; it is removed at the end unless committed.

        Unfinished versions of earlier attempts of the run (lower tokens) are removed first.

        Raises:
            OSError: it could not be begun.
        """

    def promote_best(self, model: str, number: int) -> None:
        """Point `best` at a version if it is the best (`ModelInfo.is_best`); repeating it changes nothing.

        Raises:
            OSError: the alias could not be written and is unchanged.
        """

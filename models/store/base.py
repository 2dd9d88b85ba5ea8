"""What a model store does, whatever it keeps versions in. The local directory, `models.store.local`, is the first."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

from models.store.catalogue import ModelInfo
from models.store.manifest import Deletion, Manifest
from models.store.versions import UnusableVersion, Version, WholeVersion


class Staging(Protocol):
    """A version before its commit: nobody sees it."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or replace one, and wait until it survives a crash.

        Raises:
            OSError: it could not be written, such as on a full disk.
        """

    def commit(self, manifest: Manifest) -> bool:
        """Make the files the version that the manifest describes: all of it, or nothing.

        Returns:
            False where something stands under that number already; another number may be tried.

        Raises:
            OSError: it could not be written.
        """


class ModelStore(Protocol):
    """Published versions and their aliases; may be used from any thread.

    Questions are answered from memory, from what the last scan has found; the first one scans.
    """

    def scan(self) -> frozenset[str]:
        """Look at everything again, without reading weights.

        Returns:
            The names of the models that have changed, come or gone since the last scan. A bad version is never an
            error: it is described by its state and reason.
        """

    def refresh(self) -> None:
        """Look at everything again, but leave changes to be reported by the next `scan`."""

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
            BrokenVersion: the bytes are not those that the manifest was written for; the version is marked so.
        """

    def open(self, version: WholeVersion, name: str) -> BinaryIO:
        """Open a listed file at its start, after checking its sha256: for files that are not needed in memory whole.

        Raises:
            VersionNotReady: the file is missing or has another size by now.
            BrokenVersion: the bytes are not those that the manifest was written for; the version is marked so.
        """

    def mark_broken(self, version: Version, reason: str) -> UnusableVersion:
        """Remember that a version cannot be used, until one of its files changes; return it in that state."""

    def set_alias(self, model: str, alias: str, number: int) -> None:
        """Point an alias at a whole version.

        Raises:
            InvalidName: the alias can have no such name.
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such model or version.
            AliasConflict: the version is not whole.
            OSError: it could not be written; the alias is as it was.
        """

    def delete_alias(self, model: str, alias: str) -> None:
        """Remove an alias.

        Raises:
            InvalidName: there can be no such alias, or it is `latest`.
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such model or alias.
        """

    def delete_version(self, model: str, number: int) -> None:
        """Delete a version's files; its number never returns.

        Raises:
            ReadOnlyModel: the model cannot be changed.
            UnknownModel: there is no such version.
            VersionInUse: an alias other than `latest` points at it.
        """

    def numbers(self, model: str) -> set[int]:
        """Return every number of a model that something stands under now, deleted versions included."""

    def examine(self, model: str, number: int) -> Version | Deletion | None:
        """Look at what stands under a number now; None where nothing does, or nothing that can be understood."""

    def stage(self, model: str, run: str, images: int, token: int) -> AbstractContextManager[Staging]:
        """Begin a version of a run at a position; what is not committed is removed at the end.

        What attempts of the run with lower tokens have left unfinished is removed first.

        Raises:
            OSError: it could not be begun.
        """

    def promote_best(self, model: str, number: int) -> None:
        """Point `best` at a version if it is the best (`ModelInfo.is_best`); repeating it changes nothing.

        Raises:
            OSError: the alias could not be written; it is as it was.
        """

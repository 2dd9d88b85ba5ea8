"""Errors of model stores; `app.http.model_problems` maps them to HTTP statuses."""

from __future__ import annotations

from models.store.versions import UnusableVersion, Version


class ModelError(Exception):
    """Base of the errors of model stores."""


class UnknownModel(ModelError, LookupError):
    """There is no such model, version or alias."""


class InvalidName(ModelError, ValueError):
    """A name that a model or an alias cannot have."""


class ReadOnlyModel(ModelError):
    """The starter ships with the program and cannot be changed."""


class AliasConflict(ModelError):
    """An alias can only point at a whole version."""


class VersionInUse(ModelError):
    """An alias points at the version."""


class VersionNotReady(ModelError):
    """The version is there, but cannot be used now: it is arriving, or (`BrokenVersion`) broken."""

    def __init__(self, version: Version) -> None:
        super().__init__(f"{version.ref} is {version.state}: {version.reason}")
        self.version = version
        self.reason = version.reason


class BrokenVersion(VersionNotReady):
    """The version's files do not agree with its manifest."""

    def __init__(self, version: UnusableVersion) -> None:
        super().__init__(version)


class DoesNotFit(VersionNotReady):
    """The version does not fit into memory now, even with everything else unloaded.

    Args:
        seconds: until the next try.
    """

    def __init__(self, version: Version, reason: str, seconds: int) -> None:
        super().__init__(version)
        self.args = (f"{version.ref} cannot be loaded now: {reason}",)
        self.seconds = seconds

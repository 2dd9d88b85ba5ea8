"""Versions of models as values; their numbers, names and references."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from models.config.values import NAME
from models.store.manifest import Manifest

State = Literal["whole", "arriving", "broken"]

STARTER = "starter"
BEST = "best"
LATEST = "latest"

_NUMBER = re.compile(r"[1-9][0-9]{0,8}")

# A value that changes with any file of the version; the version must then be examined again.
Revision = tuple[object, ...]


@dataclass(frozen=True)
class WholeVersion:
    """A version with a manifest and all files, judged by names and sizes."""

    model: str
    number: int
    manifest: Manifest
    revision: Revision
    state: Literal["whole"] = "whole"
    reason: None = None

    @property
    def ref(self) -> str:
        """`NAME@NUMBER`."""
        return f"{self.model}@{self.number}"


@dataclass(frozen=True)
class UnusableVersion:
    """A version that cannot be served.

    Attributes:
        state: `arriving` while files are missing or short; `broken` if it needs a repair.
        reason: why it is not whole.
        manifest: None while it cannot be read.
    """

    model: str
    number: int
    state: Literal["arriving", "broken"]
    reason: str
    manifest: Manifest | None
    revision: Revision

    @property
    def ref(self) -> str:
        """`NAME@NUMBER`."""
        return f"{self.model}@{self.number}"


Version = WholeVersion | UnusableVersion


def unusable(version: Version, state: Literal["arriving", "broken"], reason: str) -> UnusableVersion:
    """Return a version in another state than it seemed to be in."""
    return UnusableVersion(version.model, version.number, state, reason, version.manifest, version.revision)


def parse_number(text: str) -> int | None:
    """Parse a version number as folders and references write it: no sign, no leading zero."""
    return int(text) if _NUMBER.fullmatch(text) else None


def is_pinned(ref: str | None) -> bool:
    """Check whether `ref` always means the same version: `NAME@3`, not `NAME`, `NAME@best` or None (the default)."""
    return parse_number((ref or "").partition("@")[2]) is not None


def alias_problem(alias: str) -> str | None:
    """Return why `alias` can be neither set nor deleted; None if it can."""
    if not re.fullmatch(NAME, alias):
        return f'"{alias}" is no alias: use up to 64 of a-z 0-9 . _ - and begin with a letter or a digit'
    if alias.isdigit():
        return f'"{alias}" is no alias: a number means a version'
    if alias == LATEST:
        return f'"{LATEST}" is always the highest whole version and cannot be set or deleted'
    return None

"""The models of a store at one moment, and the resolution of references."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from models.scores import is_best, memorises
from models.store.errors import BrokenVersion, UnknownModel, VersionNotReady
from models.store.versions import BEST, LATEST, STARTER, UnusableVersion, Version, WholeVersion, parse_number


@dataclass(frozen=True)
class ModelInfo:
    """A model: its versions in order, at least one, and its aliases, the computed `latest` included."""

    name: str
    versions: tuple[Version, ...]
    aliases: dict[str, int]

    @staticmethod
    def of(name: str, versions: Iterable[Version], aliases: Mapping[str, int]) -> ModelInfo:
        """Describe a model with these stored aliases; `latest` is the highest whole version."""
        ordered = tuple(versions)
        stored = {alias: number for alias, number in aliases.items() if alias != LATEST}
        whole = [version.number for version in ordered if version.state == "whole"]
        return ModelInfo(name, ordered, {**stored, LATEST: whole[-1]} if whole else stored)

    @property
    def read_only(self) -> bool:
        """Whether it ships with the program and cannot be changed."""
        return self.name == STARTER

    def whole(self) -> list[WholeVersion]:
        return [version for version in self.versions if version.state == "whole"]

    def version(self, number: int) -> Version:
        """Return a version by its number.

        Raises:
            UnknownModel: there is none.
        """
        for version in self.versions:
            if version.number == number:
                return version
        raise UnknownModel(f"there is no version {number} of the model {self.name}")

    def select(self, selector: str | None) -> Version:
        """Return the version that `NUMBER` or `ALIAS` means after the model's name; it need not be whole.

        None means `best` where that is whole, else `latest`; `latest` means the highest whole version, or the
        highest where none is whole.

        Raises:
            UnknownModel: there is no such version or alias.
        """
        if selector is None:
            best = [version for version in self.whole() if version.number == self.aliases.get(BEST)]
            return best[0] if best else self.select(LATEST)
        if selector == LATEST:
            return self.version(self.aliases.get(LATEST, self.versions[-1].number))
        number = parse_number(selector) or self.aliases.get(selector)
        if number is None:
            raise UnknownModel(f'the model {self.name} has no version or alias "{selector}"')
        return self.version(number)

    def published_at(self) -> datetime | None:
        """Return when the newest whole version was made; None if none is whole."""
        return max((version.manifest.created_at for version in self.whole()), default=None)

    def is_best(self, number: int) -> bool:
        """Check whether a version's first score beats every other whole version's of the same protocol.

        A version that copies training images is never the best.
        """
        manifests = {version.number: version.manifest for version in self.versions if version.manifest is not None}
        if number not in manifests or not manifests[number].scores or memorises(manifests[number].scores):
            return False
        name, score = next(iter(manifests[number].scores.items()))
        rivals = (version.manifest.scores.get(name) for version in self.whole() if version.number != number)
        # The first version with a protocol has no rivals and is the best.
        return is_best(score, (rival for rival in rivals if rival is not None))

    def replace(self, old: Version, new: Version) -> ModelInfo:
        """Return the model with `new` in place of one of its versions."""
        return ModelInfo.of(self.name, (new if v == old else v for v in self.versions), self.aliases)


@dataclass(frozen=True, eq=False)
class Catalogue:
    """The models of a store by name.

    Attributes:
        default_ref: the reference to use if none is given; None: the model published last.
    """

    models: Mapping[str, ModelInfo]
    default_ref: str | None = None

    def listed(self) -> list[ModelInfo]:
        return sorted(self.models.values(), key=lambda info: info.name)

    def model(self, name: str) -> ModelInfo:
        try:
            return self.models[name]
        except KeyError:
            raise UnknownModel(f'there is no model "{name}"') from None

    def resolve(self, ref: str | None) -> WholeVersion:
        """Return the whole version that a reference means: see `ModelStore.resolve`."""
        if ref is None:
            ref = self.default_ref if self.default_ref is not None else self._newest
        name, at, selector = ref.partition("@")
        version = self.model(name).select(selector if at else None)
        if isinstance(version, UnusableVersion):
            raise BrokenVersion(version) if version.state == "broken" else VersionNotReady(version)
        return version

    @cached_property
    def _newest(self) -> str:
        writable = (info for info in self.models.values() if not info.read_only)
        dated = [(at, info.name) for info in writable if (at := info.published_at()) is not None]
        return max(dated)[1] if dated else STARTER

"""One model's folder as a value: its versions, its aliases, and which version a reference means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from models.store.aliases import BEST, LATEST, read_aliases
from models.store.errors import UnknownModel
from models.store.versions import Version, examine, numbers, parse_number

STARTER = "starter"


@dataclass(frozen=True)
class ModelInfo:
    """A model: its versions in order, at least one, and its aliases, the computed `latest` included."""

    name: str
    versions: tuple[Version, ...]
    aliases: dict[str, int]

    @property
    def read_only(self) -> bool:
        """Whether it ships with the program and cannot be changed."""
        return self.name == STARTER

    def version(self, number: int) -> Version:
        """Give a version by its number.

        Raises:
            UnknownModel: there is none.
        """
        for version in self.versions:
            if version.number == number:
                return version
        raise UnknownModel(f"there is no version {number} of the model {self.name}")

    def select(self, selector: str | None) -> Version:
        """Give the version that `NUMBER` or `ALIAS` means after the model's name; it need not be whole.

        None means `best` where that is whole, else `latest`; `latest` means the highest whole version, or the
        highest where none is whole.

        Raises:
            UnknownModel: there is no such version or alias.
        """
        if selector is None:
            best = [v for v in self.versions if v.number == self.aliases.get(BEST) and v.state == "whole"]
            return best[0] if best else self.select(LATEST)
        if selector == LATEST:
            return self.version(self.aliases.get(LATEST, self.versions[-1].number))
        number = parse_number(selector) or self.aliases.get(selector)
        if number is None:
            raise UnknownModel(f'the model {self.name} has no version or alias "{selector}"')
        return self.version(number)

    def published_at(self) -> datetime | None:
        """Say when the newest whole version was made; None when none is whole."""
        return max((v.manifest.created_at for v in self.versions if v.manifest and v.state == "whole"), default=None)

    def replacing(self, old: Version, new: Version) -> ModelInfo:
        """Give the model with another verdict about one of its versions."""
        return _info(self.name, tuple(new if v == old else v for v in self.versions), self.aliases)


def survey(folder: Path, name: str, before: ModelInfo | None = None) -> ModelInfo | None:
    """Look at one model's folder; None when it holds no version.

    Raises:
        OSError: the folder cannot be listed.
    """
    known = {version.number: version for version in before.versions} if before is not None else {}
    found = [examine(folder / str(n), name, n, known.get(n)) for n in sorted(numbers(folder))]
    versions = tuple(version for version in found if version is not None)
    return _info(name, versions, read_aliases(folder)) if versions else None


def _info(name: str, versions: tuple[Version, ...], aliases: dict[str, int]) -> ModelInfo:
    stored = {alias: number for alias, number in aliases.items() if alias != LATEST}
    whole = [version.number for version in versions if version.state == "whole"]
    return ModelInfo(name, versions, {**stored, LATEST: whole[-1]} if whole else stored)

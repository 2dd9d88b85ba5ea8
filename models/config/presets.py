"""Presets: complete training configurations by name, one TOML file each."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated, Any

from pydantic import Field, model_validator

from models.config.values import Channels, Frozen, Name

# The preset whose settings `models.config.auto` chooses for a data set and a device.
AUTO = "auto"


class Proposed(Frozen):
    """Which uploaded data sets, of those whose images have its size, a preset is proposed for."""

    channels: tuple[Channels, ...] = (1, 3)
    most_images: Annotated[int | None, Field(description="null: any number; the preset for the fewest goes first")] = (
        None
    )

    def suits(self, channels: int, count: int) -> bool:
        """Check whether a set of `count` images with so many channels is one of them."""
        return channels in self.channels and (self.most_images is None or count <= self.most_images)


class Preset(Frozen):
    """A named training configuration; what it leaves open (`dataset` None), the request has to name."""

    name: Name
    title: str
    description: str
    dataset: str | None = None
    model: Name
    proposed: Proposed | None = None
    training: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _model_is_named_after_it(cls, values: dict[str, Any]) -> dict[str, Any]:
        return {"model": values.get("name"), **values}


@cache
def load() -> dict[str, Preset]:
    """Read the presets of this package, by name in alphabetical order."""
    sources = {
        file.name.removesuffix(".toml"): file
        for file in (files("models") / "presets").iterdir()
        if file.name.endswith(".toml")
    }
    return {
        name: Preset.model_validate({"name": name, **tomllib.loads(sources[name].read_text(encoding="utf-8"))})
        for name in sorted(sources)
    }


@cache
def listed() -> dict[str, Preset]:
    """List every preset that a request may name, `auto` first: what it sets depends on data set and device."""
    auto = Preset(
        name=AUTO,
        title="Chosen for your images and this machine",
        description="Looks at the data set (how many images, their size, colours, classes) and at the device, and "
        "chooses preset, size, classes, augmentation, batch, penalty and length; the run's log gives a sentence for "
        "each choice. Name your own data set; what you set yourself counts. With dry_run it says what it would choose.",
        model=AUTO,
        training={},
    )
    return {AUTO: auto, **load()}

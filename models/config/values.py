"""Values of configurations: frozen models, names, image shapes, and the error of a conflict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
PINNED = r"^[a-z0-9][a-z0-9._-]{0,63}@[1-9][0-9]{0,8}$"
MAX_SEED = 2**63 - 1

Name = Annotated[str, Field(pattern=NAME)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
Size = Literal[28, 32, 64, 128, 256]
Channels = Literal[1, 3]

# Sizes for which there are presets; a request can name a larger one.
CHOSEN_SIZES: Final[tuple[Size, ...]] = (28, 32, 64, 128)


class Frozen(BaseModel):
    """A value: no field changes, no unknown field, infinity or NaN is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ConfigConflict(ValueError):
    """Settings that are valid each by itself but not together.

    Args:
        problems: the dotted path of each setting to change, and what is wrong with it and what to do.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{path}: {message}" for path, message in problems))
        self.problems = tuple(problems)


class ImageShape(NamedTuple):
    """The shape of an image: height and width in pixels, and channels."""

    height: int
    width: int
    channels: int

    @property
    def values(self) -> int:
        """Height x width x channels."""
        return self.height * self.width * self.channels

    @property
    def is_square(self) -> bool:
        """Whether height and width are equal."""
        return self.height == self.width

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"

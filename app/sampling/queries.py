"""Parameters that mean the same wherever pictures are asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.sampling.containers import ImageFormat
from models.config.values import Seed


def _split(value: object) -> object:
    """Part what a name occurs with by its commas; FastAPI gives a list of all its occurrences."""
    if isinstance(value, str):
        return value.split(",")
    return [part for text in value for part in str(text).split(",")] if isinstance(value, list) else value


CommaSeparated = BeforeValidator(_split)
"""For a tuple that is written `name=1,2,3`; say so with `WithJsonSchema`, for FastAPI describes `name=1&name=2`."""
SEEDS_SCHEMA = {"type": "string", "pattern": r"^\d+(,\d+)+$", "examples": ["1,2,3,4"]}

ModelRef = Annotated[str | None, Field(description="NAME, NAME@VERSION or NAME@ALIAS; without it the default model")]
ClassRef = Annotated[str | None, Field(alias="class", description="label or class name, for conditional models")]
Psi = Annotated[
    float,
    Field(
        ge=0,
        le=2,
        allow_inf_nan=False,
        description="truncation: latents shrink towards 0 by this factor, less variety for more typical images; "
        "1 changes no byte, 0 paints the mean image",
    ),
]
PerRow = Annotated[int | None, Field(ge=1, description="images per row; without it floor(sqrt(n))")]
Format = Annotated[ImageFormat | None, Field(description="without it PNG, or what Accept admits instead")]
DrawnSeed = Annotated[Seed | None, Field(description="without it one is drawn, and told in X-Atelier-Seed")]
Scale = Annotated[int, Field(ge=1, le=16, description="enlargement of a grid, nearest neighbour")]


class PaintQuery(BaseModel):
    """What every query for pictures is: immutable, and strict about unknown parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelRef = None

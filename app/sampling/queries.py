"""The parse stage: query parameters of `/samples`, `/grid` and `/walk`, and their limits for any model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, TypeVar
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema

from app.http.headers import preferred
from app.http.problems import ErrorItem, Problem, invalid, phrase, wrong_parameter
from app.sampling.encoders import ARCHIVE_TYPES, ImageFormat
from app.settings import AppSettings
from models.config.values import Seed
from models.pictures import AnimationFormat

F = TypeVar("F", bound=str)
Q = TypeVar("Q", bound="RenderQuery")

GRID_ROWS = 4
GRID_COLUMNS = 8
GRID_PSIS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
MAX_SCALE = 16
# Frames are enlarged to at least so many pixels on a side unless a scale is given.
WALK_PIXELS = 256


def _split(value: object) -> object:
    """Split the values of a parameter at commas: one value as a string, several as a list."""
    if isinstance(value, str):
        return value.split(",")
    return [part for text in value for part in str(text).split(",")] if isinstance(value, list) else value


# For a tuple that is written `name=1,2,3`. FastAPI's schema would describe `name=1&name=2`: say it with WithJsonSchema.
CommaSeparated = BeforeValidator(_split)
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
        "1 changes no byte, 0 is the mean image",
    ),
]
PerRow = Annotated[int | None, Field(ge=1, description="images per row; without it floor(sqrt(n))")]
Format = Annotated[ImageFormat | None, Field(description="without it PNG, or what Accept admits instead")]
DrawnSeed = Annotated[Seed | None, Field(description="without it one is drawn, and returned in X-Atelier-Seed")]
Scale = Annotated[int, Field(ge=1, le=MAX_SCALE, description="enlargement of a grid, nearest neighbour")]


class RenderQuery(BaseModel):
    """What every query for images has. Unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # Parameters of which every occurrence counts; of others the last does.
    repeatable: ClassVar[frozenset[str]] = frozenset()

    model: ModelRef = None


class SampleQuery(RenderQuery):
    """Parameters of `/samples`."""

    n: Annotated[int, Field(ge=1, description="images; at most 4096 unless set otherwise")] = 25
    seed: DrawnSeed = None
    class_: ClassRef = None
    psi: Psi = 1.0
    nrow: PerRow = None
    scale: Scale = 1
    format: Format = None


GridKind = Literal["interpolate", "classes", "truncation"]
GridSide = Annotated[int | None, Field(ge=1, le=1_000_000)]

_COMMON_PARAMETERS = {"kind", "model", "psi", "scale", "format"}
# Fields of `GridQuery` that each kind of grid takes beside those that all take.
GRID_PARAMETERS: dict[GridKind, set[str]] = {
    "interpolate": {"seeds", "rows", "cols", "class_"},
    "classes": {"seed", "cols"},
    "truncation": {"seed", "rows", "class_"},
}


class GridQuery(RenderQuery):
    """Parameters of `/grid`."""

    repeatable = frozenset(("seeds", "psi"))

    kind: Annotated[
        GridKind,
        Field(
            description="interpolate: between the images of 2 or 4 seeds · classes: a row per class, a column per "
            "image of the seed · truncation: a row per image of the seed, a column per psi"
        ),
    ]
    seeds: Annotated[
        tuple[Seed, ...] | None,
        CommaSeparated,
        Field(
            description="interpolate: two seeds, row i leads from image i of the one to image i of the other; or four, "
            "whose images 0 are the corners: top left, top right, bottom left, bottom right"
        ),
        WithJsonSchema(SEEDS_SCHEMA),
    ] = None
    seed: DrawnSeed = None
    rows: Annotated[
        GridSide,
        Field(description=f"interpolate (1 for two seeds, {GRID_COLUMNS} for four), truncation ({GRID_ROWS})"),
    ] = None
    cols: Annotated[GridSide, Field(description=f"interpolate, classes ({GRID_COLUMNS})")] = None
    class_: ClassRef = None
    psi: Annotated[
        tuple[Psi, ...] | None,
        CommaSeparated,
        Field(
            description="truncation, 0 to 2: of all images (1), or of kind=truncation's columns, parted by commas "
            f"({','.join(f'{psi:g}' for psi in GRID_PSIS)})",
        ),
        WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+(,[0-9.]+)*$", "examples": ["0.7", "0,0.5,1"]}),
    ] = None
    scale: Scale = 1
    format: Format = None


class WalkQuery(RenderQuery):
    """Parameters of `/walk`."""

    repeatable = frozenset(("seeds",))

    seeds: Annotated[
        tuple[Seed, ...],
        CommaSeparated,
        Field(
            min_length=2,
            max_length=64,
            description="from image 0 of each to that of the next, and from the last back to the first",
        ),
        WithJsonSchema(SEEDS_SCHEMA),
    ]
    frames: Annotated[int, Field(ge=2, description="at least one per seed; at most 4096 unless set otherwise")] = 120
    fps: Annotated[
        float, Field(ge=1, le=60, description="frames per second; GIF rounds to hundredths of a second, 50 at most")
    ] = 30.0
    class_: ClassRef = None
    psi: Psi = 1.0
    scale: Annotated[
        int | None,
        Field(
            ge=1,
            le=MAX_SCALE,
            description=f"enlargement, nearest neighbour; without it the least that gives {WALK_PIXELS} pixels on a "
            "side",
        ),
    ] = None
    format: Annotated[
        AnimationFormat | None, Field(description="without it WebP, or what Accept admits instead; MP4 is H.264")
    ] = None


def parse_query(query_type: type[Q], query_string: bytes) -> Q:
    """Parse a query string.

    Raises:
        RequestValidationError: as FastAPI raises it for a query of this type.
    """
    values: dict[str, str | list[str]] = {}
    for name, value in parse_qsl(query_string.decode("latin-1"), keep_blank_values=True):
        if name in values and name in query_type.repeatable:
            before = values[name]
            values[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            values[name] = value
    try:
        return query_type.model_validate(values)
    except ValidationError as error:
        errors = [{**item, "loc": ("query", *item["loc"])} for item in error.errors(include_url=False)]
        raise RequestValidationError(errors) from None


def negotiate(accept: Iterable[str], offers: Mapping[F, str]) -> F:
    """Choose a format by the Accept headers, the first offer preferred.

    Args:
        offers: media types by format.

    Raises:
        Problem: 406.
    """
    chosen = preferred(accept, offers)
    if chosen is None:
        raise Problem(406, phrase(406), f"Accept admits none of what can be made here: {', '.join(offers.values())}")
    return chosen


def check_samples(query: SampleQuery, image_format: ImageFormat, settings: AppSettings) -> None:
    """Check the limits that hold for any model.

    Raises:
        Problem: 422.
    """
    errors = _misplaced(image_format, {"nrow": query.nrow is not None, "scale": query.scale != 1})
    if query.n > settings.max_images:
        errors.append(wrong_parameter("n", f"at most {settings.max_images} images at once"))
    if errors:
        raise invalid(errors)


def check_grid(query: GridQuery, image_format: ImageFormat) -> None:
    """Check the limits that hold for any model.

    Raises:
        Problem: 422.
    """
    allowed = GRID_PARAMETERS[query.kind] | _COMMON_PARAMETERS
    errors = [
        wrong_parameter(field.alias or name, f"means nothing for kind={query.kind}: leave it out")
        for name, field in GridQuery.model_fields.items()
        if name in query.model_fields_set - allowed
    ]
    errors += _misplaced(image_format, {"scale": query.scale != 1})
    if query.kind != "truncation" and len(query.psi or ()) > 1:
        errors.append(wrong_parameter("psi", "only kind=truncation takes several: give one"))
    if query.kind == "interpolate":
        errors += _check_interpolation(query)
    if errors:
        raise invalid(errors)


def check_walk(query: WalkQuery, settings: AppSettings) -> None:
    """Check the limits that hold for any model.

    Raises:
        Problem: 422.
    """
    if query.frames > settings.max_images:
        raise invalid([wrong_parameter("frames", f"at most {settings.max_images} at once")])
    if query.frames < len(query.seeds):
        least = f"{len(query.seeds)} seeds take at least {len(query.seeds)} frames"
        raise invalid([wrong_parameter("frames", least)])


def _misplaced(image_format: ImageFormat, given: Mapping[str, bool]) -> list[ErrorItem]:
    """Return an error for each parameter given that arranges a grid, where the format has none."""
    if image_format not in ARCHIVE_TYPES:
        return []
    message = f"arranges a grid, and format={image_format} has none: leave it out"
    return [wrong_parameter(name, message) for name, is_given in given.items() if is_given]


def _check_interpolation(query: GridQuery) -> list[ErrorItem]:
    count = len(query.seeds or ())
    if count not in (2, 4):
        return [wrong_parameter("seeds", f"kind=interpolate leads between 2 or 4 seeds, not {count}")]
    errors = []
    if query.cols == 1:
        errors.append(wrong_parameter("cols", "from one seed to another takes at least 2"))
    if query.rows == 1 and count == 4:
        errors.append(wrong_parameter("rows", "between four seeds takes at least 2"))
    return errors

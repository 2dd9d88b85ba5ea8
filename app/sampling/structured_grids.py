"""What `/grid` alone knows: which kinds of grid there are, the parameters of each, and what is refused."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, WithJsonSchema

from app.engine.sources import Arranged, Between, PerClass, Sweep
from app.http.problems import ErrorItem, Problem, invalid, wrong_parameter
from app.sampling.classes import label_of
from app.sampling.containers import ImageFormat, arranged, container
from app.sampling.grids import Grid, GridFormat
from app.sampling.orders import Order
from app.sampling.queries import SEEDS_SCHEMA, ClassRef, CommaSeparated, DrawnSeed, Format, PaintQuery, Psi, Scale
from app.sampling.structured import Structured
from models.config.values import MAX_SEED, Seed
from models.store.versions import WholeVersion, is_pinned

if TYPE_CHECKING:
    from app.settings import AppSettings

Kind = Literal["interpolate", "classes", "truncation"]
Side = Annotated[int | None, Field(ge=1, le=1_000_000)]

ROWS = 4
COLUMNS = 8
PSIS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)

_OF_ALL = {"kind", "model", "psi", "scale", "format"}
_OF: dict[Kind, set[str]] = {
    "interpolate": {"seeds", "rows", "cols", "class_"},
    "classes": {"seed", "cols"},
    "truncation": {"seed", "rows", "class_"},
}


class GridQuery(PaintQuery):
    """What to lay out."""

    kind: Annotated[
        Kind,
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
        Side, Field(description=f"interpolate (1 for two seeds, {COLUMNS} for four), truncation ({ROWS})")
    ] = None
    cols: Annotated[Side, Field(description=f"interpolate, classes ({COLUMNS})")] = None
    class_: ClassRef = None
    psi: Annotated[
        tuple[Psi, ...] | None,
        CommaSeparated,
        Field(
            description="truncation, 0 to 2: of all images (1), or of kind=truncation's columns, parted by commas "
            f"({','.join(f'{psi:g}' for psi in PSIS)})",
        ),
        WithJsonSchema({"type": "string", "pattern": r"^[0-9.]+(,[0-9.]+)*$", "examples": ["0.7", "0,0.5,1"]}),
    ] = None
    scale: Scale = 1
    format: Format = None


def check(query: GridQuery, image_format: ImageFormat) -> None:
    """Refuse what no model could answer.

    Raises:
        Problem: 422.
    """
    own = _OF[query.kind] | _OF_ALL
    errors = [
        wrong_parameter(field.alias or name, f"means nothing for kind={query.kind}: leave it out")
        for name, field in GridQuery.model_fields.items()
        if name in query.model_fields_set - own
    ]
    errors += arranged(image_format, {"scale": query.scale != 1})
    if query.kind != "truncation" and len(query.psi or ()) > 1:
        errors.append(wrong_parameter("psi", "only kind=truncation takes several: give one"))
    if query.kind == "interpolate":
        errors += _between(query)
    if errors:
        raise invalid(errors)


def _between(query: GridQuery) -> list[ErrorItem]:
    count = len(query.seeds or ())
    if count not in (2, 4):
        return [wrong_parameter("seeds", f"kind=interpolate leads between 2 or 4 seeds, not {count}")]
    errors = []
    if query.cols == 1:
        errors.append(wrong_parameter("cols", "from one seed to another takes at least 2"))
    if query.rows == 1 and count == 4:
        errors.append(wrong_parameter("rows", "between four seeds takes at least 2"))
    return errors


def order(query: GridQuery, image_format: ImageFormat, version: WholeVersion, settings: AppSettings) -> Order:
    """Make every choice that the request leaves open, a seed included.

    Raises:
        Problem: 422, the version cannot answer this.
    """
    size = version.manifest.generator.size
    subject = _subject(query, version)
    if subject.count > settings.max_images:
        rows = subject.count // subject.columns
        raise _too_large(query, f"{rows} rows of {subject.columns} images are more than {settings.max_images} at once")
    return Order(
        version=version,
        pinned=is_pinned(query.model),
        seeded=query.seeds is not None or query.seed is not None,
        subject=subject,
        container=container(image_format, subject, lambda form: _grid(query, form, subject, size, settings.max_pixels)),
    )


def _subject(query: GridQuery, version: WholeVersion) -> Structured:
    generator = version.manifest.generator
    label = label_of(version, query.class_)
    seeds = query.seeds or ((secrets.randbelow(MAX_SEED + 1) if query.seed is None else query.seed),)
    columns = query.cols or COLUMNS
    psis = query.psi or (PSIS if query.kind == "truncation" else (1.0,))
    source: Arranged
    match query.kind:
        case "interpolate":
            rows = query.rows or (1 if len(seeds) == 2 else COLUMNS)
            source = Between(generator, seeds, rows, columns, psis[0], label)
        case "classes":
            if not generator.classes:
                raise invalid([wrong_parameter("kind", f"{version.ref} is not conditional: it has no classes to show")])
            source = PerClass(generator, seeds[0], columns, psis[0])
        case "truncation":
            columns = len(psis)
            source = Sweep(generator, seeds[0], query.rows or ROWS, psis, label)
    choices = {"kind": query.kind, "psi": psis if len(psis) > 1 else psis[0], "class": label}
    return Structured(source, seeds, columns, choices)


def _grid(query: GridQuery, grid_format: GridFormat, images: Structured, size: int, max_pixels: int) -> Grid:
    grid = Grid(grid_format, images.columns, query.scale)
    if trouble := grid.too_large(images.count, size, max_pixels):
        raise _too_large(query, trouble)
    return grid


def _too_large(query: GridQuery, trouble: str) -> Problem:
    sides = [name for name in ("rows", "cols") if name in _OF[query.kind]]
    return invalid([wrong_parameter(sides[-1], f"{trouble}: lower {' or '.join([*sides, 'scale'])}")])

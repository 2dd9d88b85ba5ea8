"""What `/walk` alone knows: its parameters, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, WithJsonSchema

from app.engine.sources import Loop
from app.http.problems import Problem, invalid, wrong_parameter
from app.sampling.classes import label_of
from app.sampling.films import Film
from app.sampling.orders import Order
from app.sampling.queries import SEEDS_SCHEMA, ClassRef, CommaSeparated, PaintQuery, Psi
from app.sampling.structured import Structured
from models.config.values import Seed
from models.pictures import AnimationFormat
from models.store.versions import WholeVersion, is_pinned

if TYPE_CHECKING:
    from app.settings import AppSettings

WATCHABLE = 256
"""Pixels on a side that frames are brought to unless a scale is asked for."""
MAX_SCALE = 16


class WalkQuery(PaintQuery):
    """Where to walk, and how to film it."""

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
            description=f"enlargement, nearest neighbour; without it the least that gives {WATCHABLE} pixels on a side",
        ),
    ] = None
    format: Annotated[
        AnimationFormat | None, Field(description="without it WebP, or what Accept admits instead; MP4 is H.264")
    ] = None


def check(query: WalkQuery, settings: AppSettings) -> None:
    """Refuse what no model could answer.

    Raises:
        Problem: 422.
    """
    if query.frames > settings.max_images:
        raise invalid([wrong_parameter("frames", f"at most {settings.max_images} at once")])
    if query.frames < len(query.seeds):
        least = f"{len(query.seeds)} seeds take at least {len(query.seeds)} frames"
        raise invalid([wrong_parameter("frames", least)])


def order(query: WalkQuery, film_format: AnimationFormat, version: WholeVersion, settings: AppSettings) -> Order:
    """Make every choice that the request leaves open.

    Raises:
        Problem: 422, the version cannot answer this.
    """
    generator = version.manifest.generator
    label = label_of(version, query.class_)
    film = Film(film_format, query.fps, query.scale or min(MAX_SCALE, -(-WATCHABLE // generator.size)))
    if film.pixels(query.frames, generator.size) > settings.max_pixels:
        raise _too_long(query, film, generator.size, settings.max_pixels)
    walk = Loop(generator, query.seeds, query.frames, query.psi, label)
    choices = {"kind": "walk", "psi": query.psi, "class": label}
    return Order(
        version=version,
        pinned=is_pinned(query.model),
        seeded=True,
        subject=Structured(walk, query.seeds, query.frames, choices),
        container=film,
    )


def _too_long(query: WalkQuery, film: Film, size: int, max_pixels: int) -> Problem:
    side = size * film.scale
    largest = max_pixels // film.pixels(1, size)
    fits = f"at most {largest} fit" if largest >= len(query.seeds) else "too few fit"
    message = (
        f"{query.frames} frames of {side}x{side} px are more than {max_pixels:,} pixels together: {fits}, "
        f"or lower scale, which is {film.scale} here"
    )
    return invalid([wrong_parameter("frames", message)])

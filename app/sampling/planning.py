"""The plan stage: a valid query and a version become a `RenderPlan`, or a 422 for what the version lacks."""

from __future__ import annotations

import secrets
from math import isqrt

from app.http.problems import Problem, invalid, wrong_parameter
from app.sampling.arrangements import Arrangement, Between, LoopPath, PerClass, PsiSweep
from app.sampling.encoders import AnimationEncoder, GridEncoder, GridFormat, ImageFormat, NpyEncoder, ZipEncoder
from app.sampling.images import SeedImages
from app.sampling.plan import RenderPlan
from app.sampling.queries import (
    GRID_COLUMNS,
    GRID_PARAMETERS,
    GRID_PSIS,
    GRID_ROWS,
    MAX_SCALE,
    WALK_PIXELS,
    GridQuery,
    SampleQuery,
    WalkQuery,
)
from app.settings import AppSettings
from models.config.values import MAX_SEED, ImageShape
from models.pictures import AnimationFormat
from models.store.versions import WholeVersion, is_pinned

_LISTED_CLASSES = 50


def plan_samples(
    query: SampleQuery, image_format: ImageFormat, settings: AppSettings, version: WholeVersion, fingerprint: str
) -> RenderPlan:
    """Plan `/samples`; draw a seed if none is given.

    Raises:
        Problem: 422, the version does not support this.
    """
    generator = version.manifest.generator
    images = SeedImages(generator, _drawn(query.seed), query.n, query.psi, find_label(version, query.class_))
    encoder = _image_encoder(image_format, _samples_per_row(query, query.n), query.scale)
    if isinstance(encoder, GridEncoder) and (
        reason := encoder.check_size(query.n, generator.shape, settings.max_pixels)
    ):
        raise _too_many_samples(query, encoder.format, reason, generator.shape, settings.max_pixels)
    return RenderPlan(
        version=version,
        fingerprint=fingerprint,
        images=images,
        encoder=encoder,
        seeded=query.seed is not None,
        pinned=is_pinned(query.model),
        private=settings.keys_required,
    )


def plan_grid(
    query: GridQuery, image_format: ImageFormat, settings: AppSettings, version: WholeVersion, fingerprint: str
) -> RenderPlan:
    """Plan `/grid`; draw a seed if none is given.

    Raises:
        Problem: 422, the version does not support this.
    """
    images = _arrange(query, version)
    columns = images.row_length()
    if len(images) > settings.max_images:
        rows = len(images) // columns
        raise _too_large_grid(query, f"{rows} rows of {columns} images are more than {settings.max_images} at once")
    encoder = _image_encoder(image_format, columns, query.scale)
    if isinstance(encoder, GridEncoder) and (
        reason := encoder.check_size(len(images), images.generator.shape, settings.max_pixels)
    ):
        raise _too_large_grid(query, reason)
    return RenderPlan(
        version=version,
        fingerprint=fingerprint,
        images=images,
        encoder=encoder,
        seeded=query.seeds is not None or query.seed is not None,
        pinned=is_pinned(query.model),
        private=settings.keys_required,
    )


def plan_walk(
    query: WalkQuery, animation_format: AnimationFormat, settings: AppSettings, version: WholeVersion, fingerprint: str
) -> RenderPlan:
    """Plan `/walk`.

    Raises:
        Problem: 422, the version does not support this.
    """
    generator = version.manifest.generator
    label = find_label(version, query.class_)
    scale = query.scale or min(MAX_SCALE, -(-WALK_PIXELS // min(generator.shape.height, generator.shape.width)))
    encoder = AnimationEncoder(animation_format, query.fps, scale)
    if encoder.pixels(query.frames, generator.shape) > settings.max_pixels:
        raise _too_long_walk(query, encoder, generator.shape, settings.max_pixels)
    return RenderPlan(
        version=version,
        fingerprint=fingerprint,
        images=LoopPath(generator, query.seeds, query.frames, query.psi, label),
        encoder=encoder,
        seeded=True,
        pinned=is_pinned(query.model),
        private=settings.keys_required,
    )


def find_label(version: WholeVersion, wanted: str | None) -> int | None:
    """Return the label of a class, None if no class is requested.

    Args:
        wanted: a class's name, or a label. A name that is also another class's label means the class of that name.

    Raises:
        Problem: 422, the version is not conditional, or has no such class.
    """
    if wanted is None:
        return None
    names = version.manifest.classes if version.manifest.generator.classes else ()
    if not names:
        raise _invalid("class", f"{version.ref} is not conditional: it has no classes to choose from")
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdecimal() and len(wanted) <= len(str(len(names))) and int(wanted) < len(names):
        return int(wanted)
    listed = ", ".join(
        f"{label} ({name})" if name != str(label) else name for label, name in enumerate(names[:_LISTED_CLASSES])
    )
    more = f" and {len(names) - _LISTED_CLASSES:,} more" if len(names) > _LISTED_CLASSES else ""
    raise _invalid("class", f'{version.ref} has no class "{wanted[:100]}": there are {listed}{more}')


def _drawn(seed: int | None) -> int:
    return secrets.randbelow(MAX_SEED + 1) if seed is None else seed


def _image_encoder(image_format: ImageFormat, columns: int, scale: int) -> GridEncoder | NpyEncoder | ZipEncoder:
    match image_format:
        case "npy":
            return NpyEncoder()
        case "zip":
            return ZipEncoder()
    return GridEncoder(image_format, columns, scale)


def _arrange(query: GridQuery, version: WholeVersion) -> Arrangement:
    generator = version.manifest.generator
    label = find_label(version, query.class_)
    psi = query.psi[0] if query.psi else 1.0
    match query.kind:
        case "interpolate":
            assert query.seeds is not None, "checked when it was parsed"
            rows = query.rows or (1 if len(query.seeds) == 2 else GRID_COLUMNS)
            return Between(generator, query.seeds, rows, query.cols or GRID_COLUMNS, psi, label)
        case "classes":
            if not generator.classes:
                raise _invalid("kind", f"{version.ref} is not conditional: it has no classes to show")
            return PerClass(generator, (_drawn(query.seed),), query.cols or GRID_COLUMNS, psi)
        case "truncation":
            return PsiSweep(generator, (_drawn(query.seed),), query.rows or GRID_ROWS, query.psi or GRID_PSIS, label)


def _samples_per_row(query: SampleQuery, count: int) -> int:
    return min(query.nrow or isqrt(count), count)


def _too_many_samples(
    query: SampleQuery, grid_format: GridFormat, reason: str, shape: ImageShape, max_pixels: int
) -> Problem:
    def fits(count: int) -> bool:
        encoder = GridEncoder(grid_format, _samples_per_row(query, count), query.scale)
        return encoder.check_size(count, shape, max_pixels) is None

    # No more images than that can fit, however they are arranged.
    bound = min(query.n, max_pixels // (shape.height * shape.width * query.scale**2))
    largest = next(filter(fits, range(bound, 0, -1)), 0)
    remedy = f"the largest n is {largest}" if largest else "not even one image fits: lower scale"
    return _invalid("n", f"{reason}: {remedy}")


def _too_large_grid(query: GridQuery, reason: str) -> Problem:
    sides = [name for name in ("rows", "cols") if name in GRID_PARAMETERS[query.kind]]
    return _invalid(sides[-1], f"{reason}: lower {' or '.join([*sides, 'scale'])}")


def _too_long_walk(query: WalkQuery, encoder: AnimationEncoder, shape: ImageShape, max_pixels: int) -> Problem:
    width, height = shape.width * encoder.scale, shape.height * encoder.scale
    largest = max_pixels // encoder.pixels(1, shape)
    fits = f"at most {largest} fit" if largest >= len(query.seeds) else "too few fit"
    return _invalid(
        "frames",
        f"{query.frames} frames of {width}x{height} px are more than {max_pixels:,} pixels together: {fits}, "
        f"or lower scale, which is {encoder.scale} here",
    )


def _invalid(parameter: str, message: str) -> Problem:
    return invalid([wrong_parameter(parameter, message)])

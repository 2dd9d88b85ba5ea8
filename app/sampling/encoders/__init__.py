"""Encoders: one grid, single images, or an animation; and the names of their formats."""

from __future__ import annotations

from typing import Literal

from app.sampling.encoders.animation import ANIMATION_TYPES, AnimationEncoder
from app.sampling.encoders.archive import ARCHIVE_TYPES, ArchiveFormat, NpyEncoder, ZipEncoder
from app.sampling.encoders.grid import GRID_TYPES, GridEncoder, GridFormat

__all__ = [
    "ANIMATION_TYPES",
    "ARCHIVE_TYPES",
    "GRID_TYPES",
    "IMAGE_TYPES",
    "AnimationEncoder",
    "ArchiveFormat",
    "GridEncoder",
    "GridFormat",
    "ImageFormat",
    "NpyEncoder",
    "ZipEncoder",
]

# Spelled out: a union of literals would be two alternatives in the schema and in errors.
ImageFormat = Literal["png", "webp", "jpeg", "npy", "zip"]
# The first is sent to clients that accept anything.
IMAGE_TYPES: dict[ImageFormat, str] = GRID_TYPES | ARCHIVE_TYPES

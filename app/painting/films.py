"""Images as the frames of an animation or a film."""

from __future__ import annotations

from models.pictures import AnimationFormat

FILM_TYPES: dict[AnimationFormat, str] = {"webp": "image/webp", "gif": "image/gif", "mp4": "video/mp4"}

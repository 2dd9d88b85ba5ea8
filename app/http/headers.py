"""HTTP headers: reading, content negotiation, entity tags, caching (RFC 9110, sections 12.5.1, 13.1.2 and 8.8.3)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TypeVar

from starlette.types import Scope

F = TypeVar("F", bound=str)


# Read from the list that the server gives: most of the headers that are looked up are absent, and Starlette's `Headers`
# raises and catches an exception for each of these.
def header(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a lower-case name, None if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def preferred(accept: Iterable[str], offers: Mapping[F, str]) -> F | None:
    """Return the first offer if it is acceptable, else the acceptable one with the highest weight, else None.

    Args:
        accept: the values of the Accept headers; without any, everything is acceptable.
        offers: media types by name.
    """
    weights = dict(zip(offers, _weights(",".join(accept), tuple(offers.values())), strict=True))
    first = next(iter(offers))
    best = first if weights[first] else max(weights, key=lambda offer: weights[offer])
    return best if weights[best] else None


# Most clients send one of very few values.
@lru_cache(maxsize=64)
def _weights(accept: str, media_types: tuple[str, ...]) -> tuple[float, ...]:
    ranges = _ranges(accept) or {"*/*": 1.0}
    return tuple(_weight(media_type, ranges) for media_type in media_types)


def _ranges(accept: str) -> dict[str, float]:
    """Parse `type/subtype` and weights; parameters other than q are ignored."""
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if name:
            ranges[name] = next((_quality(p[2:]) for p in parameters if p.startswith("q=")), 1.0)
    return ranges


def _quality(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def _weight(media_type: str, ranges: Mapping[str, float]) -> float:
    # The most specific range decides: `image/png;q=0, image/*` excludes PNG.
    family = media_type.partition("/")[0]
    return next((ranges[name] for name in (media_type, f"{family}/*", "*/*") if name in ranges), 0.0)


def etag(*parts: object) -> str:
    """Return an entity tag of everything that determines a response's bytes; the parts are JSON values."""
    text = json.dumps(parts, separators=(",", ":"), sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:40]}"'


def matches_etag(if_none_match: Iterable[str], tag: str) -> bool:
    """Return whether If-None-Match contains `tag`, by weak comparison, or is `*`."""
    values = ",".join(if_none_match).strip()
    return values == "*" or tag in _ETAG.findall(values)


def cache_control(*, seeded: bool, pinned: bool, private: bool) -> str:
    """Return Cache-Control: immutable with a seed and a version, revalidated with a seed only, else not stored.

    Args:
        seeded: the request names its seed.
        pinned: the request names a version, not an alias.
        private: only the caller may see the response.
    """
    if not seeded:
        return "no-store"
    if not pinned:
        return "private, no-cache" if private else "no-cache"
    return f"{'private' if private else 'public'}, max-age=31536000, immutable"

"""Accept, If-None-Match and Cache-Control."""

from __future__ import annotations

import pytest

from app.http.headers import cache_control, etag, matches_etag, preferred

OFFERS = {"png": "image/png", "webp": "image/webp", "zip": "application/zip"}


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", "png"),
        ("*/*", "png"),
        ("image/*", "png"),
        ("image/webp, image/png;q=0.1", "png"),
        ("image/avif,image/webp,*/*;q=0.8", "png"),
        ("image/webp", "webp"),
        ("application/zip;q=0.5, image/webp;q=0.4", "zip"),
        ("image/png;q=0, image/*", "webp"),
        ("image/png;q=0", None),
        ("text/html", None),
        ("IMAGE/PNG", "png"),
        ("image/webp;q=nonsense", None),
        (",,;", "png"),
    ],
)
def test_png_whenever_it_is_admitted_else_the_best_else_nothing(accept: str, chosen: str | None) -> None:
    assert preferred([accept], OFFERS) == chosen


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", W/"abc" , "y"', True),
        ("*", True),
        ('"ab"', False),
        ("abc", False),
        ("", False),
        ('"x,abc"', False),
    ],
)
def test_if_none_match_compares_weakly_and_takes_lists(header: str, known: bool) -> None:
    assert matches_etag([header], '"abc"') is known


def test_tags_differ_when_a_part_does() -> None:
    assert etag("a", 1) == etag("a", 1)
    assert len({etag("a", 1), etag("a", 2), etag("a1"), etag("a", "1"), etag("a", 1, None)}) == 5


@pytest.mark.parametrize(
    ("seeded", "pinned", "private", "expected"),
    [
        (True, True, False, "public, max-age=31536000, immutable"),
        (True, True, True, "private, max-age=31536000, immutable"),
        (True, False, False, "no-cache"),
        (True, False, True, "private, no-cache"),
        (False, True, False, "no-store"),
        (False, False, True, "no-store"),
    ],
)
def test_what_cannot_change_is_kept_for_ever_and_a_drawn_seed_never(
    seeded: bool, pinned: bool, private: bool, expected: str
) -> None:
    assert cache_control(seeded=seeded, pinned=pinned, private=private) == expected

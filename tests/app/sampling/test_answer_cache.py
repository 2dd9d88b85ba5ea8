"""The cache of encoded answers."""

from __future__ import annotations

from app.sampling.cache import ENTRY_OVERHEAD, MAX_SHARE, AnswerCache

BODY = b"x" * 1000
ENTRY = len(BODY) + ENTRY_OVERHEAD


def test_the_least_recently_used_goes_first() -> None:
    cache = AnswerCache(MAX_SHARE * ENTRY)
    for tag in range(MAX_SHARE):
        cache.put(str(tag), BODY)
    assert cache.get("0") == BODY
    cache.put("one more", BODY)
    assert cache.get("1") is None
    assert cache.get("0") == cache.get("one more") == BODY
    assert cache.bytes == MAX_SHARE * ENTRY


def test_an_answer_beyond_its_share_is_not_cached() -> None:
    cache = AnswerCache(MAX_SHARE * ENTRY - 1)
    cache.put("large", BODY)
    assert "large" not in cache
    assert cache.bytes == 0


def test_without_memory_nothing_is_cached() -> None:
    cache = AnswerCache(0)
    cache.put("tag", b"")
    assert cache.get("tag") is None


def test_the_same_answer_twice_takes_its_place_once() -> None:
    cache = AnswerCache(1 << 20)
    for _ in range(2):
        cache.put("tag", BODY)
    assert cache.bytes == ENTRY

"""Two bounded caches: parsed requests by what was sent, and response bodies by ETag."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from starlette.types import Scope

T = TypeVar("T")
RequestKey = tuple[bytes, ...]

# Neither cache needs invalidation. What may change between two equal requests (the key, the version that a name means)
# is never in the first; an ETag of the second names the same bytes for ever. Both are for one event loop and not
# thread-safe.
MAX_REQUESTS = 4096
# Requests whose key is longer are parsed every time.
MAX_KEY_BYTES = 1024
# Approximate bytes that a body's entry takes beside the body.
ENTRY_OVERHEAD = 512
# No body takes more than the cache's size divided by this.
MAX_SHARE = 8


class RequestCache(Generic[T]):
    """Parsed requests, least recently used first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[RequestKey, T] = OrderedDict()

    def get(self, key: RequestKey) -> T | None:
        if (value := self._entries.get(key)) is not None:
            self._entries.move_to_end(key)
        return value

    def put(self, key: RequestKey, value: T) -> None:
        if sum(map(len, key)) <= MAX_KEY_BYTES:
            self._entries[key] = value
            if len(self._entries) > MAX_REQUESTS:
                self._entries.popitem(last=False)


def request_key(scope: Scope) -> RequestKey:
    """Return all that parsing a sampling request depends on: path, query string, Accept headers."""
    accept = (value for name, value in scope["headers"] if name == b"accept")
    return (scope["path"].encode(), scope["query_string"], *accept)


class AnswerCache:
    """Response bodies by ETag, least recently used first.

    Args:
        max_bytes: for all bodies together; 0 caches none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        # Memory in use, in bytes.
        self.bytes = 0

    def __contains__(self, tag: str) -> bool:
        return tag in self._bodies

    def get(self, tag: str) -> bytes | None:
        if (body := self._bodies.get(tag)) is not None:
            self._bodies.move_to_end(tag)
        return body

    def put(self, tag: str, body: bytes) -> None:
        size = len(body) + ENTRY_OVERHEAD
        # One body must not evict most others.
        if size > self._max_bytes // MAX_SHARE or tag in self._bodies:
            return
        self._bodies[tag] = body
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, oldest = self._bodies.popitem(last=False)
            self.bytes -= len(oldest) + ENTRY_OVERHEAD

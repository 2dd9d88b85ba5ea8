"""Whole answers in memory, by their tags. A tag names an answer's bytes, so nothing in here can become wrong: what is
deleted or superseded is asked for no more, and drops out as the least recently used.
"""

from __future__ import annotations

from collections import OrderedDict

OVERHEAD = 512
"""Bytes that an entry takes beside its body, roughly: tag, objects, table."""
SHARE = 8
"""No answer takes more than the cache's size divided by this."""


class AnswerCache:
    """A bounded cache. For one event loop; not thread-safe.

    Args:
        max_bytes: for all answers together; 0 keeps none.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bodies: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0
        """Bytes taken."""

    def __contains__(self, tag: str) -> bool:
        """Tell whether the answer of this tag is here."""
        return tag in self._bodies

    def get(self, tag: str) -> bytes | None:
        """Give the answer of this tag if it is here; counts as a use."""
        if (body := self._bodies.get(tag)) is not None:
            self._bodies.move_to_end(tag)
        return body

    def put(self, tag: str, body: bytes) -> None:
        """Keep an answer, unless it is too large to be worth its place."""
        size = len(body) + OVERHEAD
        if size > self._max_bytes // SHARE or tag in self._bodies:
            return
        self._bodies[tag] = body
        self.bytes += size
        while self.bytes > self._max_bytes:
            _, oldest = self._bodies.popitem(last=False)
            self.bytes -= len(oldest) + OVERHEAD

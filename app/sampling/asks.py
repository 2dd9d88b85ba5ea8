"""Requests that were understood: a query string that was validated once is not validated again.

What may change from one moment to the next is never remembered: who may ask, and which version a model's name means.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import Scope

from app.sampling.orders import Order
from models.store.versions import WholeVersion

COUNT = 4096
"""Requests remembered."""
LENGTH = 1024
"""Longer requests, in bytes, are validated every time."""

RawHeaders = list[tuple[bytes, bytes]]


class Prepared(NamedTuple):
    """An order with what follows from it."""

    order: Order
    tag: str
    headers: RawHeaders
    typed: RawHeaders
    """The same, with the type of a body."""


class Ask:
    """What a valid request asks for.

    Args:
        model: the reference that it names, None for the default model.
        order: makes every choice that it leaves open, or raises a 422 if the version cannot answer it.
        private: only the caller may see the answer.
    """

    def __init__(self, model: str | None, order: Callable[[WholeVersion], Order], *, private: bool) -> None:
        self.model = model
        self._order = order
        self._private = private
        self._last: tuple[WholeVersion, str, Prepared] | None = None

    def prepared(self, version: WholeVersion, fingerprint: str) -> Prepared:
        """Make the order of a version and numerics; the same as before where nothing has changed, the seed included.

        Raises:
            Problem: 422, the version cannot answer this.
        """
        if self._last is not None and self._last[0] is version and self._last[1] == fingerprint:
            return self._last[2]
        order = self._order(version)
        tag = order.tag(fingerprint)
        headers = [
            (name.lower().encode(), value.encode()) for name, value in order.headers(tag, private=self._private).items()
        ]
        content_type = (b"content-type", order.container.media_type.encode())
        prepared = Prepared(order, tag, headers, [content_type, *headers])
        if order.seeded:
            self._last = (version, fingerprint, prepared)
        return prepared


class Asks:
    """The valid requests of late, by everything that decides what they mean."""

    def __init__(self) -> None:
        self._asks: OrderedDict[tuple[bytes, ...], Ask] = OrderedDict()

    def get(self, scope: Scope) -> Ask | None:
        """Find what a request asks for, if the same one was understood before."""
        key = _key(scope)
        if (ask := self._asks.get(key)) is not None:
            self._asks.move_to_end(key)
        return ask

    def put(self, scope: Scope, ask: Ask) -> None:
        """Remember what a request asks for."""
        key = _key(scope)
        if sum(map(len, key)) <= LENGTH:
            self._asks[key] = ask
            if len(self._asks) > COUNT:
                self._asks.popitem(last=False)


def _key(scope: Scope) -> tuple[bytes, ...]:
    accepted = (value for name, value in scope["headers"] if name == b"accept")
    return (scope["path"].encode(), scope["query_string"], *accepted)

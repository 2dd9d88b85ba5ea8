"""The answer to a request for pictures: at once where it can be, else painted once for all who ask for the same."""

from __future__ import annotations

import logging
from contextlib import aclosing

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.engine.admission import Overloaded
from app.http.disconnect import ClientLeft, present, while_present
from app.http.negotiation import has_already
from app.metrics import ModelFigures
from app.sampling.asks import Ask, Prepared
from app.sampling.sending import CHUNK, Outgoing, Stalled, send_empty, send_small
from app.state import AppState

log = logging.getLogger(__name__)


class Painted(Response):
    """An answer that is made when it is sent, as Starlette's `FileResponse` is: nothing is held before or after.

    Raises, when called and before anything is sent:
        Problem: the version cannot answer this.
        ModelError: there is no such model, or it cannot be loaded.
        Overloaded: too much waits already.
    """

    def __init__(self, app_state: AppState, ask: Ask) -> None:
        super().__init__()
        self._house = app_state
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        sampler = self._house.sampler
        version = sampler.resolve(self._ask.model)
        # Before a version's first load its numerics are not decided, and its answers have no tag.
        if (fingerprint := sampler.fingerprint(version)) is not None:
            prepared = self._ask.prepared(version, fingerprint)
            if await self._at_once(prepared, scope, send):
                return
        if fingerprint is None or not (sampler.has(version) or prepared.tag in self._house.answers):
            version = await while_present(receive, sampler.hold(self._ask.model))
            fingerprint = sampler.fingerprint(version)
            assert fingerprint is not None, f"{version.ref} is loaded, so its numerics are decided"
            prepared = self._ask.prepared(version, fingerprint)
            if await self._at_once(prepared, scope, send):
                return
        await self._made(prepared, receive, send)

    async def _at_once(self, prepared: Prepared, scope: Scope, send: Send) -> bool:
        """Send what takes no waiting: 304, HEAD, a small answer that is in the cache. Tells whether it did."""
        if_none_match = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"]
        if if_none_match and has_already(if_none_match, prepared.tag):
            self._figures(prepared).known.inc()
            await send_empty(send, 304, prepared.headers)
            return True
        if scope["method"] == "HEAD":
            await send_empty(send, 200, prepared.typed)
            return True
        body = self._house.answers.get(prepared.tag)
        if body is None or len(body) > CHUNK:
            return False
        self._figures(prepared).kept.inc()
        self._figures(prepared).images.inc(prepared.order.subject.count)
        await send_small(send, prepared.typed, body)
        return True

    async def _made(self, prepared: Prepared, receive: Receive, send: Send) -> None:
        job = prepared.order
        out = Outgoing(send, prepared.typed, self._house.settings.stall_seconds)
        try:
            if job.streamed:
                await while_present(receive, self._stream(prepared, out))
            else:
                await self._share(prepared, receive, out)
            self._figures(prepared).images.inc(job.subject.count)
        except Overloaded:
            self._figures(prepared).refused.inc()
            raise
        except (ClientLeft, Stalled, HTTPException) as reason:
            if not out.started:
                raise
            log.info("an answer of %s was broken off: %s", job.version.ref, reason)

    async def _stream(self, prepared: Prepared, out: Outgoing) -> None:
        """Send while it is painted."""
        job = prepared.order
        sampler = self._house.sampler
        with sampler.admission.admit(job.container.held(job)):
            self._figures(prepared).made.inc()
            async with aclosing(job.container.pieces(job, sampler)) as pieces:
                # What is refused is refused before the answer begins.
                first = await anext(pieces)
                await out.start(job.container.length(job))
                await out.write(first)
                async for piece in pieces:
                    await out.write(piece)
                await out.end()

    async def _share(self, prepared: Prepared, receive: Receive, out: Outgoing) -> None:
        """Send what is painted once for all who wait for it, or is in the cache."""
        job = prepared.order
        admission, flights = self._house.sampler.admission, self._house.flights
        known = self._house.answers.get(prepared.tag)
        size = job.container.held(job) if known is None else len(known)
        figures = self._figures(prepared)
        how = figures.kept if known is not None else figures.shared if prepared.tag in flights else figures.made
        with flights.joined(
            prepared.tag,
            lambda: admission.lease(size, waits=known is None),
            lambda: self._body(prepared, known),
        ) as painting:
            how.inc()
            await out.whole(await present(receive, painting))

    async def _body(self, prepared: Prepared, known: bytes | None) -> bytes:
        if known is not None:
            return known
        job = prepared.order
        async with aclosing(job.container.pieces(job, self._house.sampler)) as pieces:
            body = b"".join([piece async for piece in pieces])
        if job.seeded:
            self._house.answers.put(prepared.tag, body)
        return body

    def _figures(self, prepared: Prepared) -> ModelFigures:
        return self._house.metrics.of(prepared.order.version.model)

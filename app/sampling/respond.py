"""The respond stage: bodies from the cache, else generated once for all requests for the same body."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.engine.admission import Overloaded
from app.http.disconnect import ClientDisconnected, cancel_on_disconnect, wait_unless_disconnected
from app.http.headers import matches_etag
from app.metrics import ModelMetrics
from app.sampling.plan import RenderPlan
from app.sampling.sending import CHUNK_BYTES, BodyWriter, ClientStalled, send_empty, send_small
from app.state import AppState
from models.store.versions import WholeVersion

log = logging.getLogger(__name__)

MakePlan = Callable[[WholeVersion, str], RenderPlan]


class RenderResponse(Response):
    """The response to a parsed request, made when it is sent. It can be sent again for the same request.

    Args:
        model: the request's reference to a model, None for the default model.
        make_plan: makes the plan for a version and its numerics' fingerprint, or raises a 422 `Problem`. It depends on
            the request and the settings alone.

    Raises, when called and before anything is sent:
        Problem: the version does not support this.
        ModelError: there is no such model, or it cannot be loaded.
        Overloaded: too much work is waiting.
    """

    def __init__(self, state: AppState, model: str | None, make_plan: MakePlan) -> None:
        super().__init__()
        self._state = state
        self._model = model
        self._make_plan = make_plan
        self._last_plan: RenderPlan | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        engine = self._state.engine
        version = engine.resolve(self._model)
        # Before a version's first load its numerics are not decided, and its responses have no ETag.
        if (fingerprint := engine.fingerprint(version)) is not None:
            plan = self._plan(version, fingerprint)
            if await self._send_at_once(plan, scope, send):
                return
        if fingerprint is None or not (engine.is_loaded(version) or plan.etag in self._state.answer_cache):
            version = await cancel_on_disconnect(receive, engine.load(self._model))
            fingerprint = engine.fingerprint(version)
            assert fingerprint is not None, f"{version.ref} is loaded, so its numerics are decided"
            plan = self._plan(version, fingerprint)
            if await self._send_at_once(plan, scope, send):
                return
        await self._send_body(plan, receive, send)

    def _plan(self, version: WholeVersion, fingerprint: str) -> RenderPlan:
        last = self._last_plan
        if last is not None and last.version is version and last.fingerprint == fingerprint:
            return last
        plan = self._make_plan(version, fingerprint)
        # Without a seed in the request, each time another is drawn.
        if plan.seeded:
            self._last_plan = plan
        return plan

    async def _send_at_once(self, plan: RenderPlan, scope: Scope, send: Send) -> bool:
        """Send a response that needs no waiting (304, HEAD, a small cached body); return whether it was sent."""
        if_none_match = [value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"]
        if if_none_match and matches_etag(if_none_match, plan.etag):
            self._metrics(plan).known.inc()
            await send_empty(send, 304, plan.headers)
            return True
        if scope["method"] == "HEAD":
            await send_empty(send, 200, plan.body_headers)
            return True
        body = self._state.answer_cache.get(plan.etag)
        if body is None or len(body) > CHUNK_BYTES:
            return False
        metrics = self._metrics(plan)
        metrics.kept.inc()
        metrics.images.inc(len(plan.images))
        await send_small(send, plan.body_headers, body)
        return True

    async def _send_body(self, plan: RenderPlan, receive: Receive, send: Send) -> None:
        writer = BodyWriter(send, plan.body_headers, self._state.settings.stall_seconds)
        try:
            if plan.streamed:
                await cancel_on_disconnect(receive, self._stream(plan, writer))
            else:
                await self._send_shared(plan, receive, writer)
            self._metrics(plan).images.inc(len(plan.images))
        except Overloaded:
            self._metrics(plan).refused.inc()
            raise
        except (ClientDisconnected, ClientStalled, HTTPException) as reason:
            if not writer.started:
                raise
            log.info("response of %s aborted: %s", plan.version.ref, reason)

    async def _stream(self, plan: RenderPlan, writer: BodyWriter) -> None:
        with self._state.engine.admission.admit(plan.encoder.peak_bytes(plan)):
            self._metrics(plan).made.inc()
            async with aclosing(self._generate_and_encode(plan)) as chunks:
                # Errors are raised before the first chunk, while another response can still be sent.
                first = await anext(chunks)
                await writer.start(plan.encoder.content_length(plan))
                await writer.write(first)
                async for chunk in chunks:
                    await writer.write(chunk)
                await writer.end()

    async def _send_shared(self, plan: RenderPlan, receive: Receive, writer: BodyWriter) -> None:
        """Send a cached body, or one computed once for all waiting clients."""
        admission, single_flight = self._state.engine.admission, self._state.single_flight
        cached = self._state.answer_cache.get(plan.etag)
        size = plan.encoder.peak_bytes(plan) if cached is None else len(cached)
        metrics = self._metrics(plan)
        how = metrics.kept if cached is not None else metrics.shared if plan.etag in single_flight else metrics.made
        # A cached body too: sent to a slow client it stays in memory, and counts as in flight.
        with single_flight.join(
            plan.etag,
            lambda: admission.reserve(size, waits=cached is None),
            lambda: self._compute_body(plan, cached),
        ) as computing:
            how.inc()
            await writer.whole(await wait_unless_disconnected(receive, computing))

    async def _compute_body(self, plan: RenderPlan, cached: bytes | None) -> bytes:
        if cached is not None:
            return cached
        async with aclosing(self._generate_and_encode(plan)) as chunks:
            body = b"".join([chunk async for chunk in chunks])
        if plan.seeded:
            self._state.answer_cache.put(plan.etag, body)
        return body

    def _generate_and_encode(self, plan: RenderPlan) -> AsyncGenerator[bytes]:
        engine = self._state.engine
        return plan.encoder.encode(
            plan, engine.generate(plan.version, plan.images), partial(engine.encode, plan.version)
        )

    def _metrics(self, plan: RenderPlan) -> ModelMetrics:
        return self._state.metrics.of(plan.version.model)

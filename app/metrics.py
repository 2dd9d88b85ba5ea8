"""Figures for Prometheus: one registry per app, so that two apps in a process (as in tests) do not meet."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """What is counted while requests come and go; `refresh` sets the gauges just before they are read."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "atelier_requests", "HTTP requests", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "atelier_request_seconds",
            "From a request's arrival to its answer's last byte",
            ["method", "route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        # Looking labels up takes longer than counting.
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.images = Counter("atelier_images", "Images served", ["model"], registry=self.registry)
        self.streams = Gauge("atelier_event_streams", "Event streams open", registry=self.registry)
        self.loaded = Gauge("atelier_loaded_versions", "Versions ready to serve", registry=self.registry)
        self.runs = Gauge("atelier_runs", "Runs", ["state"], registry=self.registry)
        self.up = Gauge("atelier_up", "1: the service answers", ["service"], registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer; methods and routes are few, whatever clients send."""
        key = (method, route, status)
        if (counts := self._answers.get(key)) is None:
            counts = self.requests.labels(method, route, str(status)), self.seconds.labels(method, route)
            self._answers[key] = counts
        requests, durations = counts
        requests.inc()
        durations.observe(seconds)

    def render(self) -> bytes:
        """Give every figure in Prometheus' text format."""
        return generate_latest(self.registry)


class Measure:
    """ASGI middleware: counts and times requests by the template of their route, never by what clients make up."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note how it went; a crash counts as 500."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noting_status)
        finally:
            metrics: Metrics = scope["app"].state.house.metrics
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.answered(method, _template(scope), status, time.perf_counter() - started)


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))


def _template(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "none"

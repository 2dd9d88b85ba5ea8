"""Prometheus metrics. Each app has its own registry, so that two apps in a process (as in tests) are independent."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class ModelMetrics:
    """Metrics of one model; the engine's `Observer`."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        # Labels are looked up once: the lookup takes longer than counting.
        self.images = metrics.images.labels(model)
        self.refused = metrics.refused.labels(model)
        self.kept, self.shared, self.made, self.known = (
            metrics.answers.labels(model, how) for how in ("kept", "shared", "made", "known")
        )
        self._queue_seconds = metrics.queue_seconds.labels(model)
        self._tile_images = metrics.tile_images.labels(model)
        self._tile_places = metrics.tile_places.labels(model)
        self._device_seconds = metrics.device_seconds.labels(model)
        self._encode_seconds = metrics.encode_seconds
        self._model = model

    def queued(self, seconds: float) -> None:
        self._queue_seconds.observe(seconds)

    def generated(self, images: int, slots: int, seconds: float) -> None:
        self._tile_images.inc(images)
        self._tile_places.inc(slots)
        self._device_seconds.inc(seconds)

    def encoded(self, kind: str, seconds: float) -> None:
        self._encode_seconds.labels(self._model, kind).inc(seconds)


class Metrics:
    """Counters and histograms of requests; the gauges are set just before they are read."""

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
        # Looking up labels takes longer than counting.
        self._answers: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self.images = Counter("atelier_images", "Images served", ["model"], registry=self.registry)
        self.answers = Counter(
            "atelier_answers",
            "Responses with images: made, shared with a request in flight, kept from before, known to the client (304)",
            ["model", "how"],
            registry=self.registry,
        )
        self.refused = Counter("atelier_refused", "Requests refused for overload", ["model"], registry=self.registry)
        self.queue_seconds = Histogram(
            "atelier_queue_seconds",
            "From a request's latents to its first place on the device",
            ["model"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.tile_images = Counter("atelier_tile_images", "Images generated", ["model"], registry=self.registry)
        self.tile_places = Counter(
            "atelier_tile_places", "Slots of the batches that they were generated in", ["model"], registry=self.registry
        )
        self.device_seconds = Counter(
            "atelier_device_seconds", "Time of generation on a device's thread", ["model"], registry=self.registry
        )
        self.encode_seconds = Counter(
            "atelier_encode_seconds", "Time that encoders took", ["model", "kind"], registry=self.registry
        )
        self.wait = Gauge("atelier_wait_seconds", "Predicted wait of a request made now", registry=self.registry)
        self.flight = Gauge("atelier_flight_bytes", "Pictures being made and sent", registry=self.registry)
        self.cache = Gauge("atelier_answer_cache_bytes", "Cached responses", registry=self.registry)
        self._models: dict[str, ModelMetrics] = {}
        self.streams = Gauge("atelier_event_streams", "Event streams open", registry=self.registry)
        self.loaded = Gauge("atelier_loaded_versions", "Versions ready to serve", registry=self.registry)
        self.runs = Gauge("atelier_runs", "Runs", ["state"], registry=self.registry)
        self.up = Gauge("atelier_up", "1: the service responds", ["service"], registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response."""
        # Methods and route templates are few, even if clients send others: the cache stays small.
        key = (method, route, status)
        if (counts := self._answers.get(key)) is None:
            counts = self.requests.labels(method, route, str(status)), self.seconds.labels(method, route)
            self._answers[key] = counts
        requests, durations = counts
        requests.inc()
        durations.observe(seconds)

    def of(self, model: str) -> ModelMetrics:
        # Only for models that exist: with names from clients the number of series would have no bound.
        if (model_metrics := self._models.get(model)) is None:
            model_metrics = self._models.setdefault(model, ModelMetrics(self, model))
        return model_metrics

    def render(self) -> bytes:
        return generate_latest(self.registry)


class MetricsMiddleware:
    """ASGI middleware: counts and times requests by the template of their route, never by raw paths."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # An exception counts as status 500.
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_record)
        finally:
            metrics: Metrics = scope["app"].state.atelier.metrics
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.answered(method, _template(scope), status, time.perf_counter() - started)


_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"))


def _template(scope: Scope) -> str:
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "none"

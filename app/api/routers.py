"""Routers of the HTTP API, in the order of the schema, and the tags that group them."""

from __future__ import annotations

from app.api import artifacts, datasets, events, health, models, page, presets, sampling, session, train

TAGS = [
    {"name": "samples", "description": "Pictures from a published generator."},
    {"name": "models", "description": "Published generators: versions and aliases."},
    {"name": "train", "description": "Runs: start, watch, control, publish."},
    {"name": "events", "description": "Changes of runs, data sets and models, as server-sent events."},
    {"name": "presets", "description": "Named, complete training configurations."},
    {"name": "datasets", "description": "Sets of images to train on."},
    {"name": "session", "description": "Signing in on the page."},
    {"name": "health", "description": "Liveness, readiness and metrics."},
]

ROUTERS = (
    sampling.samples,
    sampling.grids,
    sampling.walks,
    models.router,
    train.router,
    artifacts.router,
    events.router,
    presets.router,
    datasets.router,
    session.router,
    health.router,
    page.router,
)

"""Redis: names of queues, tasks and channels that the app and the workers share, and URLs for both clients.

Every message may be lost: it only means "check the queue" or "read again"; state is in rows and files.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

# Change notifications: `{"run": ID}`, `{"dataset": NAME}` or `{"model": NAME}`.
CHANNEL = "atelier:events"

# Queues: workers that train, and workers that prepare data sets.
TRAIN = "train"
BACKGROUND = "background"

# Tasks. `TRAIN_RUNS`, on `TRAIN`, claims runs until none is left. On `BACKGROUND`, `PREPARE_DATASET` (name, size,
# channels) prepares a data set while its run is queued, and `PREPARE_UPLOADS` claims uploads until none is left.
TRAIN_RUNS = "worker.look"
PREPARE_DATASET = "worker.prepare"
PREPARE_UPLOADS = "worker.prepare_uploads"

_SOCKETS = ("unix", "redis+socket")


def broker_url(redis_url: str) -> str:
    """Return a Redis URL in Celery's form: a unix socket as `redis+socket:///path`."""
    parts = urlsplit(redis_url)
    if parts.scheme not in _SOCKETS:
        return redis_url
    return f"redis+socket://{parts.path}?{urlencode({'virtual_host': _database(parts.query)})}"


def client_url(redis_url: str) -> str:
    """Return a Redis URL in redis-py's form: a unix socket as `unix:///path`."""
    parts = urlsplit(redis_url)
    if parts.scheme not in _SOCKETS:
        return redis_url
    return f"unix://{parts.path}?{urlencode({'db': _database(parts.query)})}"


def _database(query: str) -> str:
    options = dict(pair.partition("=")[::2] for pair in query.split("&"))
    return options.get("db") or options.get("virtual_host") or "0"

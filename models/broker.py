"""What the app and the workers call the things they say to each other through Redis; who says what is theirs.

All of it can be lost: a message means "look", and where to look is a row or a file.
"""

from __future__ import annotations

from urllib.parse import urlencode, urlsplit

CHANNEL = "atelier:events"
"""Published hints: `{"run": ID}`, `{"dataset": NAME}` or `{"model": NAME}`, something about it is new."""

TRAIN = "train"
"""The queue of workers that train."""
BACKGROUND = "background"
"""The queue of workers that prepare data sets."""
LOOK = "worker.look"
"""The task, on `TRAIN`, that claims runs until none is left; no arguments."""
PREPARE = "worker.jobs.prepare"
"""The task, on `CHORES`, that prepares a data set while its run waits; arguments: name, size, channels."""
PREPARE_UPLOADS = "worker.prepare_uploads"
"""The task, on `CHORES`, that claims uploaded data sets until none is left; no arguments."""

_SOCKETS = ("unix", "redis+socket")


def broker_url(redis_url: str) -> str:
    """Spell a Redis address the way Celery reads it: a unix socket as `redis+socket:///path`."""
    parts = urlsplit(redis_url)
    if parts.scheme not in _SOCKETS:
        return redis_url
    return f"redis+socket://{parts.path}?{urlencode({'virtual_host': _database(parts.query)})}"


def client_url(redis_url: str) -> str:
    """Spell a Redis address the way the `redis` package reads it: a unix socket as `unix:///path`."""
    parts = urlsplit(redis_url)
    if parts.scheme not in _SOCKETS:
        return redis_url
    return f"unix://{parts.path}?{urlencode({'db': _database(parts.query)})}"


def _database(query: str) -> str:
    options = dict(pair.partition("=")[::2] for pair in query.split("&"))
    return options.get("db") or options.get("virtual_host") or "0"

"""Which paths are views of the page: each gives the same HTML, which shows the view that its address names."""

from __future__ import annotations

VIEWS = ("/", "/play", "/runs", "/data")
WITH_ONE_OF = ("/runs/", "/data/")
"""Views of one thing, which the rest of the path names."""


def is_view(path: str) -> bool:
    """Tell whether a path is one of the page's views."""
    return path in VIEWS or any(path.startswith(view) and "/" not in path[len(view) :] for view in WITH_ONE_OF)

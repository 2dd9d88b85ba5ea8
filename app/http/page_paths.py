"""Paths of the page's views. All of them return the same HTML; the script shows the view that the path names."""

from __future__ import annotations

VIEWS = ("/", "/play", "/runs", "/data")
# Views of one item: the rest of the path is its name.
ITEM_VIEWS = ("/runs/", "/data/")


def is_view(path: str) -> bool:
    return path in VIEWS or any(path.startswith(view) and "/" not in path[len(view) :] for view in ITEM_VIEWS)

"""One header of a request, read off the list that the server gives: most of those asked for are absent, and Starlette's
`Headers` raises and catches an exception for each.
"""

from __future__ import annotations

from starlette.types import Scope


def header(scope: Scope, name: bytes) -> str | None:
    """Give the first header of a name in lower case, None if there is none."""
    for known, value in scope["headers"]:
        if known == name:
            text: str = value.decode("latin-1")
            return text
    return None

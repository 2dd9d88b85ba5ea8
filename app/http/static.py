"""The page's paths and static files: precompressed, and immutable where the file name contains a hash."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Paths of views. All of them return the same HTML; the script shows the view that the path names.
VIEWS = ("/", "/play", "/runs", "/data")
# Views of one item: the rest of the path is its name.
ITEM_VIEWS = ("/runs/", "/data/")

# The folder whose file names contain a hash of their content.
HASHED = "assets"
IMMUTABLE = "public, max-age=31536000, immutable"
# After an upgrade, old scripts must not meet new responses.
REVALIDATE = "no-cache"

_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


class Files(StaticFiles):
    """A folder of files; `app.js` may have `app.js.br` and `app.js.gz` beside it."""

    async def check_config(self) -> None:
        """Accept a missing folder: a checkout without a built page must still start."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Return the file, compressed as Accept-Encoding allows; 304 if the client has it."""
        request = Headers(scope=scope)
        plain = Path(full_path)
        packed = [(encoding, plain.with_name(plain.name + suffix)) for encoding, suffix in _ENCODINGS]
        encoding, path = next((p for p in packed if _accepts(request, p[0]) and p[1].is_file()), (None, plain))
        answer = super().file_response(path, path.stat() if encoding else stat_result, scope, status_code)
        if encoding:
            answer.headers["Content-Encoding"] = encoding
        answer.headers["Vary"] = "Accept-Encoding"
        answer.headers["Cache-Control"] = IMMUTABLE if plain.parent.name == HASHED else REVALIDATE
        return answer


def _accepts(request: Headers, encoding: str) -> bool:
    for part in request.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == encoding:
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False


def is_view(path: str) -> bool:
    return path in VIEWS or any(path.startswith(view) and "/" not in path[len(view) :] for view in ITEM_VIEWS)

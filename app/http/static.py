"""Files for browsers: compressed where the build has done so, kept for ever where a file's name is a hash of it."""

from __future__ import annotations

import os
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

HASHED = "assets"
"""The folder whose files carry a hash of their content in their names."""
FOR_EVER = "public, max-age=31536000, immutable"
ASK = "no-cache"
"""For all others: after an upgrade, old scripts must not meet new answers."""

_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))


class Files(StaticFiles):
    """A folder of files; `app.js` may have `app.js.br` and `app.js.gz` beside it."""

    async def check_config(self) -> None:
        """Let the folder be missing: a checkout without a build has nothing to send, which is no crash."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Answer with the file, or with a compressed one that the client takes; 304 if it has that already."""
        request = Headers(scope=scope)
        plain = Path(full_path)
        packed = [(encoding, plain.with_name(plain.name + suffix)) for encoding, suffix in _ENCODINGS]
        encoding, path = next((p for p in packed if _accepts(request, p[0]) and p[1].is_file()), (None, plain))
        answer = super().file_response(path, path.stat() if encoding else stat_result, scope, status_code)
        if encoding:
            answer.headers["Content-Encoding"] = encoding
        answer.headers["Vary"] = "Accept-Encoding"
        answer.headers["Cache-Control"] = FOR_EVER if plain.parent.name == HASHED else ASK
        return answer


def _accepts(request: Headers, encoding: str) -> bool:
    for part in request.get("accept-encoding", "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == encoding:
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False

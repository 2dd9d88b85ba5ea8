"""Authentication: API keys, sessions and scopes.

Every path needs a key, including paths that do not exist, unless `OPEN` lists it or it is a view of the page. Each
route declares the scope that it needs with `Requires`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Annotated

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.http.problems import Problem, phrase, retry_later
from app.http.static import is_view
from models.records import SCOPES, KeyRecord, hash_key
from models.records import Scope as KeyScope

COOKIE = "atelier_session"
SESSION_SECONDS = 7 * 24 * 3600
MAX_SESSIONS = 1000

# The page and its files contain no data, and users need them to sign in; health is for load balancers.
OPEN = frozenset(("/session", "/healthz", "/readyz"))
OPEN_FOLDER = "/web/"


@dataclass(frozen=True)
class Caller:
    """The authenticated caller of a request, with the scopes of the key."""

    name: str
    scopes: frozenset[str]


# The caller of every request where keys are not required.
ANYBODY = Caller("anybody", frozenset(SCOPES))


@dataclass(frozen=True)
class _Session:
    key_hash: str
    ends: float


class Authenticator:
    """Keys and sessions in memory. Sessions end with the process."""

    def __init__(self, *, required: bool) -> None:
        self.required = required
        # In memory, so that verification works without the database.
        self._callers: dict[str, Caller] | None = None
        self._sessions: dict[str, _Session] = {}

    def load(self, keys: Sequence[KeyRecord]) -> None:
        """Replace the keys by those of the database."""
        # Sessions of revoked keys end too: they hold a key's hash, not its scopes.
        self._callers = {key.hash: Caller(key.name, frozenset(key.scopes)) for key in keys}

    def any(self) -> bool:
        return bool(self._callers)

    def verify(self, secret: str) -> Caller | None:
        """Return the caller that a key belongs to, None for an unknown key.

        Raises:
            Problem: 503, the keys have not been read from the database yet.
        """
        return self._by_hash(hash_key(secret))

    def _by_hash(self, key_hash: str) -> Caller | None:
        if self._callers is None:
            raise retry_later("Keys not loaded", "the database that holds the keys has not responded yet")
        return self._callers.get(key_hash)

    def open_session(self, secret: str) -> tuple[str, Caller]:
        """Open a session with a key; return its token and caller.

        Raises:
            Problem: 401, no such key.
        """
        if (caller := self.verify(secret)) is None:
            raise _unauthorized("there is no such key, or it was revoked")
        self._drop_old_sessions()
        token = secrets.token_urlsafe(32)
        self._sessions[token] = _Session(hash_key(secret), time.monotonic() + SESSION_SECONDS)
        return token, caller

    def close_session(self, token: str) -> None:
        self._sessions.pop(token, None)

    def _drop_old_sessions(self) -> None:
        now = time.monotonic()
        alive = [(token, session) for token, session in self._sessions.items() if session.ends > now]
        self._sessions = dict(alive[-(MAX_SESSIONS - 1) :])

    def identify(self, headers: Headers) -> Caller | None:
        """Return the caller by `Authorization: Bearer`, else by the session cookie; None without either.

        Raises:
            Problem: 401, the key is not valid; 503, the keys have not been read yet.
        """
        if not self.required:
            return ANYBODY
        if (authorization := headers.get("authorization")) is not None:
            scheme, _, secret = authorization.partition(" ")
            if scheme.lower() != "bearer" or not secret:
                raise _unauthorized("expected the header Authorization: Bearer KEY")
            if (caller := self.verify(secret.strip())) is None:
                raise _unauthorized("there is no such key, or it was revoked")
            return caller
        if (token := session_token(headers)) is None:
            return None
        session = self._sessions.get(token)
        return None if session is None or session.ends <= time.monotonic() else self._by_hash(session.key_hash)


def session_token(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _unauthorized(detail: str) -> Problem:
    return Problem(401, phrase(401), detail, headers={"WWW-Authenticate": 'Bearer realm="atelier"'})


class Authentication:
    """ASGI middleware: stores the caller in the request's state; 401 without a key on paths that need one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        authenticator: Authenticator = scope["app"].state.atelier.authenticator
        path = scope["path"]
        is_open = path in OPEN or path.startswith(OPEN_FOLDER) or is_view(path)
        caller = None
        try:
            caller = authenticator.identify(Headers(scope=scope))
            if caller is None and not is_open:
                raise _unauthorized("this needs a key: send Authorization: Bearer KEY, or sign in on the page")
        except Problem as problem:
            if not is_open:
                await problem.response()(scope, receive, send)
                return
        scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)


def caller_of(request: Request) -> Caller | None:
    """Return the caller of a request; None on an open path without a key."""
    caller: Caller | None = request.state.caller
    return caller


# Only documents the keys in the OpenAPI schema: `Authentication` has checked them already.
_bearer = HTTPBearer(auto_error=False, description="A key made with `atelier keys add`", scheme_name="key")


class ScopeCheck:
    """A dependency that requires a scope of the caller."""

    def __init__(self, scope: KeyScope) -> None:
        self.scope = scope

    # Asynchronous: FastAPI runs other dependencies in a thread, which costs more than the check.
    async def __call__(self, request: Request, _: Annotated[object, Depends(_bearer)]) -> None:
        self.check(request.scope)

    def check(self, scope: Scope) -> None:
        """Check a request that has passed `Authentication`.

        Raises:
            Problem: 403.
        """
        caller: Caller | None = scope["state"]["caller"]
        if caller is None or self.scope not in caller.scopes:
            raise Problem(
                403, phrase(403), f'this needs a key with the scope "{self.scope}", and yours does not have it'
            )


def Requires(scope: KeyScope) -> Dependency:  # noqa: N802  # reads as a declaration, like Depends
    """Declare the scope that a route requires: `APIRouter(dependencies=[Requires("sample")])`."""
    dependency: Dependency = Depends(ScopeCheck(scope))
    return dependency

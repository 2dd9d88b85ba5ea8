"""API keys, sessions and scopes. Hosts and origins are checked in `app.security.origin`.

Authentication is the rule and openness the exception: every path needs a key unless it is listed in `OPEN` or a view
of the page, also one that does not exist. What a key may do is declared on each route by `Requires`.
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

from app.http.page_paths import is_view
from app.http.problems import Problem, phrase, retry_later
from models.records import SCOPES, KeyRecord, hash_key
from models.records import Scope as KeyScope

COOKIE = "atelier_session"
SESSION_SECONDS = 7 * 24 * 3600
MAX_SESSIONS = 1000

# The page and its files hold no data, and it needs them to ask for a key; health is for load balancers.
OPEN = frozenset(("/session", "/healthz", "/readyz"))
OPEN_FOLDER = "/web/"


@dataclass(frozen=True)
class Caller:
    """Who asks, and the scopes they have."""

    name: str
    scopes: frozenset[str]


ANYBODY = Caller("anybody", frozenset(SCOPES))
"""Everyone, where keys are not required."""


@dataclass(frozen=True)
class _Session:
    key_hash: str
    ends: float


class Keys:
    """The keys, in memory, so that the database may be away; and the page's sessions, which end with this process."""

    def __init__(self, *, required: bool) -> None:
        self.required = required
        self._callers: dict[str, Caller] | None = None
        self._sessions: dict[str, _Session] = {}

    def load(self, keys: Sequence[KeyRecord]) -> None:
        """Take over what the database holds now; a revoked key's sessions end with it."""
        self._callers = {key.hash: Caller(key.name, frozenset(key.scopes)) for key in keys}

    def any(self) -> bool:
        """Tell whether there is any key."""
        return bool(self._callers)

    def verify(self, secret: str) -> Caller | None:
        """Give the caller a key belongs to.

        Raises:
            Problem: 503, the keys could not be read from the database yet.
        """
        return self._by_hash(hash_key(secret))

    def _by_hash(self, key_hash: str) -> Caller | None:
        if self._callers is None:
            raise retry_later("Keys not loaded", "the database that holds the keys has not answered yet")
        return self._callers.get(key_hash)

    def open_session(self, secret: str) -> tuple[str, Caller]:
        """Trade a key for a session token.

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
        """End a session; ending one that does not exist is no error."""
        self._sessions.pop(token, None)

    def _drop_old_sessions(self) -> None:
        now = time.monotonic()
        alive = [(token, session) for token, session in self._sessions.items() if session.ends > now]
        self._sessions = dict(alive[-(MAX_SESSIONS - 1) :])

    def identify(self, headers: Headers) -> Caller | None:
        """Find out who asks: by `Authorization: Bearer`, else by the session cookie; None for neither.

        Raises:
            Problem: 401, a key that does not hold; 503, the keys are not known yet.
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
    """Read the session cookie."""
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if morsel is None else morsel.value


def _unauthorized(detail: str) -> Problem:
    return Problem(401, phrase(401), detail, headers={"WWW-Authenticate": 'Bearer realm="atelier"'})


class Authentication:
    """ASGI middleware: puts the caller into the request's state, and refuses what is not open without a key."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Identify, then pass on or answer 401 or 503."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        keys: Keys = scope["app"].state.atelier.keys
        path = scope["path"]
        is_open = path in OPEN or path.startswith(OPEN_FOLDER) or is_view(path)
        caller = None
        try:
            caller = keys.identify(Headers(scope=scope))
            if caller is None and not is_open:
                raise _unauthorized("this needs a key: send Authorization: Bearer KEY, or sign in on the page")
        except Problem as problem:
            if not is_open:
                await problem.response()(scope, receive, send)
                return
        scope.setdefault("state", {})["caller"] = caller
        await self.app(scope, receive, send)


def caller_of(request: Request) -> Caller | None:
    """Give who asks, None where nobody said so on an open path."""
    caller: Caller | None = request.state.caller
    return caller


# Documents the keys in the schema; the check itself happened in `Authentication`.
_bearer = HTTPBearer(auto_error=False, description="A key made with `atelier keys add`", scheme_name="key")


class ScopeCheck:
    """A dependency that lets nobody pass whose key has not got the scope."""

    def __init__(self, scope: KeyScope) -> None:
        self.scope = scope

    # Asynchronous, as dependencies should be: FastAPI calls the others in a thread, which costs more than they do.
    async def __call__(self, request: Request, _: Annotated[object, Depends(_bearer)]) -> None:
        self.check(request.scope)

    def check(self, scope: Scope) -> None:
        """Do so for a request that `Authentication` has seen.

        Raises:
            Problem: 403.
        """
        caller: Caller | None = scope["state"]["caller"]
        if caller is None or self.scope not in caller.scopes:
            raise Problem(403, phrase(403), f'this needs a key with the scope "{self.scope}", yours has not got it')


def Requires(scope: KeyScope) -> Dependency:  # noqa: N802  # reads as a declaration, like Depends
    """Declare what a key must allow: `APIRouter(dependencies=[Requires("sample")])`."""
    dependency: Dependency = Depends(ScopeCheck(scope))
    return dependency

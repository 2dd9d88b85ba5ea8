"""Host and origin checks against cross-site requests and DNS rebinding; security headers for browsers."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.headers import header
from app.http.problems import Problem, phrase
from app.http.static import is_view
from app.settings import AppSettings, is_loopback

# A link on another site may lead to the page or to the documentation: both are public files. Other links are refused,
# because each picture costs computing time.
DOCS = "/docs"

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
BROWSER_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in BROWSER_HEADERS.items()]


class OriginCheck:
    """ASGI middleware: 403 for a foreign Host, Origin or Sec-Fetch-Site."""

    def __init__(self, app: ASGIApp, settings: AppSettings) -> None:
        self.app = app
        self.settings = settings
        # Nearly all requests name the same few hosts.
        self._known_host = lru_cache(maxsize=64)(self._is_known_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := self.refusal(scope)):
            await Problem(403, phrase(403), reason).response()(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def refusal(self, scope: Scope) -> str | None:
        """Return the reason to refuse a request; None to accept it."""
        # A web page elsewhere can send requests to 127.0.0.1 through its visitor's browser, and by DNS rebinding (its
        # own name, resolved to this address) even read the responses. It cannot forge three headers: `Host` is the name
        # that the browser resolved, `Origin` and `Sec-Fetch-Site` say which page sent the request. Programs other than
        # browsers send only `Host`.
        if not self._known_host(host := header(scope, b"host") or ""):
            return f'the host "{host}" is not one of this service\'s names; ATELIER_ALLOWED_HOSTS adds some'
        origin = header(scope, b"origin")
        if origin is not None and origin.lower() in self.settings.origins:
            return None
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return f'pages of the origin "{origin}" may not call this service; ATELIER_ORIGINS lets them'
        site = header(scope, b"sec-fetch-site")
        if site not in (None, "same-origin", "none") and not _link_followed(scope):
            return (
                f"a page of another site sent this request (Sec-Fetch-Site: {site}); open it from this service's page"
            )
        return None

    def _is_known_host(self, host: str) -> bool:
        name = _name(host)
        if name is None:
            return False
        if is_loopback(name) or name == self.settings.host.lower() or name in self.settings.allowed_hosts:
            return True
        # Only names can be rebound, not addresses. A service on loopback is reached by loopback addresses only.
        return not self.settings.loopback and _is_address(name)


def _name(host: str) -> str | None:
    """Return the host without its port; None if the header is malformed."""
    if "@" in host or "/" in host:
        return None
    try:
        split = urlsplit(f"//{host}")
        _ = split.port
    except ValueError:
        return None
    return split.hostname.rstrip(".") if split.hostname else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _link_followed(scope: Scope) -> bool:
    return (
        scope["method"] == "GET"
        and (is_view(scope["path"]) or scope["path"] == DOCS)
        and header(scope, b"sec-fetch-mode") == "navigate"
        and header(scope, b"sec-fetch-dest") == "document"
    )


class BrowserHeaders:
    """ASGI middleware: adds the security headers. A header of the same name that a route sets is kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                existing = message.get("headers", ())
                names = {name for name, _ in existing}
                message["headers"] = [*existing, *(header for header in _RAW_HEADERS if header[0] not in names)]
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)

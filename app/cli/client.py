"""HTTP client of the command line, with error messages for people."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from app.settings import is_loopback

CONNECT_SECONDS = 5.0
RESPONSE_SECONDS = 120.0
# The server sends a heartbeat on an idle event stream well within this.
IDLE_SECONDS = 60.0
RECONNECT_SECONDS = 1.0
GIVE_UP_SECONDS = 60.0


class ClientError(Exception):
    """The service was not reachable, or refused the request; the message is for people."""


@dataclass(frozen=True)
class Message:
    """One server-sent event."""

    id: str
    event: str
    data: dict[str, Any]


class Client:
    """A client of one service.

    Args:
        url: its base address, such as `http://127.0.0.1:8000`.
        key: an API key; empty for none.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        host = urlsplit(self.url).hostname
        if urlsplit(self.url).scheme not in ("http", "https") or not host:
            raise ClientError(f'"{url}" is not an address: expected http://HOST:PORT')
        self._http = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(RESPONSE_SECONDS, connect=CONNECT_SECONDS),
            trust_env=not is_loopback(host),  # A proxy cannot reach this machine's own loopback address.
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> dict[str, Any]:
        """Return one JSON object.

        Raises:
            ClientError: no response, or a problem; like every method.
        """
        return self._json("GET", path, params=_without_none(query))

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._json("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def upload(self, path: str, fields: Mapping[str, object], file: Iterable[bytes]) -> dict[str, Any]:
        """Upload fields and a file as multipart/form-data, streamed; return the response."""
        boundary = secrets.token_hex(16)
        kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        return self._json("POST", path, headers=kind, content=_form(boundary, _without_none(dict(fields)), file))

    def items(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        """Yield all items of a list, page by page."""
        cursor: str | None = None
        while True:
            page = self.get(path, **query, cursor=cursor)
            yield from page["items"]
            if (cursor := page["next"]) is None:
                return

    def download(self, path: str, target: Path, **query: object) -> httpx.Headers:
        """Write a response body to `target` atomically; return the response headers."""
        partial = target.with_name(f".{target.name}.part")
        try:
            with self._http.stream("GET", path, params=_without_none(query)) as answer:
                _raise_problem(answer)
                with partial.open("wb") as file:
                    for chunk in answer.iter_bytes():
                        file.write(chunk)
            partial.replace(target)
        except httpx.HTTPError as error:
            raise self._no_response(error) from None
        except OSError as error:
            raise ClientError(f"{target} could not be written: {error.strerror}") from None
        finally:
            partial.unlink(missing_ok=True)
        return answer.headers

    def events(self, path: str) -> Generator[Message, None, None]:
        """Yield the events of a stream. A broken connection is resumed after the last received event.

        Raises:
            ClientError: the service refused the request, never responded, or was away for a minute.
        """
        last_id, last_seen = "", -GIVE_UP_SECONDS
        while True:
            try:
                for message in self._listen(path, last_id):
                    last_id, last_seen = message.id or last_id, time.monotonic()
                    yield message
            except httpx.HTTPError as error:
                if time.monotonic() - last_seen > GIVE_UP_SECONDS:
                    raise self._no_response(error) from None
            time.sleep(RECONNECT_SECONDS)

    def _listen(self, path: str, last_id: str) -> Iterator[Message]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        timeout = httpx.Timeout(IDLE_SECONDS, connect=CONNECT_SECONDS)
        with self._http.stream("GET", path, headers=headers, timeout=timeout) as answer:
            _raise_problem(answer)
            yield from _messages(answer.iter_lines())

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise self._no_response(error) from None
        _raise_problem(answer)
        return answer

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer = self._send(method, path, **request)
        try:
            value = answer.json()
        except ValueError:
            raise ClientError(f"{self.url} responded to {path} without JSON: is it an Atelier?") from None
        if not isinstance(value, dict):
            raise ClientError(f"{self.url} responded to {path} without a JSON object: is it an Atelier?")
        return value

    def _no_response(self, error: httpx.HTTPError) -> ClientError:
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ClientError(f"no service at {self.url}: start the service with `atelier up`, or name it with --url")
        return ClientError(f"{self.url} did not respond properly: {error or type(error).__name__}")


def _form(boundary: str, fields: Mapping[str, object], file: Iterable[bytes]) -> Iterator[bytes]:
    """Yield multipart/form-data (RFC 7578) in chunks."""
    for name, value in fields.items():
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
    yield f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="images"\r\n\r\n'.encode()
    yield from file
    yield f"\r\n--{boundary}--\r\n".encode()


def _without_none(query: dict[str, object]) -> dict[str, Any]:
    return {name: value for name, value in query.items() if value is not None}


def _raise_problem(answer: httpx.Response) -> None:
    """Raise an error response as text: an RFC 9457 problem, or the beginning of any other body.

    Raises:
        ClientError: the response is an error.
    """
    if answer.is_success:
        return
    answer.read()
    try:
        problem = answer.json()
        lines = [f"{problem['title']}: {problem['detail']}"]
        lines += [f"  {'.'.join(map(str, error['loc']))}: {error['msg']}" for error in problem.get("errors", ())]
    except (ValueError, KeyError, TypeError):
        lines = [f"{answer.status_code} {answer.reason_phrase}: {answer.text[:200]}"]
    raise ClientError("\n".join(lines))


def _messages(lines: Iterator[str]) -> Iterator[Message]:
    """Parse the event stream format (WHATWG HTML, 9.2.6), as far as JSON events need it."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name == "data" and name in fields else value
        elif not line and "data" in fields:
            yield Message(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}

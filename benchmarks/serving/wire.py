"""Many keep-alive connections on one thread: bytes out, answers in. `load` decides what is requested, and when.

No HTTP library: the client shares its cores with the service that it measures, so it reads only a status, a length and
the headers it was asked for.
"""

from __future__ import annotations

import hashlib
import re
import select
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

RECEIVE_BYTES = 1 << 18
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


class Answer(NamedTuple):
    """One answer; times on the monotonic clock, in seconds."""

    started: float
    seconds: float
    # 0: the connection broke before the answer was whole.
    status: int
    size: int
    # sha256 of the body in hexadecimal; empty unless requested.
    digest: str
    head: bytes


class Connection:
    """A socket and the answer that is being read from it.

    Args:
        digests: take each body's sha256.
    """

    def __init__(self, port: int, digests: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The number of the current request; -1: none.
        self.tag = -1
        self._digests = digests
        self.started = 0.0
        self._pending = b""
        self._reset()

    def _reset(self) -> None:
        self._head = b""
        self._size = 0
        # Bytes of the body, or of its current chunk, that are missing.
        self._left = 0
        self._chunked = False
        self._hash = hashlib.sha256() if self._digests else None

    def send(self, request: bytes, tag: int, started: float) -> None:
        """Send a request; they are small, so that the socket always takes them whole."""
        self.tag = tag
        self.started = started
        self.socket.sendall(request)

    def receive(self) -> tuple[int, Answer | None]:
        """Read what has arrived; return its bytes, and the answer if it is complete.

        Raises:
            ConnectionError: the other side closed.
        """
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("closed by the service")
        return len(data), self._finished() if self._feed(data) else None

    def broken(self) -> Answer:
        """Return an answer for a connection that broke."""
        return Answer(self.started, time.monotonic() - self.started, 0, 0, "", b"")

    def _finished(self) -> Answer:
        seconds = time.monotonic() - self.started
        digest = self._hash.hexdigest() if self._hash else ""
        answer = Answer(self.started, seconds, int(self._head[9:12]), self._size, digest, self._head)
        self.tag = -1
        self._reset()
        return answer

    def _feed(self, data: bytes) -> bool:
        if not self._head:
            self._pending += data
            end = self._pending.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._head, data, self._pending = self._pending[: end + 2], self._pending[end + 4 :], b""
            self._chunked = _CHUNKED.search(self._head) is not None
            length = _LENGTH.search(self._head)
            self._left = int(length[1]) if length else 0
        if self._chunked:
            return self._feed_chunks(data)
        self._take(data)
        return self._left == 0

    def _feed_chunks(self, data: bytes) -> bool:
        data = self._pending + data
        while True:
            if self._left:
                # A chunk's own line end is counted with it, and is no part of the body.
                taken = min(len(data), self._left - 2)
                if taken > 0:
                    self._take(data[:taken])
                    data = data[taken:]
                if self._left > 2 or len(data) < 2:
                    break
                data, self._left = data[2:], 0
            line, found, rest = data.partition(b"\r\n")
            if not found or (line == b"0" and len(rest) < 2):
                break
            if line == b"0":
                return True
            self._left, data = int(line, 16) + 2, rest
        self._pending = data
        return False

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        self._size += len(data)
        if self._hash:
            self._hash.update(data)


class Connections:
    """Open connections by what they are waiting for."""

    def __init__(self, port: int, digests: bool) -> None:
        self._port, self._digests = port, digests
        self._poll = select.epoll()
        self._all: dict[int, Connection] = {}
        self._idle: list[Connection] = []
        # Bytes that came in, headers included.
        self.received = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def busy(self) -> int:
        """Connections that wait for an answer."""
        return len(self._all) - len(self._idle)

    def send(self, request: bytes, tag: int, started: float) -> None:
        """Send on the connection that was idle for the shortest time, or on a new one."""
        connection = self._idle.pop() if self._idle else self._open()
        try:
            connection.send(request, tag, started)
        except ConnectionError:
            # No request was sent on it yet: it was closed for idleness.
            self._close(connection)
            self._open().send(request, tag, started)

    def answers(self, timeout: float) -> Iterator[tuple[int, Answer]]:
        """Wait up to `timeout` seconds for data, and yield each answer with its request's tag."""
        for number, _ in self._poll.poll(max(0.0, timeout)):
            connection = self._all[number]
            tag = connection.tag
            try:
                count, answer = connection.receive()
            except ConnectionError:
                self._close(connection)
                if tag >= 0:
                    yield tag, connection.broken()
                continue
            self.received += count
            if answer is not None:
                self._idle.append(connection)
                yield tag, answer

    def waiting(self, now: float) -> list[float]:
        """Return how long each unanswered request has waited."""
        return [now - connection.started for connection in self._all.values() if connection.tag >= 0]

    def close(self) -> None:
        """Close every connection, whatever it waits for."""
        for connection in list(self._all.values()):
            self._close(connection)
        self._poll.close()

    def _open(self) -> Connection:
        connection = Connection(self._port, self._digests)
        self._all[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _close(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        del self._all[connection.socket.fileno()]
        self._poll.unregister(connection.socket)
        connection.socket.close()

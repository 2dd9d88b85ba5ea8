"""Servers in processes of their own: start, wait, stop while another is measured, end."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

READY_SECONDS = 300.0
END_SECONDS = 10.0


class Service:
    """A server and whatever processes it started, in a process group of their own.

    Args:
        module: what to run, with its arguments; {port} becomes a free one.
        environment: added to this process's.
        log: where its output goes.
        probe: the path that answers 200 once it is ready.
    """

    def __init__(self, module: list[str], environment: Mapping[str, str], log: Path, probe: str) -> None:
        self.port = _free_port()
        self.log = log
        command = [sys.executable, "-m", *(word.replace("{port}", str(self.port)) for word in module)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **{k: v.replace("{port}", str(self.port)) for k, v in environment.items()}},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self._await(probe)
        except BaseException:
            self.end()
            raise

    @property
    def pid(self) -> int:
        """The server's own process."""
        return self._process.pid

    def cpu_seconds(self) -> tuple[float, float]:
        """Return the CPU seconds that its event loop, and all its threads together, have used so far."""
        process = Path(f"/proc/{self.pid}")
        return _cpu_seconds(process / "task" / str(self.pid) / "stat"), _cpu_seconds(process / "stat")

    def pause(self) -> None:
        """Stop it, so that it takes no time from the one that is measured."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue it."""
        os.killpg(self.pid, signal.SIGCONT)

    @contextmanager
    def alive(self) -> Iterator[Service]:
        """Continue it while the block runs."""
        self.resume()
        try:
            yield self
        finally:
            self.pause()

    def get(self, path: str) -> Reply:
        """Send one request.

        Raises:
            RuntimeError: the answer is not 200.
        """
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=READY_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:500]!r}")
        return Reply({name.lower(): value for name, value in answer.getheaders()}, body)

    def end(self) -> None:
        """End all of it."""
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Its children too, which may have outlived it.
            _kill_group(self.pid)
            self._process.wait()

    def _await(self, probe: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server ended before it was ready:\n{self.log.read_text()}")
            try:
                self.get(probe)
            except (OSError, RuntimeError, http.client.HTTPException):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the server was not ready after {READY_SECONDS:g} s:\n{self.log.read_text()}")


class Reply(NamedTuple):
    """An answer's headers, their names in lower case, and its body."""

    headers: dict[str, str]
    body: bytes


class Bench(NamedTuple):
    """Settings and helpers of all sections."""

    # A data directory, with version 1 of each model in it.
    folder: Path
    device: str
    threads: int
    models: tuple[str, ...]
    seconds: float
    rounds: int

    def weights(self, model: str) -> Path:
        """Return the file that the service and its peers load."""
        return self.folder / "models" / model / "1" / "generator.safetensors"

    @contextmanager
    def atelier(self, **settings: object) -> Iterator[Service]:
        """Run the service until every model is loaded; `settings` are further ones of its own, by name."""
        environment = {
            "ATELIER_DATA_DIR": str(self.folder),
            "ATELIER_PORT": "{port}",
            "ATELIER_THREADS": str(self.threads),
            "ATELIER_DEVICE": self.device,
            "ATELIER_MODEL": self.models[0],
            **{f"ATELIER_{name.upper()}": str(value) for name, value in settings.items()},
        }
        service = Service(["app.cli.serve"], environment, self.folder / "atelier.log", "/readyz")
        try:
            for model in self.models:
                service.get(f"/samples?model={model}")
            yield service
        finally:
            service.end()

    @contextmanager
    def peer(self, module: str, file: Path, *arguments: str) -> Iterator[Service]:
        """Run a module of this package that serves a peer, stopped until it is measured."""
        command = [f"benchmarks.serving.{module}", "--port", "{port}", "--file", str(file)]
        command += ["--device", self.device, "--threads", str(self.threads), *arguments]
        service = Service(command, {}, self.folder / f"{module}.log", "/health")
        try:
            service.pause()
            yield service
        finally:
            service.end()


def _cpu_seconds(stat: Path) -> float:
    """Add up time in user and in kernel mode (proc(5), fields 14 and 15; the second may contain spaces)."""
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return

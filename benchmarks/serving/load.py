"""The load generator, a process of its own: `run` and `start` are called by whoever measures, `main` is that process.

A plan goes in as JSON on standard input, what happened comes out as JSON on standard output.
"""

from __future__ import annotations

import gc
import json
import re
import resource
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from typing import Any

from benchmarks.serving.wire import Answer, Connections

# Seeds have 13 digits, so that each request is as long as the next.
FIRST_SEEDS = 10**12
# However short a measurement is, each client gets this many answers in it, on average.
PER_CLIENT = 2
DRAIN_SECONDS = 120.0
_MODEL = re.compile(rb"\r\nx-atelier-model: *([^\r]+)", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LoadPlan:
    """What to ask for, of whom, how often. In `path` and `body`, {seed} becomes a new number each time.

    Without `rate` and `paths`, `clients` clients each ask again as soon as they were answered, for `seconds`. With
    `rate`, requests go out at so many per second whatever comes back, on up to `clients` connections. With `paths`,
    each of them is asked for once, by `clients` clients.
    """

    port: int
    clients: int = 1
    path: str = ""
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    rate: float | None = None
    paths: list[str] = field(default_factory=list)
    digests: bool = False
    first_seed: int = field(default_factory=lambda: FIRST_SEEDS + secrets.randbelow(FIRST_SEEDS))


@dataclass
class Outcome:
    """What happened, a column per fact, in the order of the answers; `began` and `ended` bound what is measured.

    Times are the monotonic clock's, which all processes of a machine share.
    """

    # Which of `paths` it was; 0 without them.
    tags: list[int] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    # 0: the connection broke.
    status: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    digest: list[str] = field(default_factory=list)
    model: list[str] = field(default_factory=list)
    retry_after: list[bool] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0
    # Bytes that came in between `began` and `ended`.
    received: int = 0
    # Share of a core that the generator itself took.
    cpu: float = 0.0
    # Requests that were due while every connection was busy.
    unsent: int = 0
    # With a rate: for how long those not answered by the end had waited.
    waiting: list[float] = field(default_factory=list)

    def add(self, tag: int, answer: Answer) -> None:
        """Note an answer."""
        model = _MODEL.search(answer.head)
        self.tags.append(tag)
        self.started.append(answer.started)
        self.seconds.append(answer.seconds)
        self.status.append(answer.status)
        self.size.append(answer.size)
        self.digest.append(answer.digest)
        self.model.append(model[1].decode() if model else "")
        self.retry_after.append(_RETRY.search(answer.head) is not None)

    def measured(self) -> list[int]:
        """Return the answers that came between `began` and `ended`."""
        return [i for i, at in enumerate(self.started) if self.began <= at + self.seconds[i] <= self.ended]

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.measured()) / (self.ended - self.began)

    @property
    def bytes_per_second(self) -> float:
        """Bytes per second, headers included."""
        return self.received / (self.ended - self.began)

    def latencies(self) -> list[float]:
        """Return the seconds that each measured answer took."""
        return [self.seconds[i] for i in self.measured()]

    def require(self, status: int) -> Outcome:
        """Return the outcome if every answer has this status: other answers are quicker to make and would flatter.

        Raises:
            RuntimeError: one has not.
        """
        if other := [got for got in self.status if got != status]:
            raise RuntimeError(f"{len(other)} of {len(self.status)} answers were not {status}: {sorted(set(other))}")
        return self


def start(plan: LoadPlan) -> Callable[[], Outcome]:
    """Start a plan; the result waits for its end."""
    command = [sys.executable, "-m", "benchmarks.serving.load"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(json.dumps(asdict(plan)).encode())
    process.stdin.close()
    process.stdin = None

    def finish() -> Outcome:
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the load generator ended with {process.returncode}")
        return Outcome(**json.loads(output))

    return finish


def run(plan: LoadPlan) -> Outcome:
    """Carry out a plan."""
    return start(plan)()


class _Load:
    """A running plan."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._requests = self._prepared()
        self._connections = Connections(plan.port, plan.digests)
        self._outcome = Outcome()

    def run(self) -> Outcome:
        plan, outcome = self._plan, self._outcome
        if plan.rate is not None:
            self._open(plan.rate)
        elif plan.paths:
            self._listed()
        else:
            self._closed()
        self._connections.close()
        return outcome

    def _closed(self) -> None:
        plan, outcome = self._plan, self._outcome
        self._fill()
        while len(outcome.status) < plan.clients:
            self._step()
        outcome.began, cpu = time.monotonic(), _cpu()
        before, received = len(outcome.status), self._connections.received
        while (
            time.monotonic() < outcome.began + plan.seconds or len(outcome.status) - before < PER_CLIENT * plan.clients
        ):
            self._step()
        outcome.ended = time.monotonic()
        outcome.cpu = (_cpu() - cpu) / (outcome.ended - outcome.began)
        outcome.received = self._connections.received - received
        # Others are measured next: the service must have nothing left to do.
        self._drain()

    def _listed(self) -> None:
        outcome = self._outcome
        outcome.began, cpu = time.monotonic(), _cpu()
        self._fill()
        while self._connections.busy:
            self._step()
        outcome.ended = time.monotonic()
        outcome.cpu = (_cpu() - cpu) / (outcome.ended - outcome.began)
        outcome.received = self._connections.received

    def _open(self, rate: float) -> None:
        plan, outcome, connections = self._plan, self._outcome, self._connections
        outcome.began, cpu = time.monotonic(), _cpu()
        outcome.ended = outcome.began + plan.seconds
        due = outcome.began
        while (now := time.monotonic()) < outcome.ended:
            while due <= now:
                if connections.busy < plan.clients:
                    # Counted from when it was due: a late load generator must not make the service look fast.
                    connections.send(*next(self._requests), started=due)
                else:
                    outcome.unsent += 1
                due += 1 / rate
            for tag, answer in connections.answers(due - time.monotonic()):
                outcome.add(tag, answer)
        outcome.cpu = (_cpu() - cpu) / plan.seconds
        outcome.received = connections.received
        outcome.waiting = connections.waiting(outcome.ended)

    def _fill(self) -> None:
        for _ in range(self._plan.clients):
            self._ask()

    def _ask(self) -> None:
        if (request := next(self._requests, None)) is not None:
            self._connections.send(*request, started=time.monotonic())

    def _step(self) -> None:
        for tag, answer in self._connections.answers(1.0):
            self._outcome.add(tag, answer)
            self._ask()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._connections.busy and time.monotonic() < deadline:
            for tag, answer in self._connections.answers(1.0):
                self._outcome.add(tag, answer)

    def _prepared(self) -> Iterator[tuple[bytes, int]]:
        plan = self._plan
        if plan.paths:
            yield from ((self._request(path, None), tag) for tag, path in enumerate(plan.paths))
            return
        template = self._request(plan.path, plan.body)
        for seed in count(plan.first_seed):
            yield template.replace(b"{seed}", b"%d" % seed), 0

    def _request(self, path: str, body: str | None) -> bytes:
        headers = {"Host": f"127.0.0.1:{self._plan.port}", **self._plan.headers}
        if body is not None:
            length = len(body.replace("{seed}", str(FIRST_SEEDS)))
            headers |= {"Content-Type": "application/json", "Content-Length": str(length)}
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", body or ""]).encode()


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Run the process."""
    plan: dict[str, Any] = json.loads(sys.stdin.buffer.read())
    gc.disable()
    sys.stdout.write(json.dumps(asdict(_Load(LoadPlan(**plan)).run())))


if __name__ == "__main__":
    main()

"""Latency under pressure: while a new version takes over, and at ten times the load that can be served."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from app.settings import AppSettings
from benchmarks.serving.load import LoadPlan, Outcome, run, start
from benchmarks.serving.models import publish
from benchmarks.serving.report import Report, ms, percentile, table
from benchmarks.serving.services import Bench, Service

CLIENTS = 16
SWAPS = 5
SWAP_EVERY = 5.0
SETTLE_SECONDS = 0.5
SWAP_P99 = 2.0

OVERLOAD = 10
CONNECTIONS = 8000
FLAT = 1.05
# The bound is one on the predicted wait: predictions may err by a tenth.
WAIT_MARGIN = 1.1
RECOVERY_SECONDS = 2.0
RECOVERED = 1.5
SAMPLE_SECONDS = 0.25
PROBE_SECONDS = 10.0


def swap(bench: Bench, report: Report) -> None:
    """Publish versions of a model that is requested by name, and compare latencies then with those before."""
    rows = []
    for model in bench.models:
        outcome, published = _swapped(bench, model)
        before, during, took = _waits(outcome, published)
        failed = sum(status != 200 for status in outcome.status)
        report.none(f"{model}, swaps under load, failed requests", failed, len(outcome.status))
        report.none(f"{model}, swaps under load, versions that never answered", SWAPS - len(took), SWAPS)
        ratio = percentile(during, 99) / percentile(before, 99)
        report.at_most(f"{model}, p99 during swaps over p99 before", ratio, SWAP_P99, "x")
        times = (percentile(before, 50), percentile(before, 99), percentile(during, 50), percentile(during, 99))
        rows.append((model, *map(ms, times), f"{median(took):.1f} s"))
    header = ("model", "p50 before", "p99 before", "p50 during", "p99 during", "from published to serving")
    table(f"{SWAPS} versions swapped in, {CLIENTS} clients, PNG grids of 25", header, rows)


def _swapped(bench: Bench, model: str) -> tuple[Outcome, dict[str, float]]:
    """Load the service while versions arrive; returns when each did."""
    models, aside = bench.folder / "models", bench.folder / "aside"
    first = max(int(folder.name) for folder in (models / model).iterdir()) + 1
    versions = range(first, first + SWAPS)
    for version in versions:
        publish(aside, model, version)
    published = {}
    with bench.atelier() as service:
        path = f"/samples?n=25&model={model}&seed={{seed}}"
        finish = start(LoadPlan(service.port, CLIENTS, path, seconds=SWAP_EVERY * (SWAPS + 2)))
        time.sleep(2 * SWAP_EVERY)
        for version in versions:
            (aside / model / str(version)).rename(models / model / str(version))
            published[f"{model}@{version}"] = time.monotonic()
            time.sleep(SWAP_EVERY)
        return finish(), published


def _waits(outcome: Outcome, published: Mapping[str, float]) -> tuple[list[float], list[float], list[float]]:
    """Return the seconds of the requests before all swaps, of those during one, and those that each swap took."""
    ends = [start + seconds for start, seconds in zip(outcome.started, outcome.seconds, strict=True)]
    first_answer: dict[str, float] = {}
    for ref, end in zip(outcome.model, ends, strict=True):
        first_answer.setdefault(ref, end)
    swaps = {at: first_answer[ref] for ref, at in published.items() if ref in first_answer}
    earliest = min(published.values())
    measured = outcome.measured()
    before = [outcome.seconds[i] for i in measured if ends[i] < earliest]
    during = [
        outcome.seconds[i]
        for i in measured
        if any(ends[i] >= at and outcome.started[i] <= end + SETTLE_SECONDS for at, end in swaps.items())
    ]
    return before, during, [end - at for at, end in swaps.items()]


def overload(bench: Bench, report: Report, seconds: float) -> None:
    """Send ten times as many requests as can be served."""
    model = bench.models[min(1, len(bench.models) - 1)]
    path = f"/samples?n=25&model={model}&seed={{seed}}"
    with bench.atelier() as service:
        capacity = run(LoadPlan(service.port, CLIENTS, path, seconds=bench.seconds)).require(200)
        rate = OVERLOAD * capacity.rate
        with _resident(service.pid) as memory:
            outcome = run(LoadPlan(service.port, CONNECTIONS, path, seconds=seconds, rate=rate))
        # Its connections are closed, and nothing is generated for clients that have left.
        recovery = _recovery(service, model, RECOVERED * percentile(capacity.latencies(), 99))
    answers = Counter(outcome.status)
    unkind = sum(s not in (200, 503) or (s == 503 and not r) for s, r in _pairs(outcome))
    # A refusal comes at once: a request that still waits was accepted, and has waited for at least this long.
    accepted = [outcome.seconds[i] for i in outcome.measured() if outcome.status[i] == 200] + outcome.waiting
    name = f"{model}, {OVERLOAD}x overload"
    report.none(f"{name}, answers other than 200, or 503 with Retry-After", unkind, len(outcome.status))
    report.none(f"{name}, requests that were due and not sent", outcome.unsent, outcome.unsent + len(outcome.status))
    report.at_most(
        f"{name}, accepted p99", percentile(accepted, 99), WAIT_MARGIN * AppSettings().max_wait_seconds, " s"
    )
    quarter = len(memory) // 4
    growth = median(memory[-quarter:]) / median(memory[quarter : 2 * quarter])
    report.at_most(f"{name}, resident memory, last quarter over second", growth, FLAT, "x")
    report.at_most(f"{name}, recovery", recovery, RECOVERY_SECONDS, " s")
    served = answers[200] / (outcome.ended - outcome.began)
    row = (
        model,
        f"{rate:,.0f}",
        f"{capacity.rate:,.1f}",
        f"{served:,.1f}",
        f"{answers[503]:,}",
        ms(percentile(accepted, 50)),
        ms(percentile(accepted, 99)),
        f"{max(memory) / 2**20:,.0f} MiB",
        f"{outcome.cpu:.0%}",
    )
    header = (
        "model", "sent/s", "served/s before", "served/s", "503", "accepted p50", "p99", "most memory",
        "load generator's CPU",
    )  # fmt: skip
    table(f"Overload, {seconds:g} s", header, [row])


def _pairs(outcome: Outcome) -> Iterator[tuple[int, bool]]:
    return zip(outcome.status, outcome.retry_after, strict=True)


def _recovery(service: Service, model: str, usual: float) -> float:
    """Return the seconds until a request is answered within what was usual under a load that can be served."""
    began = time.monotonic()
    while (now := time.monotonic()) < began + PROBE_SECONDS:
        outcome = run(LoadPlan(service.port, paths=[f"/samples?n=25&model={model}&seed={int(now * 1e6)}"]))
        if outcome.status == [200] and outcome.seconds[0] <= usual:
            break
    return time.monotonic() - began


@contextmanager
def _resident(pid: int) -> Iterator[list[int]]:
    """Sample the resident memory of a process, in bytes, at intervals."""
    samples: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_SECONDS):
            line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line)
            samples.append(int(line.split()[1]) * 1024)

    thread = threading.Thread(target=watch, name="memory")
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()

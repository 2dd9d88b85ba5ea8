"""Requests and images per second, and how long they take: against the peers, and against the work done alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from benchmarks.serving.alone import Alone, alone
from benchmarks.serving.load import LoadPlan, Outcome, run
from benchmarks.serving.models import MODELS
from benchmarks.serving.report import Report, ms, percentile, table
from benchmarks.serving.services import Bench, Service

CLIENTS = (1, 16, 64)
JUDGED = 16
TIMES_PEER = {"mlp": 3.0, "dcgan-64": 2.0, "dcgan-128": 2.0}
NPY_SHARE, PNG_SHARE = 0.9, 0.8
OVERHEAD_MS = 1.0
CACHED_SHARE = 0.8
STREAM_CLIENTS = 4
# Per request as npy: little enough that what is under way when the time is up does not matter.
STREAM_IMAGES = {"mlp": 1024, "dcgan-64": 64, "dcgan-128": 32}
# Images per PNG: the default, and where a request itself costs more than its images, many.
GRIDS = {"mlp": (25, 400), "dcgan-64": (25,), "dcgan-128": (25,)}
TUNING_SECONDS = 3.0
REPEAT_CLIENTS = 16
# Settings of LitServe that are tried; the best serves.
LITSERVE: tuple[tuple[str, ...], ...] = (
    ("--batch", "4", "--batch-timeout", "0.001"),
    ("--batch", "16", "--batch-timeout", "0.002"),
    ("--batch", "16", "--batch-timeout", "0.02"),
    ("--batch", "16", "--batch-timeout", "0.002", "--fast-queue"),
)


class Contender(NamedTuple):
    """A running service and its request for a PNG grid of 25 images."""

    name: str
    service: Service
    path: str
    body: str | None = None

    def load(self, clients: int, seconds: float) -> Outcome:
        """Load this service while the others are stopped."""
        with self.service.alive():
            plan = LoadPlan(self.service.port, clients, self.path, self.body, seconds=seconds)
            return run(plan).require(200)


@dataclass
class Rounds:
    """Results of the rounds of one contender."""

    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Add a round."""
        self.rates.append(outcome.rate)
        self.latencies += outcome.latencies()
        self.cpu.append(outcome.cpu)

    @property
    def p99(self) -> float:
        """Seconds."""
        return percentile(self.latencies, 99)

    def row(self, *labels: str) -> tuple[str, ...]:
        """Return a row of the table."""
        share = f"{median(self.cpu):.0%}"
        return (*labels, f"{median(self.rates):,.1f}", ms(percentile(self.latencies, 50)), ms(self.p99), share)


def against_peers(bench: Bench, report: Report) -> None:
    """Compare with the peers at several numbers of clients, in turns."""
    rows = []
    for model in bench.models:
        with bench.atelier() as service, _peers(bench, model) as peers:
            service.pause()
            contenders = [Contender("atelier", service, f"/samples?n=25&model={model}&seed={{seed}}"), *peers]
            for clients in CLIENTS:
                found = _in_turns(bench, contenders, clients)
                rows += [rounds.row(model, str(clients), name) for name, rounds in found.items()]
                if clients == JUDGED:
                    _judge(model, found, report)
            service.resume()
    header = ("model", "clients", "served by", "requests/s", "p50", "p99", "load generator's CPU")
    table("PNG grids of 25, distinct seeds", header, rows)


def _judge(model: str, found: Mapping[str, Rounds], report: Report) -> None:
    ours, *peers = found.items()
    name, peer = max(peers, key=lambda item: median(item[1].rates))
    ratio = median(a / b for a, b in zip(ours[1].rates, peer.rates, strict=True))
    report.at_least(f"{model}, {JUDGED} clients, requests/s over {name}", ratio, TIMES_PEER[model], "x")
    report.at_most(f"{model}, {JUDGED} clients, p99 over {name}", ours[1].p99 / peer.p99, 1.0, "x")


def _in_turns(bench: Bench, contenders: list[Contender], clients: int) -> dict[str, Rounds]:
    found = {contender.name: Rounds() for contender in contenders}
    for turn in range(bench.rounds):
        # Every other round in reverse order, so that no contender always follows the same one.
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            found[contender.name].add(contender.load(clients, bench.seconds))
    return found


@contextmanager
def _peers(bench: Bench, model: str) -> Iterator[list[Contender]]:
    """Run both peers, each at the best of its settings, at the number of clients that is judged."""
    with ExitStack() as stack:
        plain = stack.enter_context(bench.peer("peers", bench.weights(model), "plain", "--model", model))
        routes = [Contender(f"FastAPI, {path}", plain, f"{path}?seed={{seed}}") for path in ("/threads", "/loop")]
        best = max(routes, key=_tried)
        settings = max(LITSERVE, key=lambda some: _tried_litserve(bench, model, some))
        litserve = stack.enter_context(_litserve(bench, model, settings))
        yield [best, litserve]


@contextmanager
def _litserve(bench: Bench, model: str, settings: tuple[str, ...]) -> Iterator[Contender]:
    with bench.peer("peers_litserve", bench.weights(model), "--model", model, *settings) as service:
        yield Contender(f"LitServe {' '.join(settings)}", service, "/predict", '{"seed": {seed}}')


def _tried_litserve(bench: Bench, model: str, settings: tuple[str, ...]) -> float:
    with _litserve(bench, model, settings) as contender:
        return _tried(contender)


def _tried(contender: Contender) -> float:
    rate = contender.load(JUDGED, TUNING_SECONDS).rate
    print(f"  tried {contender.name}: {rate:.1f} requests/s", flush=True)
    return rate


def against_itself(bench: Bench, report: Report) -> None:
    """Compare with batches and encoder alone, images per second."""
    rows = []
    with bench.atelier() as service, alone(bench.folder, bench.device, bench.threads) as reference:
        for model in bench.models:
            for count in GRIDS[model]:
                paces = [_pace(bench, service, reference, model, count) for _ in range(bench.rounds)]
                if count == GRIDS[model][0]:
                    share = median(pace.npy / pace.batches for pace in paces)
                    report.at_least(f"{model}, npy over raw batches", share, NPY_SHARE)
                least = [min(pace.batches, pace.encoder) for pace in paces]
                share = median(pace.png / bound for pace, bound in zip(paces, least, strict=True))
                report.at_least(f"{model}, PNG grids of {count} over min(raw batches, encoder)", share, PNG_SHARE)
                *rates, loop, every = (median(column) for column in zip(*paces, strict=True))
                cpu = f"{loop:.2f} ms + {every - loop:.2f} ms"
                rows.append((model, f"{count}", *(f"{rate:,.0f}" if rate else "-" for rate in rates), cpu))
    header = (
        "model", "grids of", "CUDA-graph replays", "raw batches", "encoder, one thread", "npy", "PNG grids",
        "CPU per grid: event loop + other threads",
    )  # fmt: skip
    table("Images per second", header, rows)


class Pace(NamedTuple):
    """Results of one round: images per second, and processor time per PNG grid."""

    # Of CUDA graphs, with nothing copied; 0 on a CPU.
    replays: float
    batches: float
    encoder: float
    npy: float
    png: float
    # Milliseconds of the event loop's thread per PNG grid.
    loop: float
    # Milliseconds of all threads per PNG grid.
    all: float


def _pace(bench: Bench, service: Service, reference: Alone, model: str, count: int) -> Pace:
    seconds = bench.seconds
    path = f"/samples?model={model}&seed={{seed}}"
    service.pause()
    replays = reference.measure("replay", model, seconds).per_second if bench.device == "cuda" else 0.0
    batches = reference.measure("batch", model, seconds).per_second
    encoder = reference.measure("encode", model, seconds / 2).per_second
    service.resume()
    npy = run(LoadPlan(service.port, STREAM_CLIENTS, f"{path}&format=npy&n={STREAM_IMAGES[model]}", seconds=seconds))
    streamed = npy.require(200).bytes_per_second / MODELS[model].pixels
    before = service.cpu_seconds()
    png = run(LoadPlan(service.port, JUDGED, f"{path}&n={count}", seconds=seconds)).require(200)
    cpu = [(b - a) / len(png.status) * 1e3 for a, b in zip(before, service.cpu_seconds(), strict=True)]
    return Pace(replays, batches, encoder, streamed, count * png.rate, *cpu)


def one_client(bench: Bench, report: Report) -> None:
    """Compare one client's wait with latents + batch + encode alone, in turns."""
    rows = []
    with bench.atelier() as service, alone(bench.folder, bench.device, bench.threads) as reference:
        for model in bench.models:
            served, direct = [], []
            path = f"/samples?n=25&model={model}&seed={{seed}}"
            # Short rounds, so that other load affects both alike.
            for _ in range(4 * bench.rounds):
                served += run(LoadPlan(service.port, 1, path, seconds=bench.seconds / 4)).require(200).latencies()
                service.pause()
                direct += reference.measure("request", model, bench.seconds / 4).seconds
                service.resume()
            over = (median(served) - median(direct)) * 1e3
            report.at_most(f"{model}, one client, p50 above latents + batch + encode", over, OVERHEAD_MS, " ms")
            times = (median(served), percentile(served, 99), median(direct), percentile(direct, 99))
            rows.append((model, *map(ms, times)))
    header = ("model", "served, p50", "p99", "latents + batch + encode alone, p50", "p99")
    table("One client, PNG grids of 25", header, rows)


def repeats(bench: Bench, report: Report) -> None:
    """Compare identical requests, whole and revalidated, with a route that answers with constant bytes."""
    model = bench.models[0]
    path = f"/samples?n=25&model={model}@1&seed=7"
    with bench.atelier() as service:
        reply = service.get(path)
        body = bench.folder / "constant"
        body.write_bytes(reply.body)
        with bench.peer("peers", body, "constant") as constant:
            tag = {"If-None-Match": reply.headers["etag"]}
            constants, wholes, not_modified = Rounds(), Rounds(), Rounds()
            for _ in range(bench.rounds):
                with constant.alive():
                    constants.add(_repeated(constant, path, bench.seconds, 200))
                wholes.add(_repeated(service, path, bench.seconds, 200))
                not_modified.add(_repeated(service, path, bench.seconds, 304, tag))
    for name, rounds in (("200 from memory", wholes), ("304", not_modified)):
        share = median(a / b for a, b in zip(rounds.rates, constants.rates, strict=True))
        report.at_least(f"repeats, {name} over constant bytes, requests/s", share, CACHED_SHARE)
    named = {"FastAPI, constant bytes": constants, "atelier, 200 from memory": wholes, "atelier, 304": not_modified}
    header = ("served by", "requests/s", "p50", "p99", "load generator's CPU")
    title = f"One request of {len(reply.body):,} bytes repeated, {REPEAT_CLIENTS} clients"
    table(title, header, [rounds.row(name) for name, rounds in named.items()])


def _repeated(
    service: Service, path: str, seconds: float, status: int, headers: dict[str, str] | None = None
) -> Outcome:
    return run(LoadPlan(service.port, REPEAT_CLIENTS, path, headers=headers or {}, seconds=seconds)).require(status)

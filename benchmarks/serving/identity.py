"""The same bytes under any load: thousands of mixed requests at once, and each of them again, alone.

Meanwhile versions are published, so that names change what they mean, and memory is too small for all that is asked
for. Alone means: one at a time, in another process of the service, which remembers no answer of the first.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from benchmarks.serving.load import Outcome, Plan, run
from benchmarks.serving.models import MODELS, publish
from benchmarks.serving.report import Report, table
from benchmarks.serving.services import Bench
from models.pictures import grid_size

CLIENTS = 64
LARGEST = 200
PATIENCE_SECONDS = 600
MODEL_WEIGHTS = {"mlp": 6, "dcgan-64": 3, "dcgan-128": 1}
FORMAT_WEIGHTS = {"png": 10, "npy": 4, "jpeg": 2, "zip": 2, "webp": 2}
SLOW_PIXELS = 1 << 20
"""Larger grids are asked for as PNG: the slower formats would make this a benchmark of their encoders."""
PINNED, REPEATED, TRUNCATED, ARRANGED = 0.02, 0.1, 0.3, 0.3
"""Shares of the requests that name an old version, repeat a recent one, have a psi, have an nrow or a scale."""
RECENT = 100
FIRST_VERSIONS = 2
PUBLISH_SECONDS = 10.0
VERSIONS = 8


@dataclass(frozen=True)
class Ask:
    """A request. Without a version, whichever is served: the answer tells."""

    model: str
    version: int | None
    parameters: tuple[tuple[str, object], ...]

    @property
    def path(self) -> str:
        """What to ask for."""
        ref = self.model if self.version is None else f"{self.model}@{self.version}"
        return f"/samples?{urlencode([('model', ref), *self.parameters])}"

    def answered_by(self, ref: str) -> Ask:
        """Give the request that names the version which answered."""
        return replace(self, version=int(ref.partition("@")[2]))


def identity(bench: Bench, report: Report, requests: int) -> None:
    """Compare every answer under load with the one taken alone."""
    asks = mixed(bench.models, requests)
    for model in bench.models:
        for version in range(2, FIRST_VERSIONS + 1):
            publish(bench.folder / "models", model, version)
    # Who is turned away gives nothing to compare: `overload` is about that.
    settings = {"loaded_bytes": _too_little(bench), "max_wait_seconds": PATIENCE_SECONDS}
    with bench.atelier(**settings) as service, _publishing(bench):
        crowd = run(Plan(service.port, CLIENTS, paths=[ask.path for ask in asks], digests=True))
        evictions = service.log.read_text().count(" makes room for ")
    answered = _answered(asks, crowd)
    references = _alone(bench, {ask for ask, _ in answered})
    wrong = [ask for ask, digest in answered if references[ask] != digest]
    for ask in wrong[:5]:
        print(f"  differs: {ask.path}")
    report.none("mixed requests, answers that differ from those taken alone", len(wrong), len(answered))
    report.none("mixed requests, not answered with 200", requests - len(answered), requests)
    refs = sorted(set(crowd.model) - {""})
    row = (f"{requests:,}", f"{crowd.ended - crowd.began:,.0f} s", str(len(refs)), str(evictions), f"{crowd.cpu:.0%}")
    header = ("requests", "took", "versions that answered", "evictions", "load generator's CPU")
    table(f"{CLIENTS} clients, n from 1 to {LARGEST}, mixed", header, [row])


def _too_little(bench: Bench) -> int:
    """Give the bytes that hold one version of each model and room to load another, but not all that is asked for."""
    with bench.atelier() as service:
        sizes = [int(size) for size in re.findall(r"@\d+ is loaded: (\d+) bytes", service.log.read_text())]
    return sum(sizes) + max(sizes)


def _answered(asks: list[Ask], outcome: Outcome) -> list[tuple[Ask, str]]:
    """Pair what was asked, with the version that answered, with the digest of the answer."""
    return [
        (asks[tag].answered_by(ref), digest)
        for tag, status, ref, digest in zip(outcome.tags, outcome.status, outcome.model, outcome.digest, strict=True)
        if status == 200
    ]


def _alone(bench: Bench, asks: set[Ask]) -> dict[Ask, str]:
    # Version by version, so that each is loaded once.
    ordered = sorted(asks, key=lambda ask: (ask.model, ask.version or 0))
    with bench.atelier() as service:
        outcome = run(Plan(service.port, 1, paths=[ask.path for ask in ordered], digests=True)).require(200)
    return {ordered[tag]: digest for tag, digest in zip(outcome.tags, outcome.digest, strict=True)}


@contextmanager
def _publishing(bench: Bench) -> Iterator[None]:
    """Publish versions meanwhile, of one model after the other."""
    over = threading.Event()

    def publish_them() -> None:
        for version in range(FIRST_VERSIONS + 1, VERSIONS + 1):
            for model in bench.models:
                if over.wait(PUBLISH_SECONDS / len(bench.models)):
                    return
                publish(bench.folder / "models", model, version)

    thread = threading.Thread(target=publish_them, name="publisher")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def mixed(models: tuple[str, ...], count: int) -> list[Ask]:
    """Draw requests, the same ones each time."""
    dice = random.Random(0)
    asks: list[Ask] = []
    while len(asks) < count:
        if asks and dice.random() < REPEATED:
            asks.append(dice.choice(asks[-RECENT:]))
        else:
            asks.append(_drawn(dice, models))
    return asks


def _drawn(dice: random.Random, models: tuple[str, ...]) -> Ask:
    model = dice.choices(models, [MODEL_WEIGHTS[model] for model in models])[0]
    # As many requests from 1 to 10 as from 20 to 200: small ones are what shares tiles.
    n = min(LARGEST, int((LARGEST + 1) ** dice.random()))
    parameters: dict[str, object] = {"n": n, "seed": dice.getrandbits(63)}
    if dice.random() < TRUNCATED:
        parameters["psi"] = dice.choice((0.0, 0.5, 0.7, 1.0, 1.5))
    container = dice.choices(list(FORMAT_WEIGHTS), list(FORMAT_WEIGHTS.values()))[0]
    if container not in ("npy", "zip"):
        if dice.random() < ARRANGED:
            parameters["nrow"] = dice.randint(1, n)
            parameters["scale"] = dice.choice((1, 1, 2, 3))
        if not _small(model, parameters):
            container = "png"
            parameters.pop("scale", None)
            parameters.pop("nrow", None)
    version = dice.randint(1, FIRST_VERSIONS) if dice.random() < PINNED else None
    return Ask(model, version, (*parameters.items(), ("format", container)))


def _small(model: str, parameters: dict[str, object]) -> bool:
    n, nrow, scale = (parameters.get(name) for name in ("n", "nrow", "scale"))
    assert isinstance(n, int)
    assert nrow is None or isinstance(nrow, int)
    height, width = grid_size(n, MODELS[model].size, MODELS[model].size, nrow, scale if isinstance(scale, int) else 1)
    return height * width <= SLOW_PIXELS

"""The same bytes under any load: thousands of mixed requests at once, and each of them again, alone.

Meanwhile versions are published, so that names change their meaning, and memory is too small for all versions that are
requested. Alone means one at a time, in another process of the service, which has cached nothing of the first.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from benchmarks.serving.load import LoadPlan, Outcome, run
from benchmarks.serving.models import MODELS, publish
from benchmarks.serving.report import Report, table
from benchmarks.serving.services import Bench
from models.pictures import grid_size

CLIENTS = 64
LARGEST = 200
PATIENCE_SECONDS = 600
MODEL_WEIGHTS = {"mlp": 6, "dcgan-64": 3, "dcgan-128": 1}
FORMAT_WEIGHTS = {"png": 10, "npy": 4, "jpeg": 2, "zip": 2, "webp": 2}
# Larger grids are requested as PNG: the slower formats would make this a benchmark of their encoders.
SLOW_PIXELS = 1 << 20
# Shares of the requests that name an old version, repeat a recent one, have a psi, have an nrow or a scale.
PINNED, REPEATED, TRUNCATED, ARRANGED = 0.02, 0.1, 0.3, 0.3
RECENT = 100
FIRST_VERSIONS = 2
PUBLISH_SECONDS = 10.0
VERSIONS = 8


@dataclass(frozen=True)
class MixedRequest:
    """A request for samples. Without a version, the response names the one that served it."""

    model: str
    version: int | None
    parameters: tuple[tuple[str, object], ...]

    @property
    def path(self) -> str:
        """Path and query."""
        ref = self.model if self.version is None else f"{self.model}@{self.version}"
        return f"/samples?{urlencode([('model', ref), *self.parameters])}"

    def answered_by(self, ref: str) -> MixedRequest:
        """Return the same request with the version that answered."""
        return replace(self, version=int(ref.partition("@")[2]))


def identity(bench: Bench, report: Report, requests: int) -> None:
    """Compare every answer under load with the one taken alone."""
    planned = mixed(bench.models, requests)
    for model in bench.models:
        for version in range(2, FIRST_VERSIONS + 1):
            publish(bench.folder / "models", model, version)
    # Requests that are refused give nothing to compare: `overload` measures those.
    settings = {"loaded_bytes": _too_little(bench), "max_wait_seconds": PATIENCE_SECONDS}
    with bench.atelier(**settings) as service, _publishing(bench):
        crowd = run(LoadPlan(service.port, CLIENTS, paths=[request.path for request in planned], digests=True))
        evictions = service.log.read_text().count(" makes room for ")
    answered = _answered(planned, crowd)
    references = _alone(bench, {request for request, _ in answered})
    wrong = [request for request, digest in answered if references[request] != digest]
    for request in wrong[:5]:
        print(f"  differs: {request.path}")
    report.none("mixed requests, answers that differ from those taken alone", len(wrong), len(answered))
    report.none("mixed requests, not answered with 200", requests - len(answered), requests)
    refs = sorted(set(crowd.model) - {""})
    row = (f"{requests:,}", f"{crowd.ended - crowd.began:,.0f} s", str(len(refs)), str(evictions), f"{crowd.cpu:.0%}")
    header = ("requests", "took", "versions that answered", "evictions", "load generator's CPU")
    table(f"{CLIENTS} clients, n from 1 to {LARGEST}, mixed", header, [row])


def _too_little(bench: Bench) -> int:
    """Return the bytes of one version of each model and of loading another: too little for all that are requested."""
    with bench.atelier() as service:
        sizes = [int(size) for size in re.findall(r"@\d+ is loaded: (\d+) bytes", service.log.read_text())]
    return sum(sizes) + max(sizes)


def _answered(requests: list[MixedRequest], outcome: Outcome) -> list[tuple[MixedRequest, str]]:
    """Pair each request, with the version that answered, with the digest of the response."""
    return [
        (requests[tag].answered_by(ref), digest)
        for tag, status, ref, digest in zip(outcome.tags, outcome.status, outcome.model, outcome.digest, strict=True)
        if status == 200
    ]


def _alone(bench: Bench, requests: set[MixedRequest]) -> dict[MixedRequest, str]:
    # Version by version, so that each is loaded once.
    ordered = sorted(requests, key=lambda request: (request.model, request.version or 0))
    with bench.atelier() as service:
        outcome = run(LoadPlan(service.port, 1, paths=[request.path for request in ordered], digests=True)).require(200)
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


def mixed(models: tuple[str, ...], count: int) -> list[MixedRequest]:
    """Draw requests, the same ones each time."""
    dice = random.Random(0)
    requests: list[MixedRequest] = []
    while len(requests) < count:
        if requests and dice.random() < REPEATED:
            requests.append(dice.choice(requests[-RECENT:]))
        else:
            requests.append(_drawn(dice, models))
    return requests


def _drawn(dice: random.Random, models: tuple[str, ...]) -> MixedRequest:
    model = dice.choices(models, [MODEL_WEIGHTS[model] for model in models])[0]
    # As many requests from 1 to 10 as from 20 to 200: small ones share batches.
    n = min(LARGEST, int((LARGEST + 1) ** dice.random()))
    parameters: dict[str, object] = {"n": n, "seed": dice.getrandbits(63)}
    if dice.random() < TRUNCATED:
        parameters["psi"] = dice.choice((0.0, 0.5, 0.7, 1.0, 1.5))
    image_format = dice.choices(list(FORMAT_WEIGHTS), list(FORMAT_WEIGHTS.values()))[0]
    if image_format not in ("npy", "zip"):
        if dice.random() < ARRANGED:
            parameters["nrow"] = dice.randint(1, n)
            parameters["scale"] = dice.choice((1, 1, 2, 3))
        if not _small(model, parameters):
            image_format = "png"
            parameters.pop("scale", None)
            parameters.pop("nrow", None)
    version = dice.randint(1, FIRST_VERSIONS) if dice.random() < PINNED else None
    return MixedRequest(model, version, (*parameters.items(), ("format", image_format)))


def _small(model: str, parameters: dict[str, object]) -> bool:
    n, nrow, scale = (parameters.get(name) for name in ("n", "nrow", "scale"))
    assert isinstance(n, int)
    assert nrow is None or isinstance(nrow, int)
    height, width = grid_size(n, MODELS[model].size, MODELS[model].size, nrow, scale if isinstance(scale, int) else 1)
    return height * width <= SLOW_PIXELS

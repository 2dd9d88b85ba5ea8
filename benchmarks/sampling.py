"""One client's wait for a grid, against the work in it done alone: `python -m benchmarks.sampling`.

`GET /samples?n=25` of the tutorial's MLP generator over loopback HTTP, the service in a process of its own, one
keep-alive connection, a new seed each time; in turns with latents + forward pass + grid + PNG in this process, on the
same number of threads. The medians should lie within 3 ms of each other.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn

from models.checkpoint import generator_bytes
from models.config import GeneratorConfig, Latent, MlpGenerator
from models.latents import latents
from models.manifest import MANIFEST, WEIGHTS, FileEntry, Manifest, Provenance
from models.networks import build_generator
from models.pictures import encode, grid, to_uint8

TARGET_MS = 3.0
COUNT = 25
CONFIG = GeneratorConfig(size=28, channels=1, latent=Latent(), network=MlpGenerator())
READY_SECONDS = 120


def publish(root: Path, generator: nn.Module) -> None:
    """Write the generator into a model directory as `bench@1`."""
    data = generator_bytes(generator)
    manifest = Manifest(
        model="bench",
        version=1,
        created_at=datetime.now(UTC),
        files={WEIGHTS: FileEntry.of(data)},
        generator=CONFIG,
        provenance=Provenance(preset="mlp-mnist", dataset="mnist", kimg=0, seed=0),
    )
    folder = root / "bench" / "1"
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(data)
    (folder / MANIFEST).write_bytes(manifest.to_json())


@contextmanager
def service(data_dir: Path, threads: int) -> Iterator[http.client.HTTPConnection]:
    """Run the service; gives a connection to it once the model is warm."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "ATELIER_DATA_DIR": str(data_dir),
        "ATELIER_PORT": str(port),
        "ATELIER_THREADS": str(threads),
        "ATELIER_DEVICE": "cpu",
    }
    with (data_dir / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "app.serve"], env=environment, stdout=log, stderr=log)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        _await_ready(connection, process, data_dir / "log")
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait()


def _await_ready(connection: http.client.HTTPConnection, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended before it was ready:\n{log.read_text()}")
        try:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
        except OSError:
            connection.close()
        time.sleep(0.1)
    raise RuntimeError(f"the service was not ready after {READY_SECONDS} s:\n{log.read_text()}")


def request(connection: http.client.HTTPConnection, seed: int) -> bytes:
    """Ask for a grid."""
    connection.request("GET", f"/samples?n={COUNT}&seed={seed}")
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {body.decode()}")
    return body


def alone(generator: nn.Module, seed: int) -> bytes:
    """Do the work of a request and nothing else."""
    z = latents(CONFIG.latent, seed, np.arange(COUNT))
    with torch.inference_mode():
        x = generator(torch.from_numpy(z)).numpy()
    return encode(grid(to_uint8(x).transpose(0, 2, 3, 1)), "png")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads, there and here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    generator = build_generator(CONFIG).eval()
    served: list[float] = []
    direct: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        publish(Path(folder) / "models", generator)
        with service(Path(folder), options.threads) as connection:
            for seed in range(options.rounds + 20):
                started = time.perf_counter()
                request(connection, seed)
                between = time.perf_counter()
                alone(generator, seed)
                if seed >= 20:
                    served.append(between - started)
                    direct.append(time.perf_counter() - between)
    over = (statistics.median(served) - statistics.median(direct)) * 1e3
    for name, seconds in (("GET /samples?n=25", served), ("latents + forward + PNG alone", direct)):
        p99 = statistics.quantiles(seconds, n=100)[98]
        print(f"{name:30} median {statistics.median(seconds) * 1e3:6.2f} ms   p99 {p99 * 1e3:6.2f} ms")
    verdict = "met" if over <= TARGET_MS else "MISSED"
    print(f"{'difference':30} {over:13.2f} ms   target: at most {TARGET_MS:g} ms: {verdict}")


if __name__ == "__main__":
    main()

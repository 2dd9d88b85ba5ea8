"""Import of a large archive, against a Pillow loop over the same images.

    python -m benchmarks.imports

Writes a 2 GB zip of 20,000 JPEGs, sends it to the service over loopback HTTP, and has a worker prepare it. The
reference, in the same run, before and after, decodes, crops and resizes images of the same archive on a thread per
core, and discards them. Bounds: 3 GB of disk for the archive and the prepared set, 1 GB of memory for the service and
for the preparing process, and at least half the speed of the Pillow loop.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.cli.client import Client, ClientError
from app.cli.pack import chunks_of
from app.cli.up import free_port
from models.datasets.uploads import folder_size
from models.records import Records
from models.settings import available_cores
from worker.jobs.datasets import DatasetJobs
from worker.jobs.notifier import Notifier
from worker.settings import WorkerSettings

IMAGES = 20_000
IMAGE_BYTES = 100_000
DISTINCT = 100
CLASSES = 5
SAMPLE = 1000  # images of one Pillow loop
DISK_GB = 3.0
MEMORY_GB = 1.0
SHARE = 0.5


def make_archive(path: Path, count: int) -> None:
    """Write a zip of JPEGs of 100 kB, stored as photographs are: deflate gains nothing."""
    pictures = [photograph(seed) for seed in range(DISTINCT)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for n in range(count):
            data = pictures[n % DISTINCT]
            # Decoders ignore what follows a JPEG's end: it makes each file distinct.
            padding = n.to_bytes(4, "big").ljust(max(4, IMAGE_BYTES - len(data)), b"\0")
            archive.writestr(f"set/{n % CLASSES}/{n:05}.jpg", data + padding)


def photograph(seed: int) -> bytes:
    """Return a JPEG of 800x600 px with shapes and some noise, a little under 100 kB."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8)).resize(
        (800, 600), Image.Resampling.BICUBIC
    )
    grain = generator.normal(0, 9, (600, 800, 1))
    pixels = np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)
    for quality in range(85, 30, -5):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
        if buffer.tell() < IMAGE_BYTES:
            break
    return buffer.getvalue()


def pillow_loop(path: Path, size: int, threads: int) -> float:
    """Decode, crop and resize the first images of the archive; returns images per second."""
    lock = threading.Lock()
    with zipfile.ZipFile(path) as archive, ThreadPoolExecutor(threads) as pool:

        def process(name: str) -> None:
            with lock:
                data = archive.read(name)
            with Image.open(io.BytesIO(data)) as image:
                side = min(image.size)
                left, top = (image.width - side) // 2, (image.height - side) // 2
                square = image.convert("RGB").crop((left, top, left + side, top + side))
                np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))

        names = archive.namelist()[:SAMPLE]
        start = time.perf_counter()
        list(pool.map(process, names))
        return len(names) / (time.perf_counter() - start)


@contextmanager
def serve(data_dir: Path) -> Iterator[tuple[Client, int]]:
    """Run the service without its engine; yields a client and the id of the process."""
    port = free_port("127.0.0.1", 0)
    command = "-m uvicorn --factory app.main:create_app --lifespan off --log-level warning --port"
    environment = os.environ | {"ATELIER_DATA_DIR": str(data_dir)}
    process = subprocess.Popen([sys.executable, *command.split(), str(port)], env=environment)
    try:
        with Client(f"http://127.0.0.1:{port}", "") as client:
            _wait_until_ready(client)
            yield client, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(client: Client) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.get("/datasets/mnist-mini")
        except ClientError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


class PeakUsage:
    """Records the peak memory of matching processes and the peak size of a folder, in bytes."""

    def __init__(self, folder: Path, command: str) -> None:
        self.memory = 0
        self.disk = 0
        self._folder, self._command = folder, command
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._record)

    def __enter__(self) -> PeakUsage:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _record(self) -> None:
        while not self._stop.wait(0.2):
            self.disk = max(self.disk, folder_size(self._folder))
            self.memory = max([self.memory, *map(peak_memory, _processes(self._command))])


def _processes(command: str) -> list[int]:
    """Return the ids of processes whose command line contains `command`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def peak_memory(pid: int) -> int:
    """Read the peak resident memory of a process in bytes; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def prepare(records: Records, data_dir: Path) -> float:
    """Prepare the waiting data set as a worker does; returns seconds."""
    os.environ["ATELIER_DATA_DIR"] = str(data_dir)  # for the preparing process
    jobs = DatasetJobs(records, WorkerSettings(data_dir=data_dir), Notifier("redis://127.0.0.1:1/0"), threading.Event())
    start = time.perf_counter()
    jobs.work("benchmark")
    return time.perf_counter() - start


def measure(root: Path, count: int) -> dict[str, Any]:
    archive, data_dir = root / "images.zip", root / "data"
    make_archive(archive, count)
    print(f"archive: {archive.stat().st_size / 1e9:.2f} GB, {count:,} JPEGs of 800x600 px")
    uploads = data_dir / "uploads"
    with closing(Records(f"sqlite:///{data_dir / 'atelier.db'}")) as records:
        records.migrate()
        with serve(data_dir) as (client, pid):
            start = time.perf_counter()
            client.upload("/datasets", {"name": "large"}, chunks_of(archive, lambda _: None))
            sent = time.perf_counter() - start
            service = peak_memory(pid)
        before = pillow_loop(archive, 128, available_cores())
        with PeakUsage(uploads, "worker.jobs.prepare") as peak:
            seconds = prepare(records, data_dir)
        after = pillow_loop(archive, 128, available_cores())
        row = records.get_dataset("large")
    assert row is not None
    assert row.state == "ready", row.error
    assert (row.report["count"], row.report["size"]) == (count, 128)
    return {
        "seconds to send": sent,
        "seconds to prepare": seconds,
        "images per second": count / seconds,
        "Pillow loop's images per second": (before + after) / 2,
        "disk, GB": max(peak.disk, folder_size(uploads)) / 1e9,
        "service, GB of memory": service / 1e9,
        "preparation, GB of memory": peak.memory / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.images)
    for name, value in figures.items():
        print(f"{name:28}{value:10.2f}")
    share = figures["images per second"] / figures["Pillow loop's images per second"]
    print(f"{'share of the Pillow loop':28}{share:10.2f}   on {available_cores()} cores")
    memory = max(figures["service, GB of memory"], figures["preparation, GB of memory"])
    if figures["disk, GB"] > DISK_GB or memory > MEMORY_GB or share < SHARE:
        raise SystemExit("a bound was exceeded")


if __name__ == "__main__":
    main()

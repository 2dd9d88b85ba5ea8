"""Photographs of one's own: what a user gets from the service after some minutes, judged on held-out images.

    python -m benchmarks.photos --data flowers.zip --minutes 10 --seeds 0 1 2 --out results
    python -m benchmarks.photos --data flowers.zip --minutes 10 --who auto earlier lightweight-gan

`auto` uploads nine tenths of the images to a service with default settings and asks for `preset=auto` and a length that
takes the minutes at the speed of a probe; `earlier` asks for what `auto` chose until December 2026 (half of dcgan-64,
conditional). Both are sampled over HTTP. `lightweight-gan` trains the package of that name (1.2, which has to be on
PYTHONPATH with its requirements but for torch) with the defaults of its command line for as long on all cores; it wants
CUDA, so a shim sends its tensors to the CPU. All of them train at 64 px and are judged alike: 2,000 samples against the
tenth of the images with the smallest digests, which nobody trained on, in features of EfficientNet-Lite2 at 128 px.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any, Final

import httpx
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from app.cli.up import free_port
from models.pictures import encode, grid
from models.settings import available_cores
from worker.evaluation import metrics
from worker.frozen.efficientnet import load

SIZE: Final = 64
SAMPLES: Final = 2_000
WHO: Final = ("auto", "earlier", "lightweight-gan")
# A run of this length gives the speed; a third of it is still too slow by a third, as a run begins with its warm-up.
PROBE_KIMG: Final = 9.0
# The request that `auto` resolved to for colour images with classes on a CPU, before it had recipes for photographs.
EARLIER: Final[dict[str, Any]] = {
    "preset": "dcgan-64",
    "overrides": {
        "size": SIZE,
        "conditional": True,
        "generator.network.widths": [256, 128, 64, 32],
        "discriminator.network.widths": [32, 64, 128, 256],
        "augment.policy": ["color", "translation", "cutout"],
        "augment.p": 0.85,
        "augment.control": "adaptive",
    },
}

Pixels = NDArray[np.uint8]


class Photographs:
    """Images of a zip, split by the digests of their pixels."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg", ".png", ".webp"))]
            self._files = {name: archive.read(name) for name in names}
        pixels = {name: _pixels(data) for name, data in self._files.items()}
        order = sorted(names, key=lambda name: hashlib.sha256(pixels[name].tobytes()).digest())
        kept = round(len(order) / 10)
        self._taught = order[kept:]
        self.held_out = np.stack([pixels[name] for name in order[:kept]])
        self.taught = np.stack([pixels[name] for name in self._taught])

    def archive(self) -> bytes:
        """Return a zip of the images that are trained on."""
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in self._taught:
                archive.writestr(name, self._files[name])
        return buffer.getvalue()

    def unpack(self, folder: Path) -> None:
        """Write the images that are trained on into one folder."""
        for name in self._taught:
            (folder / PurePosixPath(name).name).write_bytes(self._files[name])


def _pixels(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.convert("RGB").crop((left, top, left + side, top + side))
        return np.asarray(square.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


@contextmanager
def service(folder: Path) -> Iterator[httpx.Client]:
    """Start everything as `atelier up` does, with default settings."""
    port = free_port("127.0.0.1", 0)
    environment = os.environ | {"ATELIER_DATA_DIR": str(folder), "ATELIER_PORT": str(port)}
    command = [sys.executable, "-c", "from app.cli.main import main; main()", "up"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600) as client:
            _wait(lambda: _is_ready(client))
            yield client
    finally:
        process.terminate()
        process.wait()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _wait(done: Any, seconds: float = 7200) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("the service did not get there in time")
        time.sleep(1)


def _train(client: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/train", json=body)
    answer.raise_for_status()
    address = f"/train/{answer.json()['id']}"
    _wait(lambda: client.get(address).json()["state"] in ("succeeded", "failed"))
    run: dict[str, Any] = client.get(address).json()
    if run["state"] != "succeeded":
        raise RuntimeError(run["error"])
    return run


def by_the_service(data: Photographs, who: str, minutes: float, seed: int) -> tuple[Pixels, dict[str, Any]]:
    """Train over HTTP; returns samples uint8 `[N, H, W, C]` and facts of the run."""
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as client:
        client.post("/datasets", data={"name": "photos"}, files={"file": data.archive()}).raise_for_status()
        _wait(lambda: client.get("/datasets/photos").json()["state"] != "preparing")
        request = {"preset": "auto"} if who == "auto" else EARLIER
        body = {**request, "dataset": "photos", "seed": seed}
        probe = _train(client, {**body, "model": "probe", "kimg": PROBE_KIMG})
        rate = probe["progress"]["images_per_second"]
        run = _train(client, {**body, "model": "photos", "kimg": round(rate * 60 * minutes / 1000, 1)})
        answer = client.get(
            "/samples", params={"model": run["published"][-1], "n": SAMPLES, "seed": 0, "format": "npy"}
        )
        answer.raise_for_status()
        facts = {
            "kimg": run["progress"]["kimg"],
            "images_per_second": run["progress"]["images_per_second"],
            "verdict": run["health"]["verdict"],
            "threads": run["resolved"]["threads"],
            "minutes": _minutes(run),
        }
        return np.load(io.BytesIO(answer.content)), facts


def _minutes(run: dict[str, Any]) -> float:
    started, ended = (np.datetime64(run[name].rstrip("Z")) for name in ("started_at", "ended_at"))
    return round(float((ended - started) / np.timedelta64(1, "s")) / 60, 1)


# The package asserts CUDA and calls `.cuda()`: everything stays on the CPU instead. Arguments: images, minutes, seed,
# file to write.
LIGHTWEIGHT_GAN: Final = """
import sys, time, types
import numpy as np, torch
folder, minutes, seed, target = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.manual_seed(seed)
torch.cuda.is_available = lambda: True
torch.Tensor.cuda = lambda self, *_: self
torch.nn.Module.cuda = lambda self, *_: self
from lightweight_gan import lightweight_gan as package
class OnCpu(types.ModuleType):
    def __getattr__(self, name):
        return getattr(torch, name)
    @staticmethod
    def device(*_):
        return torch.device("cpu")
package.torch = OnCpu("torch")
torch.cuda.is_available = lambda: False
trainer = package.Trainer(
    name="photos", results_dir=folder + "-results", models_dir=folder + "-models", batch_size=10, image_size=64,
    gradient_accumulate_every=4, attn_res_layers=[32], disc_output_size=1, aug_types=["cutout", "translation"],
    evaluate_every=10**9, save_every=10**9, num_workers=0, use_aim=False,
)
trainer.clear()
trainer.set_data_src(folder)
end = time.monotonic() + 60 * minutes
while time.monotonic() < end:
    trainer.train()
trainer.GAN.eval()
with torch.no_grad():
    images = torch.cat([trainer.GAN.GE(torch.randn(50, trainer.GAN.latent_dim)) for _ in range(40)])
pixels = images.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
np.save(target, pixels)
print(trainer.steps)
"""


def by_lightweight_gan(data: Photographs, minutes: float, seed: int) -> tuple[Pixels, dict[str, Any]]:
    """Train the package with the defaults of its command line."""
    with tempfile.TemporaryDirectory() as folder:
        images, target = Path(folder) / "images", Path(folder) / "samples.npy"
        images.mkdir()
        data.unpack(images)
        arguments = [str(images), str(minutes), str(seed), str(target)]
        done = subprocess.run(
            [sys.executable, "-c", LIGHTWEIGHT_GAN, *arguments], stdout=subprocess.PIPE, text=True, check=True
        )
        # Four batches of ten images are accumulated in each step.
        steps = int(done.stdout.split()[-1])
        return np.load(target), {"kimg": steps * 40 / 1000, "threads": available_cores(), "minutes": minutes}


class Judge:
    """Compares samples with held-out images."""

    def __init__(self, data: Photographs) -> None:
        self._network = load("lite2", torch.device("cpu"))
        self._held_out, self._taught = self._features(data.held_out), self._features(data.taught)

    @torch.no_grad()
    def _features(self, images: Pixels) -> torch.Tensor:
        batches = torch.split(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))), 50)
        return torch.cat([self._network.pooled(batch.float() / 127.5 - 1, 128) for batch in batches])

    def scores(self, images: Pixels | None) -> dict[str, float]:
        """Judge samples; None judges as many training images."""
        found = self._taught[:SAMPLES] if images is None else self._features(images)
        agreement = metrics.precision_recall(metrics.hyperspheres(self._held_out), metrics.hyperspheres(found))
        nearest = (metrics.nearest(each, self._taught) for each in (found, self._held_out))
        return {
            "frechet": metrics.frechet_distance(metrics.Moments.of(self._held_out), metrics.Moments.of(found)),
            "kid": metrics.kernel_distance(self._held_out, found).mean,
            **agreement._asdict(),
            "memorisation": 1.0 if images is None else metrics.smaller(*nearest),
        }


def main() -> None:
    """Run the comparison and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="zip of images")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--who", choices=WHO, nargs="+", default=list(WHO[:2]))
    parser.add_argument("--out", type=Path, default=Path("photos"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    data = Photographs(arguments.data)
    judge = Judge(data)
    rows: list[tuple[str, dict[str, float]]] = [("training images", judge.scores(None))]
    for who in arguments.who:
        found = []
        for seed in arguments.seeds:
            if who == "lightweight-gan":
                images, facts = by_lightweight_gan(data, arguments.minutes, seed)
            else:
                images, facts = by_the_service(data, who, arguments.minutes, seed)
            found.append(judge.scores(images))
            name = f"{arguments.data.stem}-{who}-{arguments.minutes:g}min-{seed}"
            (arguments.out / f"{name}.png").write_bytes(encode(grid(images[:25], nrow=5, scale=2), "png"))
            with (arguments.out / "photos.jsonl").open("a") as file:
                file.write(json.dumps({"name": name, **facts, **found[-1]}) + "\n")
            print(name, facts, {key: round(value, 3) for key, value in found[-1].items()}, flush=True)
        rows.append((who, {key: median(each[key] for each in found) for key in found[0]}))
    print("\n| median | " + " | ".join(rows[0][1]) + " |\n| --- |" + " --- |" * len(rows[0][1]))
    for who, scores in rows:
        print(f"| {who} | " + " | ".join(f"{value:.3g}" for value in scores.values()) + " |")


if __name__ == "__main__":
    main()

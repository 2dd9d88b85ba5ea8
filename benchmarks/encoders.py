"""Encoders of pictures beside each other, on grids like those served: `python -m benchmarks.encoders`.

What ships, Pillow and torchvision are always compared; OpenCV, imagecodecs and fpng where somebody has installed
`opencv-python-headless`, `imagecodecs` or `fpng-py`. The digits are painted by the starter; the colour images are
photos from `--photos FOLDER`, or else computed here. Times are processor time on one thread, medians, the encoders in
turns; lossless files are decoded and compared. "Hold-up" is how late another thread, such as an event loop, wakes while
the largest picture is encoded (90th percentile): as late as the encoder takes where it keeps the interpreter locked.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import statistics
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from models import pictures
from models.inference import run_generator
from models.inputs import make_inputs
from models.pictures import Pixels, grid
from models.store.local import LocalStore
from models.store.versions import STARTER
from models.store.weights import load_generator

# Side of an image and images in a grid: 332, 530, 652 and 1952 px wide.
COLOUR = ((64, 25), (64, 64), (128, 25), (128, 225))
PAUSE = 0.001
WAKES = 500


@dataclass(frozen=True)
class Encoder:
    """One way to encode; `text` tells whether it writes text chunks (None where the format has none)."""

    name: str
    encode: Callable[[Pixels], bytes]
    text: bool | None = None
    lossless: bool = True


def ours() -> Iterator[Encoder]:
    """What `/samples` uses."""
    yield Encoder("png, as shipped (ISA-L)", lambda picture: pictures.encode(picture, "png", {"seed": "7"}), True)
    yield Encoder("webp, as shipped (Pillow)", lambda picture: pictures.encode(picture, "webp"))
    yield Encoder("jpeg, as shipped (Pillow)", lambda picture: pictures.encode(picture, "jpeg"), lossless=False)


def pillow() -> Iterator[Encoder]:
    """Other settings of Pillow."""

    def encoder(name: str, format: str, text: bool | None = None, **options: Any) -> Encoder:  # noqa: A002
        def encode(picture: Pixels) -> bytes:
            buffer = io.BytesIO()
            Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(buffer, format, **options)
            return buffer.getvalue()

        return Encoder(f"{format}, Pillow, {name}", encode, text)

    for level in (6, 1):
        yield encoder(f"level {level}", "png", True, compress_level=level)
    yield encoder("run lengths (the fallback)", "png", True, compress_level=1, compress_type=zlib.Z_RLE)
    for method, quality in ((0, 75), (1, 20)):
        yield encoder(f"method {method}, quality {quality}", "webp", lossless=True, method=method, quality=quality)


def torchvision() -> Iterator[Encoder]:
    """`torchvision.io`; its JPEG has no full chroma."""
    from torchvision.io import encode_png

    def encode(picture: Pixels) -> bytes:
        data: bytes = encode_png(torch.from_numpy(picture.transpose(2, 0, 1)), 1).numpy().tobytes()
        return data

    yield Encoder("png, torchvision, level 1", encode, False)


def opencv() -> Iterator[Encoder]:
    """OpenCV, which wants its colours the other way round."""
    cv2 = importlib.import_module("cv2")
    cv2.setNumThreads(1)

    def encoder(name: str, suffix: str, *options: int, lossless: bool = True) -> Encoder:
        def encode(picture: Pixels) -> bytes:
            ordered = picture if picture.shape[2] == 1 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            data: bytes = cv2.imencode(suffix, ordered, options)[1].tobytes()
            return data

        return Encoder(name, encode, False if suffix == ".png" else None, lossless)

    yield encoder("png, OpenCV, as it comes", ".png")
    run_lengths = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
    yield encoder("png, OpenCV, level 1, run lengths", ".png", *run_lengths)
    full_chroma = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
    yield encoder("jpeg, OpenCV", ".jpg", cv2.IMWRITE_JPEG_QUALITY, 92, *full_chroma, lossless=False)


def imagecodecs() -> Iterator[Encoder]:
    """imagecodecs; filters 16 and 128 are Sub and Paeth, strategy 3 is run lengths."""
    codecs = importlib.import_module("imagecodecs")
    for name, number in (("Sub", 16), ("Paeth", 128)):

        def png(picture: Pixels, number: int = number) -> bytes:
            data: bytes = codecs.png_encode(picture, level=1, strategy=3, filter=number)
            return data

        yield Encoder(f"png, imagecodecs, run lengths, {name}", png, False)

    def webp(picture: Pixels) -> bytes:
        colour = np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture
        data: bytes = codecs.webp_encode(colour, level=20, lossless=True, method=0)
        return data

    def jpeg(picture: Pixels) -> bytes:
        data: bytes = codecs.jpeg8_encode(picture, level=92, subsampling="444")
        return data

    yield Encoder("webp, imagecodecs, method 0, quality 20", webp)
    yield Encoder("jpeg, imagecodecs", jpeg, lossless=False)


def fpng() -> Iterator[Encoder]:
    """fpng, which knows no grey."""
    module = importlib.import_module("fpng_py")

    def encode(picture: Pixels) -> bytes:
        height, width, channels = picture.shape
        colour = np.repeat(picture, 3, axis=2) if channels == 1 else picture
        data: bytes = module.fpng_encode_image_to_memory(colour.tobytes(), width, height, 3, 0)
        return data

    yield Encoder("png, fpng", encode, False)


def digits(count: int) -> Pixels:
    """Paint `count` images by the starter."""
    store = LocalStore(Path("no-such-folder"))
    version = store.resolve(STARTER)
    config = version.manifest.generator
    generator = load_generator(store.read(version, version.manifest.first.weights), config)
    pixels: Pixels = run_generator(generator, make_inputs(config.inputs, 7, np.arange(count))).numpy()
    return pixels.transpose(0, 2, 3, 1)


def photos(folder: Path, count: int, size: int) -> Pixels:
    """Read images of a folder, spread over all of it, as squares."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
    chosen = [files[index * len(files) // count] for index in range(count)]
    return np.stack([np.asarray(Image.open(path).convert("RGB").resize((size, size))) for path in chosen])


def waves(count: int, size: int) -> Pixels:
    """Compute images with the softness and the grain of photos: 12 waves each, and noise of 3 levels."""
    random = np.random.default_rng(0)
    axis = np.arange(size) / size * 2 * np.pi
    images = np.empty((count, size, size, 3), np.uint8)
    for image in images:
        x, y, phase = (random.normal(0, 4, (12, 1, 1, 3)) for _ in range(3))
        power = random.exponential(20, (12, 1, 1, 3))
        light = (power * np.sin(axis[None, :, None] * x + axis[:, None, None] * y + phase)).sum(axis=0)
        image[:] = np.clip(128 + light + random.normal(0, 3, light.shape), 0, 255)
    return images


def subjects(folder: Path | None) -> dict[str, Pixels]:
    """Give the pictures to encode, by their size."""
    grey = digits(25)
    made = [grid(grey), grid(grey, scale=4)]
    made += [grid(photos(folder, count, size) if folder else waves(count, size)) for size, count in COLOUR]
    return {f"{p.shape[1]}x{p.shape[0]} {'grey' if p.shape[2] == 1 else 'colour'}": p for p in made}


def checked(encoder: Encoder, picture: Pixels) -> bytes:
    """Encode once, and decode to see whether every pixel is there."""
    data = encoder.encode(picture)
    decoded = np.asarray(Image.open(io.BytesIO(data)).convert("L" if picture.shape[2] == 1 else "RGB"))
    if encoder.lossless and decoded.tobytes() != picture.tobytes():
        raise RuntimeError(f"{encoder.name} changed pixels")
    return data


def milliseconds(encoders: list[Encoder], picture: Pixels, turns: int) -> list[float]:
    """Time all encoders in turns; gives medians."""
    times: list[list[float]] = [[] for _ in encoders]
    for _ in range(turns):
        for encoder, own in zip(encoders, times, strict=True):
            began = time.thread_time()
            encoder.encode(picture)
            own.append((time.thread_time() - began) * 1e3)
    return [statistics.median(own) for own in times]


def hold_up(encoder: Encoder, picture: Pixels) -> float:
    """Give how many ms late a thread that sleeps wakes while another encodes on and on: the 90th percentile."""
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            encoder.encode(picture)

    thread = threading.Thread(target=work)
    thread.start()
    late = []
    for _ in range(WAKES):
        due = time.perf_counter() + PAUSE
        time.sleep(PAUSE)
        late.append((time.perf_counter() - due) * 1e3)
    ended.set()
    thread.join()
    return statistics.quantiles(late, n=10)[-1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="colour images; by default they are computed")
    parser.add_argument("--seconds", type=float, default=5, help="for each picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    encoders: list[Encoder] = []
    for family in (ours, pillow, torchvision, opencv, imagecodecs, fpng):
        with contextlib.suppress(ImportError):
            encoders += family()
    encoders.sort(key=lambda encoder: encoder.name.partition(",")[0], reverse=True)
    rows = {encoder.name: [encoder.name] for encoder in encoders}
    made = subjects(options.photos)
    for picture in made.values():
        sizes = [len(checked(encoder, picture)) for encoder in encoders]
        turn = sum(milliseconds(encoders, picture, 1)) / 1e3
        times = milliseconds(encoders, picture, max(3, int(options.seconds / turn)))
        for encoder, size, took in zip(encoders, sizes, times, strict=True):
            rows[encoder.name].append(f"{took:.2f} ms, {size / 1e3:,.0f} KB")
    largest = max(made.values(), key=np.size)
    for encoder in encoders:
        rows[encoder.name].append(f"{hold_up(encoder, largest):.1f} ms")
        rows[encoder.name].append({True: "yes", False: "no", None: ""}[encoder.text])
    heads = ["encoder", *made, "hold-up", "text"]
    for row in (heads, ["---"] * len(heads), *rows.values()):
        print("|", " | ".join(row), "|")


if __name__ == "__main__":
    main()

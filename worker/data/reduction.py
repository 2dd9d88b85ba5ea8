"""Prepared sets at a smaller size than they were prepared in: written once beside them, then only read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch.nn.functional import interpolate

from models.files import sync_folder
from worker.data.prepared import IMAGES, Prepared, Writer, read_prepared

_CHUNK: Final = 256  # images at once
_VERSION: Final = 1  # of the way in which images are reduced


def reduced(prepared: Prepared, size: int, folder: Path) -> Prepared:
    """Return a prepared set with images of `size` x `size` px, at most as large as they are.

    Args:
        folder: of reduced sets; one that is there already is opened.

    Raises:
        OSError: it could not be written, such as on a full disk.
    """
    if size == prepared.manifest.size:
        return prepared
    target = folder / f"reduced-v{_VERSION}-{prepared.manifest.sha256[IMAGES][:32]}-{size}"
    if (found := read_prepared(target)) is not None:
        return found
    staging = folder / f".{target.name}.writing"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    _write(prepared, size, staging)
    shutil.rmtree(target, ignore_errors=True)
    staging.rename(target)
    sync_folder(folder)
    written = read_prepared(target)
    assert written is not None, "it was written above"
    return written


def _write(prepared: Prepared, size: int, folder: Path) -> None:
    manifest = prepared.manifest
    with Writer(folder, manifest.dataset, size, manifest.channels) as writer:
        for start in range(0, prepared.count, _CHUNK):
            pixels = torch.from_numpy(np.array(prepared.images[start : start + _CHUNK])).float()
            # Antialiased: plain bilinear would skip pixels, and leave patterns.
            smaller = interpolate(pixels, (size, size), mode="bilinear", align_corners=False, antialias=True)
            for number, image in enumerate(smaller.round_().clamp_(0, 255).to(torch.uint8).numpy(), start):
                writer.append(image, None if prepared.labels is None else int(prepared.labels[number]))
        writer.finish(manifest.classes, manifest.skipped)

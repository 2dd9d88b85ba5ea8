"""Inception features through torch-fidelity: FID, KID, precision and recall as in publications.

The weights (96 MB, Apache 2.0) do not ship with Atelier: they are read from the data directory or torch's cache, or
downloaded. A run without them has no such scores.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import threading
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.files import replace_file

FILE: Final = "weights-inception-2015-12-05-6726825d.pth"
URL: Final = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
_SHA256: Final = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
_BYTES: Final = 95_628_359
_DOWNLOAD_SECONDS: Final = 60.0  # of the whole download
_SILENT_SECONDS: Final = 10.0  # without a byte
_CHUNK: Final = 1 << 20
_LAYER: Final = "2048"


class InceptionUnavailable(Exception):
    """The network cannot be used; the message says why."""


class Inception:
    """The network of the FID: 2,048 features per image.

    Args:
        extractor: one of torch-fidelity's: uint8 `[N, 3, H, W]` to a tuple of features.
        name: its name in protocols.
    """

    def __init__(self, extractor: Any, name: str, device: torch.device) -> None:
        self._extractor = extractor.to(device).eval()
        self.protocol = f"{name} of torch-fidelity, resized by it to 299 px, grey as three equal channels"

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Compute float32 `[N, D]` of uint8 `[N, C, H, W]` on the network's device."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        (features,) = self._extractor(images)
        found: Tensor = features.float()
        return found


def load_inception(path: Path, device: torch.device) -> Inception:
    """Load the network from a file of weights.

    Raises:
        InceptionUnavailable: the file cannot be read, or holds another network.
        OutOfMemoryError: the device has not enough memory.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # The constructor draws initial weights: the random state belongs to the training.
    before = torch.get_rng_state()
    try:
        # The file is a pickle, which could run code, and torch-fidelity loads any. It gets a copy with tensors only.
        checked = io.BytesIO()
        torch.save(torch.load(path, weights_only=True), checked)
        checked.seek(0)
        extractor = FeatureExtractorInceptionV3("inception-v3-compat", [_LAYER], feature_extractor_weights_path=checked)
        return Inception(extractor, f"2048 features of {FILE}", device)
    except torch.OutOfMemoryError:
        raise
    except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InceptionUnavailable(
            f"no FID, KID, precision or recall on Inception's features: {path} cannot be used ({reason})"
        ) from error
    finally:
        torch.set_rng_state(before)


def find_weights(folder: Path) -> Path | None:
    """Return the path of complete weights in a folder or in torch's cache; None if neither has them."""
    places = (folder / FILE, Path(torch.hub.get_dir()) / "checkpoints" / FILE)
    return next((place for place in places if _is_complete(place)), None)


def _is_complete(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.stat().st_size == _BYTES and hashlib.file_digest(file, "sha256").hexdigest() == _SHA256
    except OSError:
        return False


def ensure_weights(folder: Path, *, download: bool) -> bool:
    """Return whether the weights are there, after a download of about a minute where that is allowed."""
    found = find_weights(folder)
    if found is None and download:
        with suppress(InceptionUnavailable):
            found = WeightsDownload(folder).result(wait=True)
    return found is not None


class WeightsDownload:
    """A download of the weights in a thread of its own."""

    def __init__(self, folder: Path, url: str = URL) -> None:
        self._folder = folder
        self._url = url
        self._problem = "the download has not finished yet"
        self._thread = threading.Thread(target=self._run, name="inception", daemon=True)
        self._thread.start()

    def result(self, *, wait: bool) -> Path:
        """Return the path of the file; `wait` for the download, about a minute at most.

        Raises:
            InceptionUnavailable: the file is missing, or not complete yet.
        """
        if wait:
            self._thread.join(_DOWNLOAD_SECONDS + _SILENT_SECONDS)
        if (found := find_weights(self._folder)) is not None:
            return found
        raise InceptionUnavailable(
            f"no FID, KID, precision or recall on Inception's features: its weights could not be fetched "
            f"({self._problem}). To have them, put {FILE} from {self._url} into {self._folder}"
        )

    def _run(self) -> None:
        try:
            data = _download(self._url)
            if hashlib.sha256(data).hexdigest() != _SHA256:
                raise ValueError("the downloaded file is not the expected one")
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / FILE, data)
        except (OSError, HTTPException, ValueError) as error:
            self._problem = str(error)


def _download(url: str) -> bytes:
    # Bounds on time and size, against servers that are silent, slow or wrong.
    end = time.monotonic() + _DOWNLOAD_SECONDS
    data = bytearray()
    response: HTTPResponse
    with urllib.request.urlopen(url, timeout=_SILENT_SECONDS) as response:
        while part := response.read1(_CHUNK):
            data += part
            if len(data) > _BYTES:
                raise ValueError(f"more than the expected {_BYTES:,} bytes were sent")
            if time.monotonic() > end:
                raise TimeoutError(f"it took longer than {_DOWNLOAD_SECONDS:g} seconds")
    return bytes(data)

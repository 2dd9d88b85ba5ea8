"""Inception's features through torch-fidelity, for scores that other publications have too: FID, KID and the like.

Their weights (91 MB, Apache 2.0) do not ship with Atelier. They are looked for in the data directory and in torch's own
cache, and fetched where neither has them; who cannot have them goes without these scores.
"""

from __future__ import annotations

import hashlib
import io
import threading
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from models.files import replace_file

FILE: Final = "weights-inception-2015-12-05-6726825d.pth"
URL: Final = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"
_SHA256: Final = FILE.removesuffix(".pth").rpartition("-")[2]  # its first digits, as torch's own cache checks them
_SECONDS: Final = 60.0
_SILENCE: Final = 10.0
_CHUNK: Final = 1 << 20
_LAYER: Final = "2048"


class Inception:
    """The network of the FID: 2,048 features of an image.

    Args:
        extractor: one of torch-fidelity's, which takes uint8 `[N, 3, H, W]` and gives a tuple of features.
        name: what it is, for protocols.
        device: to look on.
    """

    def __init__(self, extractor: Any, name: str, device: torch.device) -> None:
        self._extractor = extractor.to(device).eval()
        self.protocol = f"{name} of torch-fidelity, resized by it to 299 px, grey as three equal channels"

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Give float32 `[N, D]` for uint8 `[N, C, H, W]` on the network's device."""
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        (features,) = self._extractor(images)
        found: Tensor = features.float()
        return found


def open_inception(path: Path, device: torch.device) -> Inception:
    """Read the network's weights; they are a pickle, of which nothing but tensors is ever accepted.

    Raises:
        OSError, pickle.UnpicklingError, RuntimeError: it cannot be read, or is not of that network.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    # torch-fidelity reads any pickle; so it is given one that was written here.
    checked = io.BytesIO()
    torch.save(torch.load(path, weights_only=True), checked)
    checked.seek(0)
    before = torch.get_rng_state()
    extractor = FeatureExtractorInceptionV3("inception-v3-compat", [_LAYER], feature_extractor_weights_path=checked)
    torch.set_rng_state(before)
    return Inception(extractor, f"2048 features of {FILE}", device)


def find_weights(folder: Path) -> Path | None:
    """Look for the weights in a folder and in torch's own cache; give None where neither has them."""
    places = (folder / FILE, Path(torch.hub.get_dir()) / "checkpoints" / FILE)
    return next((place for place in places if place.is_file()), None)


class Fetch:
    """A download of the weights into a folder, in a thread: nothing waits for it that need not.

    Args:
        folder: where they shall lie.
        url: where they are.
    """

    def __init__(self, folder: Path, url: str = URL) -> None:
        self._folder = folder
        self._url = url
        self._problem = "they have not come yet"
        self._thread = threading.Thread(target=self._work, name="inception", daemon=True)
        self._thread.start()

    def result(self, *, patient: bool) -> Path | str:
        """Give the file, or a sentence on why there is none; the `patient` wait for it, a minute or so at most."""
        if patient:
            self._thread.join()
        if (found := find_weights(self._folder)) is not None:
            return found
        return (
            f"no FID, KID, precision or recall on Inception's features: its weights could not be fetched "
            f"({self._problem}). To have them, put {FILE} from {self._url} into {self._folder}"
        )

    def _work(self) -> None:
        try:
            data = _download(self._url)
            if not hashlib.sha256(data).hexdigest().startswith(_SHA256):
                raise ValueError("what came is another file")
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / FILE, data)
        except (OSError, HTTPException, ValueError) as error:
            self._problem = str(error)


def _download(url: str) -> bytes:
    end = time.monotonic() + _SECONDS
    parts: list[bytes] = []
    with urllib.request.urlopen(url, timeout=_SILENCE) as answer:
        while part := answer.read(_CHUNK):
            parts.append(part)
            if time.monotonic() > end:
                raise TimeoutError(f"it took longer than {_SECONDS:g} seconds")
    return b"".join(parts)

"""Inception's features through torch-fidelity, for scores that other publications have too: FID, KID and the like.

Their weights (96 MB, Apache 2.0) do not ship with Atelier. They are looked for in the data directory and in torch's own
cache, and fetched where neither has them; who cannot have them goes without these scores.
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
_SECONDS: Final = 60.0
_SILENCE: Final = 10.0
_CHUNK: Final = 1 << 20
_LAYER: Final = "2048"


class NoInception(Exception):
    """The network cannot be had; the message is a sentence that says why."""


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
        NoInception: it cannot be read, or is not of that network.
        OutOfMemoryError: the device has no room for it.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    before = torch.get_rng_state()
    try:
        # torch-fidelity reads any pickle; so it is given one that was written here.
        checked = io.BytesIO()
        torch.save(torch.load(path, weights_only=True), checked)
        checked.seek(0)
        extractor = FeatureExtractorInceptionV3("inception-v3-compat", [_LAYER], feature_extractor_weights_path=checked)
        return Inception(extractor, f"2048 features of {FILE}", device)
    except torch.OutOfMemoryError:
        raise
    except (OSError, EOFError, pickle.UnpicklingError, RuntimeError, LookupError, TypeError, ValueError) as error:
        told = str(error).partition("\n")[0]
        raise NoInception(
            f"no FID, KID, precision or recall on Inception's features: {path} cannot be used ({told})"
        ) from error
    finally:
        torch.set_rng_state(before)


def find_weights(folder: Path) -> Path | None:
    """Look for the weights in a folder and in torch's own cache; give None where neither has them whole."""
    places = (folder / FILE, Path(torch.hub.get_dir()) / "checkpoints" / FILE)
    return next((place for place in places if _is_whole(place)), None)


def _is_whole(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return path.stat().st_size == _BYTES and hashlib.file_digest(file, "sha256").hexdigest() == _SHA256
    except OSError:
        return False


def have_weights(folder: Path, *, fetch: bool) -> bool:
    """Tell whether the weights are there; where they may be fetched, after a minute or so of trying at most."""
    found = find_weights(folder)
    if found is None and fetch:
        with suppress(NoInception):
            found = Fetch(folder).result(patient=True)
    return found is not None


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

    def result(self, *, patient: bool) -> Path:
        """Give the file; the `patient` wait for it, a minute or so at most.

        Raises:
            NoInception: it is not there, or not yet.
        """
        if patient:
            self._thread.join(_SECONDS + _SILENCE)
        if (found := find_weights(self._folder)) is not None:
            return found
        raise NoInception(
            f"no FID, KID, precision or recall on Inception's features: its weights could not be fetched "
            f"({self._problem}). To have them, put {FILE} from {self._url} into {self._folder}"
        )

    def _work(self) -> None:
        try:
            data = _download(self._url)
            if hashlib.sha256(data).hexdigest() != _SHA256:
                raise ValueError("what came is another file")
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / FILE, data)
        except (OSError, HTTPException, ValueError) as error:
            self._problem = str(error)


def _download(url: str) -> bytes:
    """Read what an address gives, as far as the weights are long; it may neither stall nor drip."""
    end = time.monotonic() + _SECONDS
    data = bytearray()
    answer: HTTPResponse
    with urllib.request.urlopen(url, timeout=_SILENCE) as answer:
        while part := answer.read1(_CHUNK):
            data += part
            if len(data) > _BYTES:
                raise ValueError(f"more than its {_BYTES:,} bytes came")
            if time.monotonic() > end:
                raise TimeoutError(f"it took longer than {_SECONDS:g} seconds")
    return bytes(data)

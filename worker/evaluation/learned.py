"""Networks that look at images for evaluations: each is trained once and kept, with its accuracy beside the weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import nn

from models.files import locked
from models.store import weights as checkpoint
from models.store.weights import CheckpointError

# Measured once: on another device it might be another digit, and protocols would differ.
_ACCURACY: Final = "accuracy"

Network = TypeVar("Network", bound=nn.Module)


def obtain(
    path: Path, empty: Callable[[], Network], learn: Callable[[], tuple[Network, float]]
) -> tuple[Network, float]:
    """Give the network that a file keeps, with its accuracy; have it learned where there is none that is whole.

    Other processes that want the same wait meanwhile. What `learn` raises leaves nothing behind.

    Args:
        path: of the file, in a folder that need not be there.
        empty: builds the network that weights are read into.
        learn: trains one, and gives it with the share of held-out images that it names rightly.

    Raises:
        OSError: the file could not be written, such as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{path.stem}.lock")):
        found = _read(path, empty())
        if found is None:
            network, accuracy = found = learn()
            kept = {**network.cpu().state_dict(), _ACCURACY: torch.tensor(accuracy, dtype=torch.float64)}
            checkpoint.save(kept, path)
    return found


def _read(path: Path, network: Network) -> tuple[Network, float] | None:
    try:
        tensors = checkpoint.load(path.read_bytes())
        accuracy = float(tensors.pop(_ACCURACY))
        network.load_state_dict(tensors, strict=True)
    except (FileNotFoundError, CheckpointError, KeyError, RuntimeError):
        return None
    return network, accuracy

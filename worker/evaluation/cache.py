"""Files of evaluations in the data directory: baselines by protocol, and trained networks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import nn

from models.files import locked, replace_file
from models.store import weights as checkpoint
from models.store.weights import CheckpointError

BASELINES_FILE: Final = "floors.json"
_ACCURACY: Final = "accuracy"

Network = TypeVar("Network", bound=nn.Module)


def load_or_measure_baselines(
    folder: Path, protocols: Mapping[str, str], measure: Callable[[], Mapping[str, float]]
) -> dict[str, float]:
    """Return the baseline of each score.

    Args:
        protocols: of each score, by its name.
        measure: computes all baselines; called if one is not in the file yet.

    Raises:
        OSError: the file could not be written, such as on a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / BASELINES_FILE
    # A baseline belongs to a protocol, and is the same for all generators under it.
    keys = {name: f"{name}: {protocol}" for name, protocol in protocols.items()}
    known = _read_baselines(path)
    if not known.keys() >= set(keys.values()):
        measured = measure()
        # Read again under the lock: another process may have added others while this one measured.
        with locked(folder / f".{BASELINES_FILE}.lock"):
            known = _read_baselines(path) | {key: measured[name] for name, key in keys.items()}
            replace_file(path, json.dumps(known, indent=1).encode())
    return {name: known[key] for name, key in keys.items()}


def _read_baselines(path: Path) -> dict[str, float]:
    try:
        value = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def load_or_train_network(
    path: Path, build: Callable[[], Network], train: Callable[[], tuple[Network, float]]
) -> tuple[Network, float]:
    """Load a network and its accuracy; train it first if the file is missing or incomplete.

    Args:
        build: builds the network for stored weights.
        train: trains a network, and returns it with its accuracy on held-out images.

    Raises:
        OSError: the file could not be written, such as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Other processes that need the same network wait instead of training it too.
    with locked(path.with_name(f".{path.stem}.lock")):
        found = _load_network(path, build())
        if found is None:
            network, accuracy = found = train()
            # The accuracy is part of protocols: measured again on another device it might differ in a digit.
            kept = {**network.cpu().state_dict(), _ACCURACY: torch.tensor(accuracy, dtype=torch.float64)}
            checkpoint.save(kept, path)
    return found


def _load_network(path: Path, network: Network) -> tuple[Network, float] | None:
    try:
        tensors = checkpoint.load(path.read_bytes())
        accuracy = float(tensors.pop(_ACCURACY))
        network.load_state_dict(tensors, strict=True)
    except (FileNotFoundError, CheckpointError, KeyError, RuntimeError):
        return None
    return network, accuracy

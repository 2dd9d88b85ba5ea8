"""Runners: a version's network in the few fixed batch sizes in which its images are generated.

Matrix products and convolutions choose their kernels by the shape of the batch, and kernels round differently: an
image's bytes would depend on what else was requested. So every pass has one of a few sizes, padded if need be, and only
sizes that were tested to give the very same floats are used beside each other (`calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.network import Network
from app.engine.queue import Images
from models.inputs import Inputs

# Batches that take no longer are padded: another pass would cost as much.
QUICK_SECONDS = 0.001
# Slower batches are padded if at least this share of their slots is in use.
MIN_FILL = 0.75


class Runner:
    """A version's network for each worker, and the batch sizes in which it runs.

    Args:
        networks: by worker; workers on one device share one.
        sizes: admitted batch sizes, ascending; the last is the reference size, which all others agree with.
        seconds: what a batch of the reference size takes, at first; `batcher` keeps it up to date.
        fingerprint: names the numerics and the reference size.
    """

    def __init__(self, networks: Sequence[Network], sizes: tuple[int, ...], seconds: float, fingerprint: str) -> None:
        self.networks = networks
        self.sizes = sizes
        self.seconds = seconds
        self.fingerprint = fingerprint

    @property
    def batch_size(self) -> int:
        """The reference size."""
        return self.sizes[-1]

    @property
    def bytes(self) -> int:
        """Memory of all networks together."""
        return sum(network.bytes for network in {id(network): network for network in self.networks}.values())

    def next_count(self, waiting: int) -> int:
        """Return how many waiting images the next batch takes: all, unless much of a slow one would stay empty.

        The others wait for the next batch, and fill it with what arrives meanwhile.
        """
        count = min(waiting, self.batch_size)
        size = self.slots(count)
        smaller = max((each for each in self.sizes if each < size), default=0)
        quick = size / self.batch_size * self.seconds <= QUICK_SECONDS
        return count if quick or count >= MIN_FILL * size or 2 * smaller < size else smaller

    def slots(self, count: int) -> int:
        """Return the smallest admitted size that holds `count` images."""
        return min(size for size in self.sizes if size >= count)

    def run(self, inputs: Inputs, worker: int) -> Images:
        """Generate up to `batch_size` images in the smallest admitted size: uint8 `[k, H, W, C]`."""
        return self.networks[worker].generate(inputs, self.slots(len(inputs)))

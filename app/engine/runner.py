"""Runners: a version's network in the few fixed batch sizes in which its images are generated."""

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
        # Few and fixed: matrix products and convolutions choose kernels by the shape of the batch, and kernels round
        # differently, so an image's bytes would depend on the other requests in its batch. Smaller batches are padded,
        # and only sizes that gave the very same floats in the self-test are used together (`calibration`).
        self.sizes = sizes
        self.seconds = seconds
        self.fingerprint = fingerprint

    @property
    def batch_size(self) -> int:
        return self.sizes[-1]

    @property
    def bytes(self) -> int:
        # Workers on one device share a network: it counts once.
        return sum(network.bytes for network in {id(network): network for network in self.networks}.values())

    def next_count(self, waiting: int) -> int:
        """Return how many of the waiting images the next batch takes."""
        count = min(waiting, self.batch_size)
        size = self.slots(count)
        smaller = max((each for each in self.sizes if each < size), default=0)
        quick = size / self.batch_size * self.seconds <= QUICK_SECONDS
        # All of them, unless many slots of a slow batch would stay empty: then the rest waits for the next batch, and
        # fills it together with the images that arrive meanwhile.
        return count if quick or count >= MIN_FILL * size or 2 * smaller < size else smaller

    def slots(self, count: int) -> int:
        return min(size for size in self.sizes if size >= count)

    def run(self, inputs: Inputs, worker: int) -> Images:
        """Generate up to `batch_size` images in the smallest admitted size: uint8 `[k, H, W, C]`."""
        return self.networks[worker].generate(inputs, self.slots(len(inputs)))

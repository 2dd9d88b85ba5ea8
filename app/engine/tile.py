"""Tiles: the few fixed shapes in which a version's images are painted. Who shares one is `batcher`'s to decide.

Matrix products and convolutions choose their kernels by the shape of the batch, and kernels round differently: an
image's bytes would depend on what else was asked for. So every pass has one of a few sizes, padded if need be, and only
sizes that were seen to give the very same floats are used beside each other (`calibration`).
"""

from __future__ import annotations

from collections.abc import Sequence

from app.engine.inputs import Inputs
from app.engine.network import Network
from app.engine.queue import Pictures

PADDED_SECONDS = 0.001
"""Tiles that take no longer are filled up with nothing: another pass would cost as much."""
FULL = 0.75
"""Others if at least so much of them is in use."""


class Painter:
    """A version's network, once per lane, and the tiles it is run in.

    Args:
        networks: by lane; lanes on one device share one.
        sizes: admitted tile sizes, ascending; the last is the reference tile, which all others agree with.
        seconds: what one reference tile takes, at first; `batcher` keeps it up to date.
    """

    def __init__(self, networks: Sequence[Network], sizes: tuple[int, ...], seconds: float) -> None:
        self.networks = networks
        self.sizes = sizes
        self.seconds = seconds

    @property
    def tile(self) -> int:
        """Images in a reference tile."""
        return self.sizes[-1]

    @property
    def bytes(self) -> int:
        """Memory that the networks take together."""
        return sum(network.bytes for network in {id(network): network for network in self.networks}.values())

    def share(self, waiting: int) -> int:
        """Say how many of the images that wait the next tile takes: all, unless much of a slow one would stay empty.

        Those left wait for the next, and fill it with whatever comes meanwhile.
        """
        count = min(waiting, self.tile)
        size = self.places(count)
        smaller = max((each for each in self.sizes if each < size), default=0)
        quick = size / self.tile * self.seconds <= PADDED_SECONDS
        return count if quick or count >= FULL * size or 2 * smaller < size else smaller

    def places(self, count: int) -> int:
        """Give the smallest admitted tile that holds `count` images."""
        return min(size for size in self.sizes if size >= count)

    def paint(self, inputs: Inputs, lane: int) -> Pictures:
        """Paint up to a tile of images in the smallest admitted tile that holds them.

        Returns:
            uint8 `[k, H, W, C]`.
        """
        return self.networks[lane].pictures(inputs, self.places(len(inputs)))

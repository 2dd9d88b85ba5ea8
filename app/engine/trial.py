"""What a network's passes are put through before they serve: how fast they are, how exact, and whether an image comes
out the same in every slot, beside whatever neighbours. What follows from it is `calibration`'s to say.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

from app.engine.inputs import Inputs
from app.engine.network import Bits, Network
from models.config.networks import GeneratorConfig

T = TypeVar("T")

REPEATS = 5
MAX_ERROR = 0.5
"""How far images may be from those in fp32: the mean over their values, in levels of 255."""


class Step(Protocol):
    """Runs one pass where and when it may run, and gives its result: `Batcher.chore`."""

    def __call__(self, work: Callable[[int], T], lane: int | None = None) -> T:
        """Run `work`, which is given the lane's index, and wait for it."""


class Trial:
    """Measurements and tests of a network's passes, each run on the first lane when its turn comes.

    Args:
        generator: what the network was built from.
        step: runs each pass.
    """

    def __init__(self, generator: GeneratorConfig, step: Step) -> None:
        self._generator = generator
        self._step = step
        # The probes decide nothing but whether two passes agree: any fixed inputs serve.
        self._random = np.random.Generator(np.random.Philox(20240229))

    def inputs(self, count: int) -> Inputs:
        """Draw the inputs of some images."""
        z = self._random.standard_normal((count, self._generator.latent.dim), np.float32)
        classes = self._generator.classes
        return Inputs(z, self._random.integers(classes, size=count) if classes else None)

    def run(self, network: Network, inputs: Inputs, lane: int = 0) -> Bits:
        """Run one pass over exactly these inputs."""
        return self._step(lambda _: network.exact(inputs), lane)

    def seconds(self, network: Network, size: int) -> float:
        """Time a pass, pictures included."""
        inputs = self.inputs(size)

        # A pass on the CPU has one thread, whose own time leaves out what other processes do to it.
        clock = time.thread_time if network.device.type == "cpu" else time.perf_counter

        def timed(_: int) -> float:
            started = clock()
            network.pictures(inputs, size)
            return clock() - started

        self._step(timed, 0)
        # The least: whatever else the machine does only ever adds.
        return min(self._step(timed, 0) for _ in range(REPEATS))

    def independent(self, network: Network, size: int) -> bool:
        """Whether a probe gives the same floats in each slot of a pass, among random neighbours and among padding."""
        probe = self.inputs(1)
        image = self.run(network, Inputs.joined([probe, _nothing(probe, size - 1)]))[0]
        for slot in range(size):
            around = self.inputs(size)
            tile = Inputs.joined([around.part(0, slot), probe, around.part(slot + 1, size)])
            if not np.array_equal(self.run(network, tile)[slot], image):
                return False
        return True


def error_of(images: Bits, expected: Bits) -> float:
    """Give the mean difference between the pixels of two passes, in levels of 255; NaN where one is not finite."""
    shown, wanted = (np.clip(bits.view(np.float32), -1, 1) for bits in (images, expected))
    return float(np.abs(shown - wanted).mean()) * 127.5


def _nothing(like: Inputs, count: int) -> Inputs:
    """Give what passes are padded with."""
    labels = None if like.labels is None else np.zeros(count, np.int64)
    return Inputs(np.zeros((count, like.z.shape[1]), np.float32), labels)

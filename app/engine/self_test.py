"""Self-tests of a network's passes: speed, error, and whether an image has the same bytes in every slot of a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np

from app.engine.network import Bits, Network
from models.config.inputs import InputSpec, LabelInput, LatentInput
from models.inputs import Array, Inputs

T = TypeVar("T")

REPEATS = 5
# Tolerated difference from images in fp32: the mean over their values, in levels of 255.
MAX_ERROR = 0.5


class RunPass(Protocol):
    """Runs one pass between a worker's batches, on its thread, and returns the result: `Batcher.run_background`."""

    def __call__(self, work: Callable[[int], T], worker: int | None = None) -> T:
        """Run `work`, which receives the worker's index, and wait for it."""


class SelfTest:
    """Measurements and tests of a network's passes, each run on the first worker unless another is named.

    Args:
        specs: the inputs that the network takes.
        run_pass: runs each pass.
    """

    def __init__(self, specs: Mapping[str, InputSpec], run_pass: RunPass) -> None:
        self._specs = specs
        self._run_pass = run_pass
        # The probes decide nothing but whether two passes agree: any fixed inputs serve.
        self._random = np.random.Generator(np.random.Philox(20240229))

    def inputs(self, count: int) -> Inputs:
        return Inputs({name: self._draw(spec, count) for name, spec in self._specs.items()})

    def _draw(self, spec: InputSpec, count: int) -> Array:
        match spec:
            case LatentInput():
                return self._random.standard_normal((count, spec.dim), np.float32)
            case LabelInput():
                return self._random.integers(spec.classes, size=count)
        raise ValueError(f"there are no test inputs of kind {spec.kind}")

    def run(self, network: Network, inputs: Inputs, worker: int = 0) -> Bits:
        return self._run_pass(lambda _: network.exact(inputs), worker)

    def seconds(self, network: Network, size: int) -> float:
        """Time a pass, conversion to pixels included."""
        inputs = self.inputs(size)

        # A pass on the CPU runs on one thread, and its CPU time leaves out what other processes do to it.
        clock = time.thread_time if network.device.type == "cpu" else time.perf_counter

        def timed(_: int) -> float:
            started = clock()
            network.generate(inputs, size)
            return clock() - started

        self._run_pass(timed, 0)
        # The minimum: other work on the machine only adds time.
        return min(self._run_pass(timed, 0) for _ in range(REPEATS))

    def independent(self, network: Network, size: int) -> bool:
        """Check that a probe has the same floats in each slot of a pass, among random neighbours and among padding."""
        probe = self.inputs(1)
        image = self.run(network, probe.pad(size))[0]
        for slot in range(size):
            around = self.inputs(size)
            batch = Inputs.concatenate([around.slice(0, slot), probe, around.slice(slot + 1, size)])
            if not np.array_equal(self.run(network, batch)[slot], image):
                return False
        return True


def mean_error(images: Bits, expected: Bits) -> float:
    """Return the mean difference between the pixels of two passes, in levels of 255; NaN if one is not finite."""
    shown, wanted = (np.clip(bits.view(np.float32), -1, 1) for bits in (images, expected))
    return float(np.abs(shown - wanted).mean()) * 127.5

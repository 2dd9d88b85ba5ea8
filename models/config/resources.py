"""Resources of a training, by arithmetic on its configuration, and of devices; all without torch."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from models.config.projection import frozen_work, head_work, parameters
from models.config.training import TrainingConfig
from models.config.values import Frozen
from models.objectives.losses import LOSSES
from models.objectives.penalties import PENALTIES
from models.settings import SharedSettings, training_threads

DRIVER = "libcuda.so.1"
_CGROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
_BYTES = 4  # of a float32
_COPIES = 4  # weights, gradients, two moments of Adam
_KEPT = 2  # values kept for each value that a layer returns, with normalisation and activation: measured 1.8 to 2.8
_BACKWARD = 2  # cost of a backward pass in forward passes: gradients of weights, and of their inputs


class Device(Frozen):
    """A CPU with some of its cores, or a GPU, and the memory that a training may use there."""

    kind: Literal["cpu", "cuda"]
    cores: Annotated[int, Field(ge=1)]
    memory_bytes: Annotated[int, Field(ge=0)]

    def __str__(self) -> str:
        memory = f"{self.memory_bytes / 1e9:.0f} GB"
        cores = "one core" if self.cores == 1 else f"{self.cores} cores"
        return f"a GPU with {memory}" if self.kind == "cuda" else f"a CPU with {cores} and {memory}"


def local(settings: SharedSettings) -> Device:
    """Return the first device that a worker with these settings would train on here."""
    cores = settings.threads or training_threads()
    name, _, index = settings.device.partition(",")[0].strip().partition(":")
    if name != "cpu" and (memory := _cuda_memory(int(index) if index.isdecimal() else 0)) is not None:
        return Device(kind="cuda", cores=cores, memory_bytes=memory)
    return Device(kind="cpu", cores=cores, memory_bytes=main_memory())


def main_memory() -> int:
    """Return the bytes of this machine's memory, or of this container's share."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_CGROUP_MEMORY.read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return whole


# A GPU's memory in bytes, as its driver reports it; None if there is no GPU.
def _cuda_memory(index: int) -> int | None:
    try:
        driver = ctypes.CDLL(DRIVER)
    except OSError:
        return None
    device, size = ctypes.c_int(0), ctypes.c_size_t(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGet(ctypes.byref(device), index) != 0:
        return None
    return size.value if driver.cuDeviceTotalMem_v2(ctypes.byref(size), device) == 0 else None


def operations(config: TrainingConfig) -> float:
    """Count the floating-point operations for each real image, two for each multiplication, without optimizer steps."""
    generator, discriminator = config.generator_config().work().products, config.discriminator_config().work().products
    # Discriminator step: real and generated images, forward and backward.
    judging = 2.0 * discriminator * (1 + _BACKWARD)
    if PENALTIES.get(config.penalty.kind).takes_gradients:
        # A penalty costs a pass more: its gradient, and the way back through both, for two images.
        judging += 2 * discriminator * (1 + _BACKWARD) / config.penalty.every
    # Generator step: forward and backward through both networks; pairs need a forward pass on real images too.
    deceiving: float = generator * (1 + _BACKWARD) + discriminator * (3 if LOSSES.get(config.loss).paired else 2)
    if config.projected is not None:
        frozen, heads = frozen_work(config.projected).products, head_work(config.projected).products
        judging += 2 * frozen + 2 * heads * (1 + _BACKWARD)
        # Nothing there is trained by the generator's step: gradients of inputs only.
        deceiving += 2 * (frozen + heads)
        if config.codes is not None:
            # Every second image: its code in both steps, and the way there and back of its partner.
            judging += frozen / 2
            deceiving += frozen / 2 + frozen
    updates = config.generator.steps / config.discriminator.steps
    return 2 * (generator + judging + deceiving * updates)


def memory_bytes(config: TrainingConfig, count: int) -> int:
    """Estimate the bytes that a training's tensors take: weights, moments, averages, `count` images and activations."""
    generator, discriminator = config.generator_config(), config.discriminator_config()
    trained = generator.parameters() + discriminator.parameters()
    judged = 2 * discriminator.work().values * (2 if PENALTIES.get(config.penalty.kind).takes_gradients else 1)
    made = generator.work().values + discriminator.work().values
    if config.projected is not None:
        trained += parameters(config.projected)
        frozen, heads = frozen_work(config.projected).values, head_work(config.projected).values
        judged, made = judged + 2 * heads, made + frozen + heads
    # Weights with gradients and both moments of Adam; then the averaged generator.
    weights = _COPIES * trained + generator.parameters()
    # The two steps alternate, so that only the larger one counts.
    activations = config.batch_size * _KEPT * max(judged, made)
    return _BYTES * (weights + activations) + count * generator.pixels

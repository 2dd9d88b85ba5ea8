"""Reference program of the training benchmarks: the MLP GAN of the tutorials.

A torchvision `DataLoader` over transforms, `nn.BCELoss` on a sigmoid, default Adam, real and fake batches in passes of
their own. It shares no code with `worker`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST

LATENT = 100
BATCH = 100
LEARNING_RATE = 2e-4


def generator() -> nn.Sequential:
    """Build the generator, `[N, 100]` to `[N, 784]` in [-1, 1]."""
    return nn.Sequential(
        nn.Linear(LATENT, 256), nn.ReLU(),
        nn.Linear(256, 512), nn.ReLU(),
        nn.Linear(512, 1024), nn.ReLU(),
        nn.Linear(1024, 784), nn.Tanh(),
    )  # fmt: skip


def discriminator() -> nn.Sequential:
    """Build the discriminator, `[N, 784]` to a probability `[N, 1]`."""
    return nn.Sequential(
        nn.Linear(784, 1024), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(1024, 512), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(256, 1), nn.Sigmoid(),
    )  # fmt: skip


@dataclass
class ReferenceState:
    """The two networks, and the losses of each update."""

    generator: nn.Sequential
    discriminator: nn.Sequential
    loss_d: list[float] = field(default_factory=list)
    loss_g: list[float] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0


def loader(root: Path) -> DataLoader[tuple[Tensor, Tensor]]:
    """Load MNIST's training images in batches, each image transformed every time it is read."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    return DataLoader(MNIST(str(root), train=True, download=True, transform=transform), BATCH, shuffle=True)


def _repeat(batches: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
    while True:
        for images, _ in batches:
            yield images


def train(
    root: Path,
    updates: int,
    seed: int = 0,
    each_epoch: Callable[[int, ReferenceState], None] = lambda _epoch, _state: None,
) -> ReferenceState:
    """Train for `updates` pairs of updates on MNIST under `root`.

    Args:
        root: writable folder that holds `MNIST/raw`.
        updates: of the discriminator, each followed by one of the generator; an epoch has 600.
        seed: of torch's global generator.
        each_epoch: called after every 600 updates with the epoch, from 1.
    """
    torch.manual_seed(seed)
    state = ReferenceState(generator(), discriminator())
    g, d = state.generator, state.discriminator
    loss = nn.BCELoss()
    g_optimizer = torch.optim.Adam(g.parameters(), lr=LEARNING_RATE)
    d_optimizer = torch.optim.Adam(d.parameters(), lr=LEARNING_RATE)
    batches = loader(root)
    started = time.perf_counter()
    for update, images in enumerate(islice(_repeat(batches), updates), start=1):
        count = images.shape[0]
        real = images.reshape(count, -1)
        ones, zeros = torch.ones(count, 1), torch.zeros(count, 1)

        fake = g(torch.randn(count, LATENT))
        d_loss = loss(d(real), ones) + loss(d(fake.detach()), zeros)
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()

        g_loss = loss(d(g(torch.randn(count, LATENT))), ones)
        g_optimizer.zero_grad()
        g_loss.backward()
        g_optimizer.step()

        state.loss_d.append(d_loss.item())
        state.loss_g.append(g_loss.item())
        state.images += count
        if update % len(batches) == 0:
            state.seconds = time.perf_counter() - started
            each_epoch(update // len(batches), state)
    state.seconds = time.perf_counter() - started
    return state

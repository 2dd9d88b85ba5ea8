"""How near a training comes to what the machine could do: images per second over a floor measured in the same run.

    python -m benchmarks.roofline --presets dcgan-64 mlp-mnist quick-28

The floor of a round is the time of its matrix products and convolutions alone, forward and backward, called one after
the other with the shapes, layouts and types that the step itself calls them with, plus the bytes of the optimisers and
of the average at the rate of a bare addition over as many. One pass of the generator serves both updates in the floor
where it could, though each draws its own latents here: 29.0 MFLOP an image for `mlp-mnist`, of the 32.0 that are done.

Rounds of the whole loop, of the step alone, of the bare operators and of the addition take turns; figures are medians.
`--busy` takes this process's processor time, per thread, instead of the clock's: for a machine that is not quiet.
Digits that ship are shown to every preset, in its size and colours: what they look like costs nothing.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.flop_counter import flop_registry

from benchmarks import ours
from models.config.requests import TrainRequest, resolve
from models.config.training import TrainingConfig
from worker.data.ingest import prepare
from worker.training.devices.allocator import keep_memory
from worker.training.loop import TrainingLoop
from worker.training.methods.adversarial import Adversarial
from worker.training.reporting.telemetry import TermSums
from worker.training.resolution import choose_precision
from worker.training.rounds import Round, run_round, run_updates

TARGETS: Final = {"dcgan-64": 0.5, "mlp-mnist": 0.6}
OVERHEAD: Final = 0.05
HEADER: Final = (
    "| preset | threads | precision | images/s | floor | share | MFLOP an image, needed of done | products | memory "
    "| outside the step | warm-up |\n" + "| --- " * 11 + "|"
)

_ADAM = 28  # bytes a parameter: it and two moments are read and written, its gradient is read
_AVERAGE = 12  # the average is read and written, the parameter is read
_WARM = 3  # rounds before anything is counted


@dataclass(frozen=True)
class Like:
    """What is needed to make a tensor like one that was seen."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def make(self) -> Tensor:
        """Make one, filled with small random numbers."""
        shape = [1 if stride == 0 else size for size, stride in zip(self.shape, self.stride, strict=True)]
        return torch.empty_strided(shape, self.stride, dtype=self.dtype).normal_(0.0, 0.1).expand(self.shape)


@dataclass(frozen=True)
class Product:
    """One call of a matrix product or convolution; tensors among its arguments are described."""

    operator: Any
    arguments: tuple[Any, ...]
    flops: int

    def bare(self, tensors: dict[Like, Tensor]) -> Callable[[], object]:
        """Give the call alone, on tensors out of `tensors`, which calls share as they share weights and images."""

        def tensor(value: Any) -> Any:
            if not isinstance(value, Like):
                return value
            if value not in tensors:
                tensors[value] = value.make()
            return tensors[value]

        arguments = tree_map(tensor, list(self.arguments))
        return lambda: self.operator(*arguments)


class Products(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every call whose floating-point operations torch can count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Product] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do the call, and note it."""
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            described = tree_map(_describe, list(args))
            self.calls.append(Product(func, tuple(described), count(*args, **(kwargs or {}), out_val=out)))
        return out


def _describe(value: Any) -> Any:
    return Like(tuple(value.shape), value.stride(), value.dtype) if isinstance(value, Tensor) else value


class Unsummed(TermSums):
    """Keeps no sums: what telemetry costs is no part of forward, backward and optimiser."""

    def add(self, terms: object) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Work:
    """What a period of rounds has to do: between two penalties, or one round."""

    rounds: int
    products: list[Product]
    shared: int
    optimiser_bytes: int

    @property
    def flops(self) -> int:
        """Operations of all its products."""
        return sum(product.flops for product in self.products)


def observe(loop: TrainingLoop) -> Work:
    """Watch one period of the loop's rounds."""
    state, step_config = loop.state, loop.step_config
    method = state.method
    assert isinstance(method, Adversarial)
    config = method.config
    lazy = config.penalty.every if method.penalty.takes_gradients else 1
    rounds = -(-lazy // config.discriminator.steps)
    with Products() as products:
        for _ in range(rounds):
            run_round(state, step_config)
    with Products() as generating, torch.no_grad(), step_config.autocast():
        state.modules["generator"](
            state.noise.latents(step_config.batch_size),
            *[t for t in (state.noise.labels(step_config.batch_size),) if t is not None],
        )
    once = config.generator.steps == 1 and not method.loss.paired
    shared = rounds * sum(product.flops for product in generating.calls) if once else 0
    generator, discriminator = (
        sum(p.numel() for p in net.parameters()) for net in (state.modules["generator"], state.modules["discriminator"])
    )
    moved = config.discriminator.steps * discriminator * _ADAM + config.generator.steps * generator * (_ADAM + _AVERAGE)
    return Work(rounds, products.calls, shared, rounds * moved)


@dataclass(frozen=True)
class Seconds:
    """A turn: seconds of a period in the whole loop, in the step, in bare products, in the optimisers' bytes."""

    loop: float
    step: float
    products: float
    memory: float


class Turns:
    """One preset's programs, which take turns."""

    def __init__(self, config: TrainingConfig, loop: TrainingLoop, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loop = loop
        started = clock()
        run_round(loop.state, loop.step_config)
        self.first = clock() - started
        for _ in range(_WARM):
            run_round(loop.state, loop.step_config)
        self.work = observe(loop)
        tensors: dict[Like, Tensor] = {}
        self._bare = [product.bare(tensors) for product in self.work.products]
        self._arrays = [torch.ones(self.work.optimiser_bytes // 12) for _ in range(3)]
        self.config = config

    def take(self, periods: int) -> Seconds:
        """Let each program run for some periods."""
        return Seconds(
            self._whole(periods), self._timed(self._step, periods), self._timed(self._products, periods),
            self._timed(self._memory, periods),
        )  # fmt: skip

    def profile(self, periods: int) -> str:
        """Show where the time of whole rounds goes."""
        with profile(activities=[ProfilerActivity.CPU]) as seen:
            for _ in range(periods * self.work.rounds):
                run_round(self._loop.state, self._loop.step_config)
        table: str = seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40)
        return table

    def _whole(self, periods: int) -> float:
        """Go on with the run as the trainer does, and leave it after so many periods."""
        marks: list[float] = []
        rounds = periods * self.work.rounds

        def stop_requested() -> bool:
            marks.append(self._clock())
            return len(marks) > rounds

        state = self._loop.state
        # Not from the beginning, which takes a snapshot first.
        state.images = max(state.images, self._loop.step_config.images_per_round)
        replace(self._loop, stop_requested=stop_requested).run()
        return (marks[-1] - marks[0]) / periods

    def _timed(self, run: Callable[[], None], periods: int) -> float:
        started = self._clock()
        for _ in range(periods):
            run()
        return (self._clock() - started) / periods

    def _step(self) -> None:
        state, step_config = self._loop.state, self._loop.step_config
        sums, state.sums = state.sums, Unsummed((), dict.fromkeys(state.optimizers, ""), state.device)
        batches = [state.batches.next() for update in state.method.updates(0) if update.takes_images]
        hyperparameters = step_config.hyperparameters(state)
        for index in range(self.work.rounds):
            updates = state.method.updates(index * step_config.images_per_round)
            run_updates(state, step_config, hyperparameters, Round(updates, batches))
        state.sums = sums

    def _products(self) -> None:
        for call in self._bare:
            call()

    def _memory(self) -> None:
        torch.add(self._arrays[0], self._arrays[1], out=self._arrays[2])


def measure(
    name: str, threads: int, turns: int, seconds: float, clock: Callable[[], float], work: Path
) -> Iterator[str]:
    """Measure one preset, and lay out what was found."""
    config = _config(name)
    prepared = prepare(
        "mnist-mini", config.size, config.channels, datasets_dir=work, images_dir=work, prepared_dir=work
    )
    precision = choose_precision(config, ours.CPU)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        loop = ours.make_loop(config, prepared, Path(folder), precision, ours.Published())
        program = Turns(config, loop, clock)
        periods = max(1, round(seconds / 4 / (program.take(1).step)))
        taken = [program.take(periods) for _ in range(turns)]
    done = program.work
    images = done.rounds * loop.step_config.images_per_round
    whole, products, memory = (median(getattr(turn, part) for turn in taken) for part in ("loop", "products", "memory"))
    needed = (done.flops - done.shared) / done.flops
    floor = needed * products + memory
    share = median((needed * turn.products + turn.memory) / turn.loop for turn in taken)
    overhead = median(1 - turn.step / turn.loop for turn in taken)
    mflop = done.flops / images / 1e6
    warm_up = program.first - whole / done.rounds
    yield (
        f"| {name} | {threads} | {precision} | {images / whole:.0f} | {images / floor:.0f} | {share:.2f} | "
        f"{mflop * needed:.1f} of {mflop:.1f} | {done.flops / products / 1e9:.0f} GFLOP/s | "
        f"{done.optimiser_bytes / memory / 1e9:.1f} GB/s | {overhead:.1%} | {warm_up:.2f} s |"
    )
    target = TARGETS.get(name)
    if target is not None and share < target:
        yield f"\n{name} misses {target}: a floor of {floor / done.rounds * 1e3:.1f} ms a round; where the time goes:\n"
        yield program.profile(periods)
    if overhead > OVERHEAD:
        yield f"\n{name} spends more than {OVERHEAD:.0%} outside forward, backward and optimiser\n"


def _config(name: str) -> TrainingConfig:
    """Give a preset's training, on digits, with nothing but ticks between its beginning and its end."""
    request = TrainRequest(
        preset=name, dataset="mnist-mini", model="floor", kimg=100_000, overrides={"snapshots": 1, "publish_every": 1.0}
    )
    return resolve(request)


def main() -> None:
    """Measure every preset with each number of threads, and print a table."""
    parser = argparse.ArgumentParser(description="Training speed over the machine's floor.")
    parser.add_argument("--presets", nargs="+", default=["dcgan-64", "mlp-mnist", "quick-28"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0, help="for all programs in one turn, about")
    parser.add_argument("--busy", action="store_true", help="take this process's processor time instead of the clock's")
    arguments = parser.parse_args()
    keep_memory()
    torch.set_flush_denormal(True)
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as work:
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            clock = (lambda threads=threads: time.process_time() / threads) if arguments.busy else time.perf_counter
            for name in arguments.presets:
                for line in measure(name, threads, arguments.turns, arguments.seconds, clock, Path(work)):
                    print(line, flush=True)


if __name__ == "__main__":
    main()

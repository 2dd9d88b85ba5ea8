"""Roofline of training: images per second as a share of what the machine could do at most, measured in the same run.

    python -m benchmarks.roofline --presets dcgan-64 mlp-mnist quick-28

The least time of a round is that of its matrix products and convolutions alone, forward and backward, called one after
the other with the shapes, layouts and types of the step, plus the time to move the bytes of the optimisers and of the
average at the bandwidth of an addition of as many. One pass of the generator counts for both updates where it could
serve both, though each draws latents of its own: 29.0 MFLOP per image for `mlp-mnist`, of the 32.0 that are computed.

The whole loop, the step alone, the operators alone and the addition alternate; figures are medians. `--busy` measures
this process's processor time per thread instead of wall time, for a machine with other load. Every preset trains on the
digits that ship, in its own size and channels: contents do not change the time.
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

from benchmarks import training_loop
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
    "| preset | threads | precision | images/s | roofline | share | MFLOP per image, needed of computed | products "
    "| memory | outside the step | warm-up |\n" + "| --- " * 11 + "|"
)

_ADAM_BYTES = 28  # per parameter: it and two moments are read and written, its gradient is read
_EMA_BYTES = 12  # per parameter: the average is read and written, the parameter is read
_WARM_UP_ROUNDS = 3


@dataclass(frozen=True)
class TensorSpec:
    """Shape, strides and type of a recorded tensor."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    def make(self) -> Tensor:
        """Make such a tensor, filled with small random numbers."""
        shape = [1 if stride == 0 else size for size, stride in zip(self.shape, self.stride, strict=True)]
        return torch.empty_strided(shape, self.stride, dtype=self.dtype).normal_(0.0, 0.1).expand(self.shape)


@dataclass(frozen=True)
class RecordedCall:
    """One call of a matrix product or convolution, with a `TensorSpec` for each tensor."""

    operator: Any
    arguments: tuple[Any, ...]
    flops: int

    def replay(self, tensors: dict[TensorSpec, Tensor]) -> Callable[[], object]:
        """Return the call as a function, on tensors of `tensors`: calls share them as they share weights and images."""

        def tensor(value: Any) -> Any:
            if not isinstance(value, TensorSpec):
                return value
            if value not in tensors:
                tensors[value] = value.make()
            return tensors[value]

        arguments = tree_map(tensor, list(self.arguments))
        return lambda: self.operator(*arguments)


class CallRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records every call whose floating-point operations torch can count."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[RecordedCall] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            described = tree_map(_describe, list(args))
            self.calls.append(RecordedCall(func, tuple(described), count(*args, **(kwargs or {}), out_val=out)))
        return out


def _describe(value: Any) -> Any:
    return TensorSpec(tuple(value.shape), value.stride(), value.dtype) if isinstance(value, Tensor) else value


class NoSums(TermSums):
    """Keeps no sums: telemetry is not part of forward, backward and optimiser."""

    def add(self, terms: object) -> None:
        pass


@dataclass(frozen=True)
class Work:
    """Operations and bytes of a period of rounds: from one penalty to the next, or one round."""

    rounds: int
    products: list[RecordedCall]
    shared: int
    optimiser_bytes: int

    @property
    def flops(self) -> int:
        """Floating-point operations of all its products."""
        return sum(product.flops for product in self.products)


def observe(loop: TrainingLoop) -> Work:
    """Record one period of the loop's rounds."""
    state, step_config = loop.state, loop.step_config
    method = state.method
    assert isinstance(method, Adversarial)
    config = method.config
    lazy = config.penalty.every if method.penalty.takes_gradients else 1
    rounds = -(-lazy // config.discriminator.steps)
    with CallRecorder() as recorder:
        for _ in range(rounds):
            run_round(state, step_config)
    with CallRecorder() as generating, torch.no_grad(), step_config.autocast():
        state.modules["generator"](
            state.noise.latents(step_config.batch_size),
            *[t for t in (state.noise.labels(step_config.batch_size),) if t is not None],
        )
    once = config.generator.steps == 1 and not method.loss.paired
    shared = rounds * sum(product.flops for product in generating.calls) if once else 0
    generator, discriminator = (
        sum(p.numel() for p in net.parameters()) for net in (state.modules["generator"], state.modules["discriminator"])
    )
    moved = config.discriminator.steps * discriminator * _ADAM_BYTES + config.generator.steps * generator * (
        _ADAM_BYTES + _EMA_BYTES
    )
    return Work(rounds, recorder.calls, shared, rounds * moved)


@dataclass(frozen=True)
class Seconds:
    """Seconds per period: of the whole loop, of the step, of products alone, of moving the optimisers' bytes alone."""

    loop: float
    step: float
    products: float
    memory: float


class Programs:
    """The four programs of one preset, which alternate."""

    def __init__(self, config: TrainingConfig, loop: TrainingLoop, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._loop = loop
        started = clock()
        run_round(loop.state, loop.step_config)
        self.first = clock() - started
        for _ in range(_WARM_UP_ROUNDS):
            run_round(loop.state, loop.step_config)
        self.work = observe(loop)
        tensors: dict[TensorSpec, Tensor] = {}
        self._replays = [product.replay(tensors) for product in self.work.products]
        self._arrays = [torch.ones(self.work.optimiser_bytes // 12) for _ in range(3)]
        self.config = config

    def run(self, periods: int) -> Seconds:
        """Run each program for some periods."""
        return Seconds(
            self._whole(periods), self._timed(self._step, periods), self._timed(self._products, periods),
            self._timed(self._memory, periods),
        )  # fmt: skip

    def profile(self, periods: int) -> str:
        """Profile whole rounds; returns a table of operators."""
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            for _ in range(periods * self.work.rounds):
                run_round(self._loop.state, self._loop.step_config)
        table: str = profiler.key_averages().table(
            sort_by="self_cpu_time_total", row_limit=16, max_name_column_width=40
        )
        return table

    def _whole(self, periods: int) -> float:
        """Continue the run as the trainer does, and stop it after so many periods."""
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
        sums, state.sums = state.sums, NoSums((), dict.fromkeys(state.optimizers, ""), state.device)
        batches = [state.batches.next() for update in state.method.updates(0) if update.takes_images]
        hyperparameters = step_config.hyperparameters(state)
        for index in range(self.work.rounds):
            updates = state.method.updates(index * step_config.images_per_round)
            run_updates(state, step_config, hyperparameters, Round(updates, batches))
        state.sums = sums

    def _products(self) -> None:
        for replay in self._replays:
            replay()

    def _memory(self) -> None:
        torch.add(self._arrays[0], self._arrays[1], out=self._arrays[2])


def measure(
    name: str, threads: int, repeats: int, seconds: float, clock: Callable[[], float], work: Path
) -> Iterator[str]:
    """Measure one preset; yields lines of the report."""
    config = _config(name)
    prepared = prepare(
        "mnist-mini", config.size, config.channels, datasets_dir=work, images_dir=work, prepared_dir=work
    )
    precision = choose_precision(config, training_loop.CPU)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        loop = training_loop.make_loop(config, prepared, Path(folder), precision, training_loop.PublishedWeights())
        programs = Programs(config, loop, clock)
        periods = max(1, round(seconds / 4 / (programs.run(1).step)))
        results = [programs.run(periods) for _ in range(repeats)]
    done = programs.work
    images = done.rounds * loop.step_config.images_per_round
    whole, products, memory = (
        median(getattr(result, part) for result in results) for part in ("loop", "products", "memory")
    )
    needed = (done.flops - done.shared) / done.flops
    least = needed * products + memory
    share = median((needed * result.products + result.memory) / result.loop for result in results)
    overhead = median(1 - result.step / result.loop for result in results)
    mflop = done.flops / images / 1e6
    warm_up = programs.first - whole / done.rounds
    yield (
        f"| {name} | {threads} | {precision} | {images / whole:.0f} | {images / least:.0f} | {share:.2f} | "
        f"{mflop * needed:.1f} of {mflop:.1f} | {done.flops / products / 1e9:.0f} GFLOP/s | "
        f"{done.optimiser_bytes / memory / 1e9:.1f} GB/s | {overhead:.1%} | {warm_up:.2f} s |"
    )
    target = TARGETS.get(name)
    if target is not None and share < target:
        yield f"\n{name} misses {target}: at least {least / done.rounds * 1e3:.1f} ms per round; profile:\n"
        yield programs.profile(periods)
    if overhead > OVERHEAD:
        yield f"\n{name} spends more than {OVERHEAD:.0%} outside forward, backward and optimiser\n"


def _config(name: str) -> TrainingConfig:
    """Return a preset's configuration on digits, with nothing but ticks between its start and its end."""
    request = TrainRequest(
        preset=name,
        dataset="mnist-mini",
        model="roofline",
        kimg=100_000,
        overrides={"snapshots": 1, "publish_every": 1.0},
    )
    return resolve(request)


def main() -> None:
    parser = argparse.ArgumentParser(description="Training speed as a share of the roofline.")
    parser.add_argument("--presets", nargs="+", default=["dcgan-64", "mlp-mnist", "quick-28"])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=8.0, help="of all programs in one repeat, about")
    parser.add_argument("--busy", action="store_true", help="measure processor time instead of wall time")
    arguments = parser.parse_args()
    keep_memory()
    torch.set_flush_denormal(True)
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory() as work:
        for threads in arguments.threads:
            torch.set_num_threads(threads)
            clock = (lambda threads=threads: time.process_time() / threads) if arguments.busy else time.perf_counter
            for name in arguments.presets:
                for line in measure(name, threads, arguments.repeats, arguments.seconds, clock, Path(work)):
                    print(line, flush=True)


if __name__ == "__main__":
    main()

"""Resolution of a run's configuration on the machine that first works on it: device, precision, threads, length.

A resumed run keeps these decisions where it can; `changes` lists what prevents an exact continuation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from shutil import which

import torch

from models.config.resolved import ComputePrecision, Resolved, ResolvedRow
from models.config.training import TrainingConfig
from models.scores import EvaluationSchedule
from models.settings import training_threads
from worker.data import mirroring
from worker.data.held_out import count_held_out
from worker.data.prepared import Prepared
from worker.evaluation.inception import ensure_weights
from worker.evaluation.schedule import MIN_IMAGES, DeviceType, schedule_evaluations
from worker.settings import WorkerSettings
from worker.training.failure import TrainingFailed

Device = torch.device  # a run says with which `torch` it was made

_EXACTNESS = (
    "device",
    "device_name",
    "precision",
    "compiled",
    "recorded",
    "threads",
    "accumulate",
    "torch",
    "data",
    "mirrored",
    "held_out",
)


def devices_of(resolved: Resolved) -> list[Device]:
    return [torch.device(name) for name in resolved.device_names]


def resolve(config: TrainingConfig, settings: WorkerSettings, prepared: Prepared, earlier: ResolvedRow) -> Resolved:
    """Decide what the configuration leaves open, except for decisions of `earlier` that still hold.

    Raises:
        TrainingFailed: the run is not possible on these devices.
    """
    names = choose_devices(settings.device, config.devices, earlier.get("device", "").split(","))
    device = torch.device(names[0])
    total = config.total_images(prepared.count)
    # Precision, compilation and slices depend on the kind of device: on another kind they are decided again.
    here: ResolvedRow = earlier if _is_same_kind(device, earlier) else {}
    precision: ComputePrecision = here.get("precision") or choose_precision(config, device)
    threads = earlier.get("threads") or max(1, (settings.threads or training_threads()) // config.devices)
    return Resolved(
        preset=earlier.get("preset", config.preset),
        device=",".join(names),
        device_name=device_name(device),
        precision=precision,
        compiled=bool(here["compiled"]) if "compiled" in here else choose_compiled(config, device),
        recorded=bool(here["recorded"]) if "recorded" in here else choose_recorded(config, device),
        threads=threads,
        batch_size=config.batch_size,
        accumulate=here.get("accumulate", 1),
        total_images=total,
        # A run that is extended keeps its schedules: they must not change for images that were already trained on.
        annealed_images=earlier.get("annealed_images") or earlier.get("total_images") or total,
        dataset_images=prepared.count,
        held_out=_held_out(prepared, earlier),
        mirrored=bool(earlier["mirrored"]) if "mirrored" in earlier else choose_mirrored(config, prepared),
        data=prepared.manifest.sha256["images.u8"],
        torch=torch.__version__,
        evaluation=_evaluation(config, settings, prepared, device, precision, threads, earlier),
        reasons=tuple(earlier.get("reasons", ())),
        config=earlier.get("config"),
    )


def _is_same_kind(device: Device, earlier: ResolvedRow) -> bool:
    return earlier.get("device", "").startswith(device.type)


# The schedule of evaluations; None where there are too few images to compare with.
def _evaluation(
    config: TrainingConfig,
    settings: WorkerSettings,
    prepared: Prepared,
    device: Device,
    precision: ComputePrecision,
    threads: int,
    earlier: ResolvedRow,
) -> EvaluationSchedule | None:
    if prepared.count < MIN_IMAGES:
        return None
    if (known := earlier.get("evaluation")) is not None:
        return EvaluationSchedule.model_validate(known)
    kind: DeviceType = "cuda" if device.type == "cuda" else "cpu"
    has_inception = partial(ensure_weights, settings.evaluation_dir, download=settings.fetch_inception)
    return schedule_evaluations(config, prepared, kind, precision, threads, has_inception)


def changes(earlier: Mapping[str, object], now: Resolved) -> list[str]:
    """List what prevents an exact continuation, a phrase for each; empty if nothing does."""
    current = now.model_dump()
    return [
        f"{name} was {earlier[name]} and is {current[name]}"
        for name in _EXACTNESS
        if name in earlier and earlier[name] != current[name]
    ]


def choose_precision(config: TrainingConfig, device: torch.device) -> ComputePrecision:
    """Return the precision of forward passes: as configured, else bf16 where the device computes in it natively."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _cpu_multiplies_bf16() else "fp32"


# Decided at a run's first start; runs of earlier versions of the program go on with all images.
def _held_out(prepared: Prepared, earlier: ResolvedRow) -> int:
    if "held_out" in earlier or "total_images" in earlier:
        return earlier.get("held_out", 0)
    return count_held_out(prepared)


def choose_mirrored(config: TrainingConfig, prepared: Prepared) -> bool:
    """Return whether images are also shown mirrored: as configured, else by looking at them."""
    mirror = config.augment.mirror
    return mirror == "on" or (mirror == "auto" and mirroring.judge(prepared).harmless)


# As configured, else on a single GPU if there is a compiler.
def choose_compiled(config: TrainingConfig, device: torch.device) -> bool:
    # On a CPU compilation made small networks slower and a large one no faster, and takes ten seconds or more.
    if config.compile != "auto":
        return config.compile == "on"
    has_compiler = find_spec("triton") is not None and any(map(which, ("cc", "gcc", "clang")))
    return config.devices == 1 and device.type == "cuda" and has_compiler


# On a single GPU: ranks communicate within a round, which a graph cannot contain.
def choose_recorded(config: TrainingConfig, device: torch.device) -> bool:
    return device.type == "cuda" and config.devices == 1


def device_name(device: torch.device) -> str:
    """Return the hardware's name, as far as results depend on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu {torch.backends.cpu.get_cpu_capability()}"


def _cpu_multiplies_bf16() -> bool:
    # torch has no public functions for these two.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def choose_devices(wanted: str, count: int, earlier: list[str]) -> list[str]:
    """Return `count` of the devices in the setting; those of `earlier`, if they are available.

    Raises:
        TrainingFailed: there are fewer, or of several kinds.
    """
    cuda = torch.cuda.is_available()
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if names in ([], ["auto"], ["cuda"]) and cuda:
        names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    names = ["cpu"] if names in ([], ["auto"]) else ["cuda:0" if name == "cuda" else name for name in names]
    if not cuda and any(name.startswith("cuda") for name in names):
        raise TrainingFailed(
            f'ATELIER_DEVICE is "{wanted}" but torch {torch.__version__} finds no CUDA device: set it to auto or cpu'
        )
    if len(names) < count:
        raise TrainingFailed(
            f'the run needs {count} devices, and ATELIER_DEVICE "{wanted}" has {len(names)}: name more of them, '
            'such as "cuda:0,cuda:1", or start a new run with fewer'
        )
    if len({torch.device(name).type for name in names[:count]}) > 1:
        raise TrainingFailed(f'ATELIER_DEVICE is "{wanted}": a run trains on devices of one kind')
    # A resumed run keeps its devices, so that it continues exactly.
    available = len(earlier) == count and all(names.count(name) >= earlier.count(name) for name in earlier)
    return earlier if available else names[:count]

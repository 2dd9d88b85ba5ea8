"""Choice of a configuration for `preset=auto`, at the first start of a run: by its data set and its device."""

from __future__ import annotations

from collections.abc import Callable

import torch

from models.config import auto, fit
from models.config.presets import AUTO
from models.config.requests import ConfigError, TrainRequest
from models.config.resolved import ResolvedRow
from models.config.resources import Device, main_memory
from models.datasets.catalogue import BUILTIN, DatasetProblem, is_uploaded
from models.datasets.folders import folder_info
from models.datasets.info import DatasetInfo, builtin_info, upload_info
from models.datasets.uploads import ValidationReport
from models.records import Records, Run
from models.settings import SharedSettings, training_threads
from worker.training.failure import TrainingFailed
from worker.training.resolution import choose_devices


def choose_configuration(run: Run, records: Records, settings: SharedSettings, log: Callable[[str], None]) -> Run:
    """Choose the configuration of a run with `preset=auto` and write it into its row; return other runs unchanged.

    Raises:
        TrainingFailed: nothing can be chosen for this data set.
        ClaimLost: another attempt owns the run.
    """
    if run.preset != AUTO or run.resolved:
        return run
    try:
        # Whether it fits into memory is not part of the choice: `fit_slices` tries that before every training.
        dataset = _dataset_info(run.dataset, records, settings)
        config, choice = auto.complete(TrainRequest.model_validate(run.request), dataset, describe_device(settings))
        problems = fit.conflicts(config, dataset)
    except (DatasetProblem, ConfigError) as error:
        raise TrainingFailed(f"nothing can be chosen for {run.dataset}: {error}") from error
    if problems:
        raise TrainingFailed("; ".join(problem.msg for problem in problems))
    reasons = list(choice.reasons.values())
    chosen: ResolvedRow = {"preset": choice.preset, "reasons": reasons, "config": config.model_dump(mode="json")}
    settled = records.settle(run.claim, config, chosen)
    for reason in reasons:
        log(reason)
    return settled


def describe_device(settings: SharedSettings) -> Device:
    """Return the kind, cores and memory of the first device that this worker trains on.

    Raises:
        TrainingFailed: it is not available.
    """
    device = torch.device(choose_devices(settings.device, 1, [])[0])
    cores = settings.threads or training_threads()
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return Device(kind="cuda", cores=cores, memory_bytes=memory)
    return Device(kind="cpu", cores=cores, memory_bytes=main_memory())


def _dataset_info(name: str, records: Records, settings: SharedSettings) -> DatasetInfo:
    if name in BUILTIN:
        return builtin_info(name)
    if not is_uploaded(name):
        return folder_info(name, settings.images_dir)
    row = records.get_dataset(name)
    if row is None or row.state != "ready":
        raise DatasetProblem(f'there is no data set "{name}" that is ready: upload it again, or start another run')
    return upload_info(name, ValidationReport.model_validate(row.report))

"""What `preset=auto` leaves to the first start of a run: chosen by facts of data set and device, kept in its row."""

from __future__ import annotations

from collections.abc import Callable

import torch

from models.config import auto, fit
from models.config.presets import AUTO, ConfigError, TrainRequest
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


def settle(run: Run, records: Records, house: SharedSettings, log: Callable[[str], None]) -> Run:
    """Choose the configuration of a run that asked for that, unless it is chosen; others are given back as they are.

    Whether it fits into memory is tried before the training begins, as for every run.

    Args:
        run: claimed.
        records: where its row is.
        house: the worker's settings.
        log: told a sentence for each choice.

    Raises:
        TrainingFailed: nothing can be chosen for this data set.
        ClaimLost: another attempt owns the run.
    """
    if run.preset != AUTO or run.resolved:
        return run
    try:
        facts = _facts(run.dataset, records, house)
        config, choice = auto.complete(TrainRequest.model_validate(run.request), facts, describe_device(house))
        problems = fit.conflicts(config, facts)
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


def describe_device(house: SharedSettings) -> Device:
    """Describe the first of the devices that this worker trains on.

    Raises:
        TrainingFailed: it is not there.
    """
    device = torch.device(choose_devices(house.device, 1, [])[0])
    cores = house.threads or training_threads()
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
        return Device(kind="cuda", cores=cores, memory_bytes=memory)
    return Device(kind="cpu", cores=cores, memory_bytes=main_memory())


def _facts(name: str, records: Records, house: SharedSettings) -> DatasetInfo:
    if name in BUILTIN:
        return builtin_info(name)
    if not is_uploaded(name):
        return folder_info(name, house.images_dir)
    row = records.get_dataset(name)
    if row is None or row.state != "ready":
        raise DatasetProblem(f'there is no data set "{name}" that is ready: upload it again, or start another run')
    return upload_info(name, ValidationReport.model_validate(row.report))

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.config.resolved import ResolvedRow
from tests.worker.training.tiny import tiny
from worker.data.prepared import Prepared
from worker.settings import WorkerSettings
from worker.training.failure import TrainingFailed
from worker.training.resolution import changes, choose_precision, devices_of, resolve

CPU = torch.device("cpu")


def worker_settings(**values: Any) -> WorkerSettings:
    return WorkerSettings(**{"device": "cpu", "threads": 2, **values})


def test_what_the_machine_decides_is_written_down(digits: Prepared) -> None:
    resolved = resolve(tiny(kimg=8), worker_settings(), digits, {})
    assert (resolved.device, resolved.threads, resolved.batch_size) == ("cpu", 2, 32)
    assert (resolved.total_images, resolved.dataset_images) == (8000, 6000)
    assert resolved.torch == torch.__version__
    assert len(resolved.data) == 64


def test_what_was_decided_is_taken_over(digits: Prepared) -> None:
    earlier: ResolvedRow = {**resolve(tiny(), worker_settings(), digits, {}).row(), "precision": "fp32", "threads": 1}
    again = resolve(tiny(kimg=16), worker_settings(threads=4), digits, earlier)
    assert (again.precision, again.threads, again.total_images) == ("fp32", 1, 16000)


def test_a_run_on_several_devices_has_as_many_of_those_that_are_named(digits: Prepared) -> None:
    config = tiny(devices=2)
    resolved = resolve(config, worker_settings(device="cpu, cpu,cpu", threads=5), digits, {})
    assert (resolved.device, devices_of(resolved), resolved.threads) == ("cpu,cpu", [CPU, CPU], 2)
    assert resolve(config, worker_settings(device="cpu,cpu"), digits, resolved.row()).device == "cpu,cpu"


def test_more_devices_than_the_worker_has_are_refused(digits: Prepared) -> None:
    with pytest.raises(TrainingFailed, match='needs 2 devices, and ATELIER_DEVICE "cpu" has 1: name more'):
        resolve(tiny(devices=2), worker_settings(), digits, {})


def test_slices_of_a_batch_are_kept_and_reported(digits: Prepared) -> None:
    first = resolve(tiny(), worker_settings(), digits, {})
    again = resolve(tiny(), worker_settings(), digits, {**first.row(), "accumulate": 4})
    assert (first.accumulate, again.accumulate) == (1, 4)
    assert changes(first.row(), again) == ["accumulate was 1 and is 4"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_cuda_device_is_reported(digits: Prepared) -> None:
    with pytest.raises(TrainingFailed, match=r'ATELIER_DEVICE is "cuda" but torch .* finds no CUDA device'):
        resolve(tiny(), worker_settings(device="cuda"), digits, {})


@pytest.mark.parametrize("wanted", ["fp32", "bf16"])
def test_a_precision_that_was_asked_for_is_used(wanted: str) -> None:
    assert choose_precision(tiny(precision=wanted), CPU) == wanted


@pytest.mark.parametrize(("instructions", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_bf16_is_chosen_where_the_processor_multiplies_it(
    instructions: bool, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: instructions)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert choose_precision(tiny(precision="auto"), CPU) == chosen


def test_only_what_exactness_depends_on_is_a_difference(digits: Prepared) -> None:
    now = resolve(tiny(), worker_settings(), digits, {})
    assert changes(now.row(), now) == []
    changed = {**now.row(), "threads": 1, "torch": "1.0", "total_images": 1}
    assert changes(changed, now) == ["threads was 1 and is 2", f"torch was 1.0 and is {torch.__version__}"]


def test_a_longer_target_leaves_schedules_at_the_first_length(digits: Prepared) -> None:
    first = resolve(tiny(kimg=8), worker_settings(), digits, {}).row()
    longer = resolve(tiny(kimg=16), worker_settings(), digits, first)
    assert (first["annealed_images"], longer.total_images, longer.annealed_images) == (8000, 16000, 8000)
    again = resolve(tiny(kimg=24), worker_settings(), digits, longer.row())
    assert (again.total_images, again.annealed_images) == (24000, 8000)


def test_another_kind_of_device_decides_anew_what_depends_on_it(digits: Prepared) -> None:
    first = resolve(tiny(precision="fp32"), worker_settings(), digits, {})
    on_gpu: ResolvedRow = {"device": "cuda:0", "device_name": "NVIDIA H200", "precision": "bf16", "compiled": True}
    earlier: ResolvedRow = {**first.row(), **on_gpu, "recorded": True, "accumulate": 4, "annealed_images": 5}
    now = resolve(tiny(precision="fp32"), worker_settings(), digits, earlier)
    assert (now.precision, now.compiled, now.recorded, now.accumulate) == ("fp32", False, False, 1)
    assert now.annealed_images == 5
    changed = changes(earlier, now)
    assert changed[0] == "device was cuda:0 and is cpu"
    assert len(changed) == 6

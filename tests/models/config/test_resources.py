"""What a training takes, by arithmetic, and the device that choices are made for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.config import resources
from models.config.requests import TrainRequest, resolve
from models.config.resources import Device, local, main_memory, memory_bytes, operations
from models.config.training import TrainingConfig
from models.settings import SharedSettings


def config(preset: str, **overrides: Any) -> TrainingConfig:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return resolve(TrainRequest(preset=preset, dataset="mnist", overrides=named))


def test_operations_of_the_plain_program_are_those_of_its_matrices() -> None:
    # 29.0 MFLOP by a count that leaves out what need not be computed: the first layers' way back to their inputs.
    assert 29e6 < operations(config("mlp-mnist")) < 36e6


def test_a_penalty_costs_what_it_is_taken_for() -> None:
    plain = operations(config("wgan-gp", loss="hinge", penalty__kind="none"))
    every, eighth = (operations(config("wgan-gp", loss="hinge", penalty__every=k)) for k in (1, 8))
    assert every - plain == pytest.approx(8 * (eighth - plain))


def test_more_steps_of_the_generator_cost_more_for_each_real_image() -> None:
    assert operations(config("dcgan-64", generator__steps=2)) > 1.3 * operations(config("dcgan-64"))


def test_memory_grows_with_the_batch_and_by_the_pixels_of_the_data() -> None:
    small, large = config("dcgan-64"), config("dcgan-64", batch_size=128)
    assert memory_bytes(large, 0) > 1.5 * memory_bytes(small, 0)
    assert memory_bytes(small, 1000) - memory_bytes(small, 0) == 1000 * 64 * 64 * 3


def test_devices_are_told_in_words() -> None:
    assert str(Device(kind="cpu", cores=1, memory_bytes=8_000_000_000)) == "a CPU with one core and 8 GB"
    assert str(Device(kind="cuda", cores=8, memory_bytes=24_000_000_000)) == "a GPU with 24 GB"


@pytest.mark.parametrize(
    ("setting", "gpu", "kind"),
    [("cpu", 1 << 30, "cpu"), ("auto", None, "cpu"), ("auto", 1 << 30, "cuda"), ("cpu,cpu", 1 << 30, "cpu")],
)
def test_cpu_is_taken_where_it_is_set_or_there_is_no_gpu(
    setting: str, gpu: int | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_cuda_memory", lambda _: gpu)
    device = local(SharedSettings(device=setting, threads=3))
    assert (device.kind, device.cores) == (kind, 3)
    assert device.memory_bytes == (gpu if kind == "cuda" else main_memory())


def test_the_gpu_that_is_named_first_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "_cuda_memory", lambda index: (index + 1) << 30)
    for setting, gigabytes in (("cuda:3,cuda:0", 4), ("cuda", 1), ("auto", 1), (" cuda:1 ", 2)):
        assert local(SharedSettings(device=setting)).memory_bytes == gigabytes << 30


def test_machine_without_a_driver_has_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "DRIVER", "libno-such-driver.so")
    assert local(SharedSettings(device="auto")).kind == "cpu"


def test_memory_is_bounded_by_the_containers_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / "memory.max"
    monkeypatch.setattr(resources, "_CGROUP_MEMORY", share)
    whole = main_memory()
    share.write_text("max\n")
    assert main_memory() == whole
    share.write_text("1000000\n")
    assert main_memory() == 1_000_000

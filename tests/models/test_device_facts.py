"""The device that choices are made for, found out without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.config import resources
from models.config.resources import Device, local, main_memory
from models.settings import SharedSettings


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

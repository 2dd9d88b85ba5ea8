"""Numerics are decided once and kept."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from app.engine.calibration import Calibrations, CannotPaint, _preferred
from app.engine.tile import Network, describe_device, software
from models.config import GeneratorConfig
from tests.fixtures.models import TINY_DCGAN, TINY_MLP, tiny_generator

T = TypeVar("T")
CPU = torch.device("cpu")


def calibrations(folder: Path, threads: int = 1) -> Calibrations:
    return Calibrations(folder, device=describe_device(CPU), software=software(), threads=threads)


def now(work: Callable[[], T], /) -> T:
    return work()


def record_file(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN])
def test_every_admitted_tile_gives_the_same_floats_in_every_slot(tmp_path: Path, config: GeneratorConfig) -> None:
    network = Network(tiny_generator(config, 5), CPU)
    painter = calibrations(tmp_path).painter(network, config, now)
    z = np.random.default_rng(0).standard_normal((painter.tile, config.latent.dim)).astype(np.float32)
    reference = network.exact(z)
    for size in painter.sizes:
        for start in range(0, painter.tile, size):
            assert np.array_equal(network.exact(z[start : start + size]), reference[start : start + size])


def test_a_restart_and_another_version_of_the_network_decide_nothing_anew(tmp_path: Path) -> None:
    first = calibrations(tmp_path)
    first.painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    written = record_file(tmp_path).stat().st_mtime_ns
    second = calibrations(tmp_path)
    assert second.known(TINY_MLP) == first.known(TINY_MLP)
    second.painter(Network(tiny_generator(TINY_MLP, 2), CPU), TINY_MLP, now)
    assert record_file(tmp_path).stat().st_mtime_ns == written
    assert second.known(TINY_MLP).fingerprint == first.known(TINY_MLP).fingerprint


def test_the_recorded_tile_is_used_whatever_a_stopwatch_would_say(tmp_path: Path) -> None:
    calibrations(tmp_path).painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    path = record_file(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tile": 4, "small": []}))
    painter = calibrations(tmp_path).painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    assert painter.sizes == (4,)


def test_other_threads_are_other_numerics(tmp_path: Path) -> None:
    one, two = calibrations(tmp_path, threads=1), calibrations(tmp_path, threads=2)
    one.painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    assert two.known(TINY_MLP) is None


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1}', b"\xff\xfe", b'{"format": 2, "tile": 4}'])
def test_a_corrupt_file_is_decided_anew_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    calibrations(tmp_path).painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    path = record_file(tmp_path)
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        calibrations(tmp_path).painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    assert "decided anew" in caplog.text
    assert calibrations(tmp_path).known(TINY_MLP) is not None


def test_without_a_disk_to_write_on_the_numerics_hold_until_the_process_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    held = calibrations(blocked / "calibration")
    with caplog.at_level(logging.WARNING):
        held.painter(Network(tiny_generator(TINY_MLP, 1), CPU), TINY_MLP, now)
    assert held.known(TINY_MLP) is not None
    assert "cannot be written" in caplog.text


def test_weights_that_give_no_numbers_are_refused(tmp_path: Path) -> None:
    generator = tiny_generator(TINY_MLP, 1)
    next(iter(generator.parameters())).fill_(float("nan"))
    with pytest.raises(CannotPaint, match="not finite"):
        calibrations(tmp_path).painter(Network(generator, CPU), TINY_MLP, now)


def test_the_smallest_tile_near_the_best_throughput_is_preferred() -> None:
    assert list(_preferred({4: 0.004, 8: 0.005, 16: 0.0085, 32: 0.016})) == [16, 8, 4]


def test_a_tile_that_takes_too_long_is_not_preferred_however_efficient() -> None:
    assert list(_preferred({4: 0.09, 8: 0.12})) == [4]
    assert list(_preferred({4: 0.5})) == [4]

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

from app.engine.calibration import Calibrations, Record, SelfTestFailed, _by_preference
from app.engine.devices import worker_threads
from app.engine.network import Numerics
from app.engine.runner import Runner
from models.config.networks import GeneratorConfig
from tests.fixtures.models import TINY_CONDITIONAL, TINY_DCGAN, TINY_MLP, random_inputs, tiny_generator

T = TypeVar("T")


def calibrations(folder: Path, threads: int = 1) -> Calibrations:
    return Calibrations(folder, worker_threads([torch.device("cpu")], threads))


def now(work: Callable[[int], T], worker: int | None = None) -> T:
    return work(worker or 0)


def build(records: Calibrations, config: GeneratorConfig, seed: int = 1) -> Runner:
    return records.build_runner(tiny_generator(config, seed), config, weights(seed), now)


def weights(seed: int) -> str:
    return f"{seed:064x}"


def known(records: Calibrations, seed: int) -> Record:
    record = records.known(TINY_MLP, weights(seed))
    assert record is not None
    return record


def record_file(folder: Path) -> Path:
    (path,) = folder.glob("*.json")
    return path


@pytest.mark.parametrize("config", [TINY_MLP, TINY_DCGAN, TINY_CONDITIONAL])
def test_every_admitted_batch_size_gives_the_same_floats_in_every_slot(tmp_path: Path, config: GeneratorConfig) -> None:
    it = build(calibrations(tmp_path), config)
    inputs = random_inputs(config, it.batch_size)
    (network,) = it.networks
    reference = network.exact(inputs)
    for size in it.sizes:
        for start in range(0, it.batch_size, size):
            assert np.array_equal(network.exact(inputs.slice(start, start + size)), reference[start : start + size])


def test_a_restart_and_another_version_of_the_network_decide_nothing_anew(tmp_path: Path) -> None:
    first = calibrations(tmp_path)
    build(first, TINY_MLP, 1)
    written = record_file(tmp_path).stat().st_mtime_ns
    second = calibrations(tmp_path)
    build(second, TINY_MLP, 2)
    assert record_file(tmp_path).stat().st_mtime_ns == written
    assert known(second, 2).fingerprint == known(first, 1).fingerprint


def test_the_recorded_choice_is_used_whatever_a_stopwatch_would_say(tmp_path: Path) -> None:
    build(calibrations(tmp_path), TINY_DCGAN)
    path = record_file(tmp_path)
    numerics = Numerics(channels_last=True)
    chosen = {"tile": 4, "small": [], "numerics": numerics.model_dump()}
    path.write_text(json.dumps(json.loads(path.read_text()) | chosen))
    it = build(calibrations(tmp_path), TINY_DCGAN)
    assert it.sizes == (4,)
    assert it.networks[0].numerics == numerics


def test_other_numerics_and_other_batch_sizes_have_other_fingerprints(tmp_path: Path) -> None:
    records = calibrations(tmp_path)
    build(records, TINY_MLP)
    record = known(records, 1)
    other = Numerics(precision="bf16" if record.numerics.precision == "fp32" else "fp32")
    updates: list[dict[str, object]] = [{"numerics": other}, {"batch_size": record.batch_size * 2}]
    changed = [Record.model_validate(record.model_dump() | update) for update in updates]
    assert len({each.fingerprint for each in (record, *changed)}) == 3


def test_the_number_of_threads_changes_nothing(tmp_path: Path) -> None:
    build(calibrations(tmp_path, threads=1), TINY_MLP)
    assert calibrations(tmp_path, threads=3).known(TINY_MLP, weights(1)) is not None


def test_weights_that_suffer_too_much_from_the_chosen_precision_run_in_fp32(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build(calibrations(tmp_path), TINY_MLP)
    path = record_file(tmp_path)
    reduced = Numerics(precision="bf16").model_dump()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"numerics": reduced}))
    records = calibrations(tmp_path)
    calm, wild = tiny_generator(TINY_MLP, 2), tiny_generator(TINY_MLP, 3)
    # Large values that cancel out again: bfloat16 has 8 bits for them.
    wild.get_parameter("0.bias").add_(1000)
    wild.get_parameter("2.bias").sub_(1000 * wild.get_parameter("2.weight").sum(1))
    assert records.build_runner(calm, TINY_MLP, weights(2), now).networks[0].numerics.precision == "bf16"
    with caplog.at_level(logging.WARNING):
        assert records.build_runner(wild, TINY_MLP, weights(3), now).networks[0].numerics.precision == "fp32"
    assert "levels of 255 off" in caplog.text
    again = calibrations(tmp_path)
    assert known(again, 3).numerics.precision == "fp32"
    assert known(again, 2).numerics.precision == "bf16"


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1}', b"\xff\xfe", b'{"format": 2, "tile": 4}'])
def test_a_corrupt_file_is_decided_anew_and_replaced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    build(calibrations(tmp_path), TINY_MLP)
    path = record_file(tmp_path)
    path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        build(calibrations(tmp_path), TINY_MLP)
    assert "decided anew" in caplog.text
    assert calibrations(tmp_path).known(TINY_MLP, weights(1)) is not None


def test_without_a_disk_to_write_on_the_numerics_hold_until_the_process_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    records = calibrations(blocked / "calibration")
    with caplog.at_level(logging.WARNING):
        build(records, TINY_MLP)
    assert records.known(TINY_MLP, weights(1)) is not None
    assert "cannot be written" in caplog.text


def test_weights_that_give_no_numbers_are_refused(tmp_path: Path) -> None:
    generator = tiny_generator(TINY_MLP, 1)
    next(iter(generator.parameters())).fill_(float("nan"))
    with pytest.raises(SelfTestFailed, match="not finite"):
        calibrations(tmp_path).build_runner(generator, TINY_MLP, weights(1), now)


def test_the_smallest_batch_size_near_the_best_throughput_is_preferred() -> None:
    assert list(_by_preference({4: 0.02, 8: 0.025, 16: 0.0425, 32: 0.08})) == [16, 8, 4]


def test_among_imperceptibly_quick_sizes_the_largest_is_preferred_that_is_no_slower() -> None:
    assert list(_by_preference({4: 0.0004, 8: 0.0005, 16: 0.0009, 32: 0.0017, 64: 0.0033, 128: 0.0066})) == [
        64,
        32,
        16,
        8,
        4,
    ]
    assert list(_by_preference({4: 0.0004, 8: 0.0008, 16: 0.0017, 32: 0.0036})) == [8, 4]


def test_a_batch_size_that_takes_too_long_is_not_preferred_however_efficient() -> None:
    assert list(_by_preference({4: 0.09, 8: 0.12})) == [4]
    assert list(_by_preference({4: 0.5})) == [4]

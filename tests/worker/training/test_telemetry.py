from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from worker.training.reporting.telemetry import Pace, TermSums, ThroughputMeter, make_tick

CPU = torch.device("cpu")
GROUPS = (("loss_d_real", "loss_d_fake"), ("loss_g",), ("penalty",))
GRADIENTS = {"discriminator": "gradient_d", "generator": "gradient_g"}


def terms(**values: float) -> dict[str, Tensor]:
    return {name: torch.tensor(value) for name, value in values.items()}


def test_means_are_over_the_steps_that_report_each_group() -> None:
    sums = TermSums(GROUPS, GRADIENTS, CPU)
    sums.add(terms(loss_d_real=1.0, loss_d_fake=2.0, penalty=2.0, sign=9.0))
    sums.add(terms(loss_d_real=3.0, loss_d_fake=4.0))
    sums.add(terms(loss_g=5.0))
    means = sums.take()
    assert means == {
        "loss_d_real": 2.0,
        "loss_d_fake": 3.0,
        "loss_g": 5.0,
        "penalty": 2.0,
        "gradient_d": None,
        "gradient_g": None,
    }
    assert not sums.tensor.any()
    assert set(sums.take().values()) == {None}


def test_norms_of_gradients_are_reported_once() -> None:
    sums = TermSums(GROUPS, GRADIENTS, CPU)
    sums.norms["generator"].copy_(torch.tensor(0.5))
    means = sums.take()
    assert (means["gradient_d"], means["gradient_g"]) == (None, 0.5)
    assert sums.take()["gradient_g"] is None


def test_the_warm_up_counts_for_no_estimate() -> None:
    times = iter([0.0, 10.0, 12.0, 14.0])
    throughput_meter = ThroughputMeter(0, lambda: next(times))
    assert throughput_meter.measure(100, 1000) == Pace(10.0, None)
    assert throughput_meter.measure(200, 1000) == Pace(50.0, 16.0)
    assert throughput_meter.measure(300, 1000) == Pace(50.0, 14.0)


def test_the_first_tick_is_measured_from_the_end_of_the_warm_up_on() -> None:
    times = iter([0.0, 10.0, 12.0, 13.0])
    throughput_meter = ThroughputMeter(0, lambda: next(times))
    throughput_meter.warmed_up(100)
    assert throughput_meter.measure(200, 1000) == Pace(50.0, 16.0)
    throughput_meter.warmed_up(200)
    assert throughput_meter.measure(300, 1000) == Pace(100.0, 10.5)


def test_a_tick_says_where_the_run_is() -> None:
    figures = dict[str, float | None](
        loss_d=1.1,
        loss_d_real=0.6,
        loss_d_fake=0.5,
        loss_g=0.9,
        d_real=0.61,
        d_fake=0.33,
        d_fake_after=0.3,
        penalty=None,
        gradient_d=2.5,
        gradient_g=None,
        augment_p=0.25,
    )
    tick = make_tick(
        figures,
        Pace(21_000.04, None),
        images=512_000,
        total=6_000_000,
        count=60_000,
        backoff={"rollbacks": 1, "lr_factor": 0.5, "penalty_factor": 2.0},
        sentence="Well.",
    )
    assert json.loads(json.dumps(tick)) == tick
    assert tick.pop("time").endswith("Z")
    assert tick == {
        "images": 512_000,
        "kimg": 512.0,
        "total_kimg": 6000.0,
        "epoch": pytest.approx(512 / 60),
        "fraction": pytest.approx(512 / 6000),
        "loss_d": 1.1,
        "loss_d_real": 0.6,
        "loss_d_fake": 0.5,
        "loss_g": 0.9,
        "d_real": 0.61,
        "d_fake": 0.33,
        "d_fake_after": 0.3,
        "penalty": None,
        "gradient_d": 2.5,
        "gradient_g": None,
        "augment_p": 0.25,
        "rollbacks": 1,
        "lr_factor": 0.5,
        "penalty_factor": 2.0,
        "images_per_second": 21_000.0,
        "eta_seconds": None,
        "sentence": "Well.",
    }

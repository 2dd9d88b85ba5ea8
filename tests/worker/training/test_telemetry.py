from __future__ import annotations

import json

import pytest
import torch

from worker.training.reporting.telemetry import Means, Pace, Sums, ThroughputMeter, make_tick


def test_means_are_over_each_networks_own_steps() -> None:
    sums = Sums(torch.device("cpu"))
    sums.add_discriminator(torch.tensor([1.0, 2.0, 0.5, 0.25]))
    sums.add_discriminator(torch.tensor([3.0, 4.0, 0.7, 0.35]))
    sums.add_generator(torch.tensor([5.0, 0.4]))
    means = sums.take(has_probabilities=True)
    assert (means.loss_d_real, means.loss_d_fake, means.loss_d, means.loss_g) == (2.0, 3.0, 5.0, 5.0)
    assert (means.d_real, means.d_fake, means.d_fake_after) == pytest.approx((0.6, 0.3, 0.4))
    assert not sums.tensor.any()


def test_outputs_that_are_no_probabilities_are_null() -> None:
    means = Sums(torch.device("cpu")).take(has_probabilities=False)
    assert (means.d_real, means.d_fake, means.d_fake_after) == (None, None, None)


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
    means = Means(
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
    )
    tick = make_tick(
        means,
        Pace(21_000.04, None),
        images=512_000,
        total=6_000_000,
        count=60_000,
        augment_p=0.25,
        gentleness={"rollbacks": 1, "lr_factor": 0.5, "penalty_factor": 2.0},
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


def test_a_penalty_is_the_mean_over_the_steps_that_took_one() -> None:
    sums = Sums(torch.device("cpu"))
    for value in (2.0, 4.0):
        sums.add_penalty(torch.tensor([value]))
    assert sums.take(has_probabilities=False).penalty == 3.0
    assert sums.take(has_probabilities=False).penalty is None

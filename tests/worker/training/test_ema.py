from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from worker.training.rounds import update_average
from worker.training.schedule import ema_decay, ema_half_life


def test_half_of_the_old_average_is_left_after_a_half_life() -> None:
    assert ema_decay(10_000, 10_000) == 0.5
    assert ema_decay(64, 6400) ** 100 == pytest.approx(0.5)


def test_a_half_life_of_zero_makes_the_average_the_last_weights() -> None:
    network = nn.Linear(3, 2)
    average = nn.Linear(3, 2)
    update_average(average, network, ema_decay(64, 0))
    torch.testing.assert_close(average.weight, network.weight, rtol=0, atol=0)


def test_an_early_average_forgets_the_random_beginning() -> None:
    assert ema_half_life(100_000, 2_000) == 100
    assert ema_decay(100, ema_half_life(100_000, 100)) < 1e-6
    assert ema_half_life(100_000, 10_000_000) == 100_000


def test_parameters_move_by_the_share_and_statistics_are_copied() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    average = copy.deepcopy(network)
    before = average.get_parameter("0.weight").detach().clone()
    with torch.no_grad():
        network.get_parameter("0.weight").add_(1.0)
    network(torch.randn(8, 3))
    update_average(average, network, 0.75)
    torch.testing.assert_close(average[0].weight, before + 0.25)
    assert torch.equal(average.get_buffer("1.running_mean"), network.get_buffer("1.running_mean"))
    assert average[1].num_batches_tracked == 1

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fixtures.models import TINY_CONDITIONAL, write_version
from worker.data.builtin import stacked
from worker.data.prepared import DataProblem, Prepared
from worker.evaluation import stacked as stacked_command
from worker.evaluation.samples import real
from worker.evaluation.stacked import MODES, modes, new_reader, obtain_reader, read, sample, train
from worker.settings import WorkerSettings


def test_digits_are_stacked_the_same_way_each_time_and_every_one_is_used() -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 28, 28), np.uint8)
    first, again = stacked(images), stacked(images)
    assert first.shape == (50, 28, 28, 3)
    assert np.array_equal(first, again)
    for colour in range(3):
        assert sorted(image.tobytes() for image in first[..., colour].copy()) == sorted(map(bytes, images))
    assert not np.array_equal(first[..., 0], first[..., 1])


def test_a_reader_learns_digits_and_reads_each_colour(digits: Prepared) -> None:
    reader = new_reader()
    assert train(reader, digits, epochs=1) > 0.85
    assert digits.labels is not None
    threes = torch.cat(list(real(digits, np.arange(300), torch.device("cpu")))).view(100, 3, 28, 28)
    found = read(reader, torch.split(threes, 50))
    assert found.shape == (100, 3)
    assert (found.flatten().numpy() == digits.labels[:300]).mean() > 0.85


def test_modes_are_counted_against_a_thousand_even_ones() -> None:
    every = torch.cartesian_prod(*[torch.arange(10)] * 3)
    occurring, divergence = modes(every)
    assert occurring == MODES
    assert divergence == pytest.approx(0, abs=1e-12)
    occurring, divergence = modes(every[:10])
    assert occurring == 10
    assert divergence == pytest.approx(np.log(100))


def test_a_model_of_other_images_is_refused(tmp_path: Path) -> None:
    write_version(tmp_path, "petals", 1, TINY_CONDITIONAL)
    with pytest.raises(DataProblem, match="3x28x28"):
        sample("petals", tmp_path)


def test_a_torn_reader_is_trained_again_and_a_poor_one_is_not_kept(
    digits: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = WorkerSettings(data_dir=tmp_path)
    house.evaluation_dir.mkdir(parents=True)
    path = house.evaluation_dir / "digits-v1.safetensors"
    path.write_bytes(b"torn")
    monkeypatch.setattr(stacked_command, "_prepared", lambda *_: digits)
    monkeypatch.setattr(stacked_command, "train", lambda *_: 0.5)
    with pytest.raises(DataProblem, match=r"50\.00% of digits rightly"):
        obtain_reader(house)
    assert path.read_bytes() == b"torn"
    monkeypatch.setattr(stacked_command, "train", lambda *_: 0.995)
    assert obtain_reader(house)[1] == 0.995
    monkeypatch.setattr(stacked_command, "train", pytest.fail)
    assert obtain_reader(house)[1] == pytest.approx(0.995)

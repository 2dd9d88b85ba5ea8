"""A loss and a family that a single file each has added go through the ordinary loop; so do images of 256 px."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from models.artifacts.history import read_ticks
from models.config.requests import TrainRequest, resolve
from models.store.weights import load_generator
from tests.fixtures import one_file_family, one_file_loss
from tests.worker.training.attempts import Attempts, after
from tests.worker.training.tiny import QUICK, tiny
from worker.data.ingest import prepare
from worker.data.prepared import Prepared


def test_a_loss_of_one_file_is_trained_and_judged_by_its_own_balance(tmp_path: Path, digits: Prepared) -> None:
    with one_file_loss.registered() as loss:
        run = Attempts(tmp_path, digits)
        assert run.start(tiny(kimg=2, tick_kimg=1, loss=loss.name)).run()
        tick = read_ticks(tmp_path)[-1]
    assert f"at balance they are {one_file_loss.BALANCE.sentence}" in tick["sentence"]
    assert tick["loss_d"] < 2 * one_file_loss.BALANCE.discriminator
    assert (tick["d_real"], tick["d_fake"]) == (None, None)


def test_a_family_of_one_file_is_trained_resumed_and_loaded(tmp_path: Path, digits: Prepared) -> None:
    families = {"generator.network.family": "linear", "discriminator.network.family": "linear"}
    overrides = {**families, **QUICK, "batch_size": 32}
    request = TrainRequest(preset="mlp-mnist", dataset="mnist-mini", model="tiny", kimg=2, overrides=overrides)
    with one_file_family.registered():
        config = resolve(request)
        calm, stopped = Attempts(tmp_path / "calm", digits), Attempts(tmp_path / "stopped", digits)
        assert calm.start(config).run()
        assert not stopped.start(config, after(20)).run()
        assert stopped.start(config).run()
        assert stopped.weights == calm.weights
        images = load_generator(calm.weights, config.generator_config())(torch.randn(3, config.latent.dim))
    assert images.shape == (3, 1, 28, 28)


def test_images_of_256_px_go_through_preparation_and_the_loop(tmp_path: Path) -> None:
    images = tmp_path / "images" / "photos"
    images.mkdir(parents=True)
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (260, 300, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
    prepared = prepare(
        "folder:photos",
        256,
        3,
        datasets_dir=tmp_path,
        images_dir=tmp_path / "images",
        prepared_dir=tmp_path / "prepared",
    )
    narrow = {"generator.network.widths": [4, 4, 4, 4, 4], "discriminator.network.widths": [4, 4, 4, 4, 4]}
    request = TrainRequest(
        preset="dcgan-64",
        dataset="folder:photos",
        kimg=0.016,
        overrides={"size": 256, "batch_size": 4, **QUICK, **narrow},
    )
    config = resolve(request)
    run = Attempts(tmp_path / "run", prepared)
    assert run.start(config).run()
    images_made = load_generator(run.weights, config.generator_config())(torch.randn(2, config.latent.dim))
    assert images_made.shape == (2, 3, 256, 256)

"""Which versions are in memory, and what becomes of those that cannot be."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from app.engine.batcher import Batcher
from app.engine.calibration import Calibrations
from app.engine.devices import worker_threads
from app.engine.pool import GeneratorKey, ModelPool, _lower_priority
from app.engine.runner import Runner
from models.families.mlp import MlpGenerator
from models.inputs import Inputs
from models.store.errors import BrokenVersion, DoesNotFit, VersionNotReady
from models.store.local import LocalStore
from models.store.manifest import WEIGHTS
from models.store.versions import WholeVersion
from models.store.weights import generator_bytes
from tests.fixtures.models import TINY_DCGAN, TINY_MLP, swap_weights, tiny_generator, write_version


class Room:
    """A pool over a model directory, with room for a given number of bytes."""

    def __init__(self, folder: Path, budget: int = 1 << 30) -> None:
        self.root = folder / "models"
        self.directory = LocalStore(self.root)
        workers = worker_threads([torch.device("cpu")], 2)
        self.batcher = Batcher(workers)
        self.pool = ModelPool(self.directory, self.batcher, Calibrations(folder / "c", workers), budget)

    def version(self, ref: str) -> WholeVersion:
        self.directory.scan()
        return self.directory.resolve(ref)

    def load(self, ref: str) -> Runner:
        return self.pool.load(self.version(ref)).result(60)

    def stop(self) -> None:
        self.batcher.stop()
        self.pool.stop()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    it = Room(tmp_path)
    yield it
    it.stop()


@pytest.fixture
def narrow_room(tmp_path: Path) -> Iterator[Room]:
    """Room for two tiny versions, not for three."""
    write_version(tmp_path / "models", "measured")
    roomy = Room(tmp_path)
    size = roomy.load("measured@1").bytes
    roomy.stop()
    it = Room(tmp_path, budget=size * 5 // 2)
    yield it
    it.stop()


def test_a_version_is_loaded_once_however_many_ask(room: Room) -> None:
    write_version(room.root)
    version = room.version("digits@1")
    assert room.pool.get(version) is None
    runners = {id(room.pool.load(version).result(60)) for _ in range(5)}
    assert runners == {id(room.pool.get(version))}
    assert list(room.pool.loaded()) == ["digits@1"]
    assert TINY_MLP.parameters() * 2 <= room.pool.loaded()["digits@1"] <= TINY_MLP.parameters() * 4


def test_the_least_recently_used_makes_room(narrow_room: Room) -> None:
    for number in (1, 2, 3):
        write_version(narrow_room.root, number=number, seed=number)
    narrow_room.load("digits@1")
    narrow_room.load("digits@2")
    assert narrow_room.pool.get(narrow_room.version("digits@1")) is not None
    narrow_room.load("digits@3")
    assert list(narrow_room.pool.loaded()) == ["digits@1", "digits@3"]


def test_the_pinned_version_stays(narrow_room: Room) -> None:
    for number in (1, 2, 3):
        write_version(narrow_room.root, number=number, seed=number)
    narrow_room.load("digits@1")
    narrow_room.pool.pin(narrow_room.version("digits@1"))
    narrow_room.load("digits@2")
    narrow_room.load("digits@3")
    assert list(narrow_room.pool.loaded()) == ["digits@1", "digits@3"]


def test_a_version_that_does_not_fit_beside_the_pinned_one_says_so(narrow_room: Room) -> None:
    larger = TINY_MLP.model_copy(update={"network": MlpGenerator(hidden=(48, 64))})
    write_version(narrow_room.root, "larger", 1, larger)
    write_version(narrow_room.root, "digits", 1)
    narrow_room.load("digits@1")
    narrow_room.pool.pin(narrow_room.version("digits@1"))
    for _ in range(2):
        with pytest.raises(DoesNotFit, match=r"larger@1 cannot be loaded now: .* the default model takes"):
            narrow_room.load("larger@1")
    assert list(narrow_room.pool.loaded()) == ["digits@1"]
    assert narrow_room.version("larger@1").state == "whole"


def test_a_version_beyond_the_budget_is_not_tried_again_for_a_while_unless_it_becomes_the_pinned_one(
    narrow_room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = TINY_MLP.model_copy(update={"network": MlpGenerator(hidden=(480, 640))})
    write_version(narrow_room.root, "larger", 1, larger)
    tried: list[GeneratorKey] = []
    build = ModelPool._build

    def counting(pool: ModelPool, key: GeneratorKey, version: WholeVersion) -> Runner:
        tried.append(key)
        return build(pool, key, version)

    monkeypatch.setattr(ModelPool, "_build", counting)
    for _ in range(3):
        with pytest.raises(DoesNotFit):
            narrow_room.load("larger@1")
    assert len(tried) == 1
    narrow_room.pool.pin(narrow_room.version("larger@1"))
    assert narrow_room.load("larger@1") is not None


def test_a_version_larger_than_the_budget_evicts_nobody_unless_it_is_the_pinned_one(narrow_room: Room) -> None:
    larger = TINY_MLP.model_copy(update={"network": MlpGenerator(hidden=(480, 640))})
    write_version(narrow_room.root, "larger", 1, larger)
    write_version(narrow_room.root, "digits", 1)
    narrow_room.load("digits@1")
    with pytest.raises(DoesNotFit):
        narrow_room.load("larger@1")
    assert list(narrow_room.pool.loaded()) == ["digits@1"]
    write_version(narrow_room.root, "larger", 2, larger)
    narrow_room.pool.pin(narrow_room.version("larger@2"))
    assert narrow_room.load("larger@2") is not None


def test_a_version_for_which_memory_ran_out_is_tried_again_later(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version(room.root)
    tried = []

    def out_of_memory(*_: object) -> None:
        tried.append(1)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("app.engine.pool.load_generator", out_of_memory)
        for _ in range(3):
            with pytest.raises(DoesNotFit, match="does not fit into memory"):
                room.load("digits@1")
        assert len(tried) == 1
        patch.setattr("app.engine.pool.RETRY_SECONDS", 0)
        room.pool._refused.clear()
        with pytest.raises(DoesNotFit):
            room.load("digits@1")
    assert room.load("digits@1") is not None


def test_an_evicted_version_leaves_memory(narrow_room: Room) -> None:
    for number in (1, 2, 3):
        write_version(narrow_room.root, number=number, seed=number)
    network = weakref.ref(narrow_room.load("digits@1").networks[0])
    narrow_room.load("digits@2")
    narrow_room.load("digits@3")
    gc.collect()
    assert network() is None


def test_wrong_bytes_are_marked_broken(room: Room) -> None:
    folder = write_version(room.root)
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    swap_weights(folder, bytes(data))
    version = room.version("digits@1")
    with pytest.raises(BrokenVersion, match="sha256"):
        room.pool.load(version).result(60)
    with pytest.raises(BrokenVersion):
        room.directory.resolve("digits@1")
    assert room.pool.loaded() == {}


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (b"\x80\x04\x95 a pickle", "pickles are never read"),
        (b"", "not a safetensors file"),
        (generator_bytes(tiny_generator(TINY_DCGAN, 0)), "not of the generator described"),
    ],
)
def test_what_is_no_generator_is_marked_broken_with_the_reason(room: Room, weights: bytes, reason: str) -> None:
    write_version(room.root, weights=weights)
    with pytest.raises(BrokenVersion, match=reason):
        room.load("digits@1")
    assert reason in (room.directory.model("digits").versions[0].reason or "")


def test_weights_that_are_not_numbers_are_marked_broken(room: Room) -> None:
    generator = tiny_generator(TINY_MLP, 0)
    next(iter(generator.parameters())).fill_(float("inf"))
    write_version(room.root, weights=generator_bytes(generator))
    with pytest.raises(BrokenVersion, match="not finite"):
        room.load("digits@1")


def test_weights_that_vanish_between_scan_and_load_break_nothing_for_good(room: Room) -> None:
    folder = write_version(room.root)
    version = room.version("digits@1")
    weights = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).unlink()
    with pytest.raises(VersionNotReady):
        room.pool.load(version).result(60)
    swap_weights(folder, weights)
    assert room.load("digits@1") is not None


def test_retain_unloads_what_is_not_wanted(room: Room) -> None:
    write_version(room.root, number=1)
    write_version(room.root, number=2)
    room.load("digits@1")
    room.load("digits@2")
    room.pool.retain(lambda loaded: loaded.ref == "digits@2")
    assert list(room.pool.loaded()) == ["digits@2"]


def test_loading_goes_on_beside_a_busy_device(room: Room) -> None:
    write_version(room.root, number=1)
    write_version(room.root, number=2, seed=2)
    runner = room.load("digits@1")
    stop = threading.Event()

    def keep_busy() -> None:
        inputs = Inputs({"z": np.zeros((runner.batch_size * 4, TINY_MLP.latent.dim), np.float32)})
        while not stop.is_set():
            room.batcher.submit(runner, inputs).result(60)

    load = threading.Thread(target=keep_busy)
    load.start()
    try:
        assert room.load("digits@2") is not None
    finally:
        stop.set()
        load.join(60)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere niceness is not a thread's own")
def test_a_service_that_was_niced_stays_so_while_it_loads() -> None:
    def load() -> int:
        me = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, me, 19)
        _lower_priority()
        return os.getpriority(os.PRIO_PROCESS, me)

    with ThreadPoolExecutor(1) as niced:
        assert niced.submit(load).result() == 19

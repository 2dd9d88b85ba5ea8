from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from models.config.inputs import Latent
from models.config.networks import GeneratorConfig
from models.families.dcgan import DcganGenerator
from models.families.mlp import MlpGenerator
from models.networks import build_generator
from models.store.weights import CheckpointError, generator_bytes, load, load_generator, save

MLP = GeneratorConfig(size=28, channels=1, latent=Latent(dim=4), network=MlpGenerator(hidden=(6,)))
DCGAN = GeneratorConfig(size=28, channels=3, latent=Latent(dim=4), network=DcganGenerator(widths=(8, 4)))


def changed(**tensors: torch.Tensor | None) -> bytes:
    weights = build_generator(MLP).state_dict()
    for name, tensor in tensors.items():
        if tensor is None:
            del weights[name]
        else:
            weights[name] = tensor
    return safetensors.torch.save(weights)


@pytest.mark.parametrize("config", [MLP, DCGAN])
def test_a_generator_comes_back_with_the_same_images(config: GeneratorConfig) -> None:
    generator = build_generator(config)
    generator(torch.randn(8, 4))  # so that running statistics are not at their start
    again = load_generator(generator_bytes(generator), config)
    z = torch.randn(3, 4)
    assert torch.equal(again(z), generator.eval()(z))
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_a_channels_last_generator_comes_back() -> None:
    generator = build_generator(DCGAN)
    plain = generator_bytes(generator)
    assert generator_bytes(generator.to(memory_format=torch.channels_last)) == plain  # type: ignore[call-overload]


def test_missing_unexpected_and_misshapen_tensors_are_named() -> None:
    data = changed(**{"0.bias": None, "extra": torch.zeros(1), "2.weight": torch.zeros(3, 3)})
    with pytest.raises(CheckpointError) as caught:
        load_generator(data, MLP)
    assert "missing 0.bias" in str(caught.value)
    assert "unexpected extra" in str(caught.value)
    assert "2.weight is float32 [3, 3] instead of float32 [784, 6]" in str(caught.value)


def test_weights_of_another_element_type_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"0\.bias is int64 \[6\] instead of float32 \[6\]"):
        load_generator(changed(**{"0.bias": torch.zeros(6, dtype=torch.int64)}), MLP)


def test_a_long_list_of_names_is_cut_short() -> None:
    with pytest.raises(CheckpointError, match="and 92 more"):
        load_generator(changed(**{f"x{i}": torch.zeros(1) for i in range(100)}), MLP)


def test_a_pickle_under_another_name_is_refused_and_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[Path]]:
            return (Path.touch, (Path(tmp_path / "sprung"),))

    weights = tmp_path / "weights.pt"
    torch.save({"0.weight": torch.zeros(1)}, weights)
    for data in (pickle.dumps(Trap()), weights.read_bytes()):
        with pytest.raises(CheckpointError, match="not a safetensors file: pickles are never read"):
            load_generator(data, MLP)
    assert not (tmp_path / "sprung").exists()


def test_torn_and_foreign_bytes_are_refused() -> None:
    data = changed()
    strange = b'{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}'
    foreign = [b"", b"x", data[:-1], data[:40], data + b"x", b"\xff" * 64, len(strange).to_bytes(8, "little") + strange]
    for torn in foreign:
        with pytest.raises(CheckpointError, match="not a safetensors file"):
            load(torn)


def test_saved_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    image = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    save({"image": image, "half": torch.ones(2, dtype=torch.bfloat16), "step": torch.tensor(7)}, path, {"kimg": "1"})
    loaded = load(path.read_bytes())
    assert torch.equal(loaded["image"], image)
    assert loaded["half"].dtype is torch.bfloat16
    assert loaded["step"].item() == 7
    with safetensors.safe_open(path, "pt") as file:
        assert file.metadata() == {"kimg": "1"}


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.safetensors"
    save({"a": torch.zeros(1)}, path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save({"a": torch.ones(1)}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]

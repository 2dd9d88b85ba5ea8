"""Families by name: what configurations accept, what their schema says, and what is built."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.config.inputs import Latent
from models.config.networks import DiscriminatorConfig, GeneratorConfig
from models.config.requests import ConfigError, TrainRequest, resolve
from models.config.training import TrainingConfig
from models.config.values import ConfigConflict, ImageShape
from models.families.dcgan import DcganDiscriminator, DcganGenerator
from models.families.mlp import MlpDiscriminator, MlpGenerator
from models.families.patch import PatchDiscriminator, PatchGenerator
from models.families.r3gan import R3ganDiscriminator, R3ganGenerator
from models.families.spec import FAMILIES, DiscriminatorNetwork, FamilySpec, GeneratorNetwork
from models.networks import build_discriminator, build_generator
from tests.fixtures import one_file_family

LINEAR = {"generator.network.family": "linear", "discriminator.network.family": "linear"}


@pytest.fixture
def family() -> Iterator[FamilySpec]:
    with one_file_family.registered() as spec:
        yield spec


def test_families_have_the_order_that_clients_know() -> None:
    assert FAMILIES.names() == ("mlp", "dcgan", "patch", "r3gan", "fastgan")
    for spec in FAMILIES:
        for network in filter(None, (spec.generator, spec.discriminator)):
            assert network.model_fields["family"].default == spec.name


def test_a_family_of_one_file_is_accepted_with_its_own_settings(family: FamilySpec) -> None:
    config = resolve(TrainRequest(preset="mlp-mnist", overrides={**LINEAR, "generator.network.gain": 2.0}))
    assert config.generator.network == one_file_family.LinearGenerator(gain=2.0)
    assert TrainingConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ConfigError, match=r"generator.network of this family has no .hidden"):
        resolve(TrainRequest(preset="mlp-mnist", overrides={**LINEAR, "generator.network.hidden": [8]}))


def test_a_family_that_nobody_registered_is_refused() -> None:
    with pytest.raises(ConfigError, match="no such family: there are 'mlp', 'dcgan', 'patch', 'r3gan'"):
        resolve(TrainRequest(preset="mlp-mnist", overrides=LINEAR))


def test_strict_validation_reaches_a_familys_own_settings() -> None:
    with pytest.raises(ConfigError, match="valid integer, got '8'"):
        resolve(TrainRequest(preset="mlp-mnist", overrides={"generator.network.hidden": ["8"]}))


def test_the_schema_lists_every_family(family: FamilySpec) -> None:
    schema = TypeAdapter(GeneratorConfig).json_schema()
    network = schema["properties"]["network"]
    assert set(network["discriminator"]["mapping"]) == {"mlp", "dcgan", "patch", "r3gan", "fastgan", "linear"}
    assert network["oneOf"][-1] == {"$ref": "#/$defs/LinearGenerator"}
    assert schema["$defs"]["LinearGenerator"]["properties"]["gain"]["maximum"] == 10


@pytest.mark.parametrize("classes", [0, 3])
def test_a_family_of_one_file_is_built_as_large_as_it_says(family: FamilySpec, classes: int) -> None:
    ours = GeneratorConfig(
        size=28, channels=1, latent=Latent(dim=5), network=one_file_family.LinearGenerator(), classes=classes
    )
    theirs = DiscriminatorConfig(size=28, channels=1, network=one_file_family.LinearDiscriminator(), classes=classes)
    labels = [torch.tensor([0, 1])] if classes else []
    generator, discriminator = build_generator(ours), build_discriminator(theirs)
    images = generator(torch.randn(2, 5), *labels)
    assert images.shape == (2, 1, 28, 28)
    assert discriminator(images, *labels).shape == (2,)
    for network, config in ((generator, ours), (discriminator, theirs)):
        assert sum(weight.numel() for weight in network.parameters()) == config.parameters()


NOT_SQUARE = ImageShape(16, 24, 3)


@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [(MlpGenerator(hidden=(8,)), MlpDiscriminator(hidden=(8,))), (PatchGenerator(widths=(8,)), PatchDiscriminator())],
)
def test_families_that_need_no_square_make_other_shapes(
    generator: GeneratorNetwork, discriminator: DiscriminatorNetwork
) -> None:
    generator.check(NOT_SQUARE)
    discriminator.check(NOT_SQUARE)
    ours, theirs = generator.build(NOT_SQUARE, 5, 0), discriminator.build(NOT_SQUARE, 0)
    images = ours(torch.randn(2, 5))
    assert images.shape == (2, 3, 16, 24)
    assert theirs(images).shape == (2,)
    assert sum(weight.numel() for weight in ours.parameters()) == generator.parameters(NOT_SQUARE, 5)
    assert sum(weight.numel() for weight in theirs.parameters()) == discriminator.parameters(NOT_SQUARE, 0)


@pytest.mark.parametrize("network", [DcganGenerator(), DcganDiscriminator(), R3ganGenerator(), R3ganDiscriminator()])
@pytest.mark.parametrize("shape", [NOT_SQUARE, ImageShape(100, 100, 3)])
def test_families_that_double_a_square_refuse_other_shapes(
    network: GeneratorNetwork | DiscriminatorNetwork, shape: ImageShape
) -> None:
    with pytest.raises(ConfigConflict, match=f"square images of 28, 32, .* px, not {shape.height}x{shape.width}"):
        network.check(shape)


@pytest.mark.parametrize(
    ("family", "generator", "discriminator"),
    [
        ("dcgan", [16, 16, 8, 8, 8], [8, 8, 8, 16, 16]),
        ("r3gan", [16, 16, 8, 8, 8, 8, 8], [8, 8, 8, 8, 8, 16, 16]),
        ("patch", [8, 8], [8, 8]),
    ],
)
def test_images_of_256_px_can_be_trained(family: str, generator: list[int], discriminator: list[int]) -> None:
    ours = GeneratorConfig.model_validate(
        {"size": 256, "channels": 3, "latent": {"dim": 4}, "network": {"family": family, "widths": generator}}
    )
    theirs = DiscriminatorConfig.model_validate(
        {"size": 256, "channels": 3, "network": {"family": family, "widths": discriminator}}
    )
    images = build_generator(ours)(torch.randn(2, 4))
    assert images.shape == (2, 3, 256, 256)
    assert build_discriminator(theirs)(images).shape == (2,)


@pytest.mark.parametrize(
    "network",
    [{"family": "mlp", "slope": 0}, {"family": "mlp", "hidden": []}, {"hidden": [8]}, 3, MlpDiscriminator()],
)
def test_a_network_of_a_wrong_kind_is_refused(network: object) -> None:
    with pytest.raises(ValidationError):
        GeneratorConfig.model_validate({"size": 28, "channels": 1, "latent": {}, "network": network})

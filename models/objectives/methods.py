"""Training methods by name; `worker.training.methods` implements them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from models.registry import Registry


@dataclass(frozen=True)
class MethodSpec:
    """How networks are trained together.

    Attributes:
        name: in configurations.
        title, sentence: shown to people.
        generators: names of the generators that it trains, as in manifests.
        discriminators: names of the modules that judge them.
    """

    name: str
    title: str
    sentence: str
    generators: tuple[str, ...] = ("generator",)
    discriminators: tuple[str, ...] = ()


METHODS: Final[Registry[MethodSpec]] = Registry("method")

ADVERSARIAL: Final = METHODS.register(
    MethodSpec(
        name="adversarial",
        title="Adversarial",
        sentence="A generator learns to make images that a discriminator takes for real ones.",
        discriminators=("discriminator",),
    )
)

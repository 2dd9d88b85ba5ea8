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
        title: for people.
        sentence: what it does, for people.
        generators: the names of the generators that it trains, as versions carry them.
    """

    name: str
    title: str
    sentence: str
    generators: tuple[str, ...] = ("generator",)


METHODS: Final[Registry[MethodSpec]] = Registry("method")

ADVERSARIAL: Final = METHODS.register(
    MethodSpec(
        name="adversarial",
        title="Adversarial",
        sentence="A generator learns to make images that a discriminator takes for real ones.",
    )
)

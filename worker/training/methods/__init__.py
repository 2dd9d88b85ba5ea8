"""Training methods by name; `models.objectives.methods` describes them without torch."""

from __future__ import annotations

from models.config.training import TrainingConfig
from worker.training.methods.adversarial import Adversarial
from worker.training.methods.method import Method

METHODS: dict[str, type[Method]] = {"adversarial": Adversarial}


def create_method(config: TrainingConfig) -> Method:
    return METHODS[config.method](config)

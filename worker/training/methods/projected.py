"""The projected discriminator's part of adversarial training (Sauer et al. 2021, arXiv 2111.01007)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

import torch
from torch import Tensor, nn

from models.config.sections import Projected
from models.networks.projected import Heads, Mixing
from models.objectives.losses import LOSSES
from worker.frozen.efficientnet import EfficientNet, load
from worker.training.methods.method import OptimizerSpec, StepState, Terms

# Figures of a tick.
REPORTED: Final = ("loss_projected_d", "loss_projected_g", "gradient_projected")
_HINGE: Final = LOSSES.get("hinge")


@dataclass(frozen=True)
class ProjectedObjective:
    """The losses of both sides: P is the frozen network with its random mixing, D_l the head of scale l (eq. 3)."""

    config: Projected
    state: StepState

    def discriminator(self, real: Tensor, fake: Tensor) -> Terms:
        """min over D_l: sum over l of E[max(0, 1 - D_l(P_l(x)))] + E[max(0, 1 + D_l(P_l(G(z))))]."""
        count = len(real)
        with torch.no_grad():
            features = self.P(torch.cat((real, fake)))
        # Apart, as the heads normalise by batch (see `Adversarial.joined`).
        on_real = self.D([each[:count] for each in features])
        on_fake = self.D([each[count:] for each in features])
        losses = [_HINGE.real(r) + _HINGE.fake(f) for r, f in zip(on_real, on_fake, strict=True)]
        return {"loss_projected_d": torch.stack(losses).sum()}

    def generator(self, fake: Tensor) -> Terms:
        """min over G: sum over l of -E[D_l(P_l(G(z)))]."""
        losses = [_HINGE.generator(logits) for logits in self.D(self.P(fake))]
        return {"loss_projected_g": torch.stack(losses).sum()}

    def P(self, images: Tensor) -> list[Tensor]:  # noqa: N802  # the paper's letters
        """Features of images, mixed; differentiable with respect to images."""
        network = cast(EfficientNet, self.state.frozen["features"])
        with self.state.autocast():
            features = network.features(images, self.config.strides, self.config.input_size)
            mixed: list[Tensor] = self.state.modules["mixing"](features)
        return mixed

    def D(self, features: list[Tensor]) -> list[Tensor]:  # noqa: N802
        """Logits `[n, positions]` of each scale."""
        with self.state.autocast():
            logits = self.state.modules["projected"](features)
        return [each.float() for each in logits]


def modules(config: Projected) -> dict[str, nn.Module]:
    """Build the random mixing and the heads."""
    return {"mixing": Mixing(config), "projected": Heads(config)}


def frozen(config: Projected, device: torch.device, deepest: int | None = None) -> dict[str, nn.Module]:
    """Load the network whose features are judged, up to the last stride or a deeper one.

    Scores are taken on another network's features.
    """
    return {"features": load("lite0", device, (*config.strides, deepest or 0))}


def optimizer(config: Projected) -> OptimizerSpec:
    return OptimizerSpec(("projected",), "gradient_projected", config.lr, config.betas, config.lr_end)

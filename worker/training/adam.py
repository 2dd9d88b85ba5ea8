"""Adam without torch's optimiser classes: the first one that is made imports torch's compiler, 3 s of every start."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

_EPSILON = 1e-8


class Adam:
    """`torch.optim.Adam(..., fused=True)`, to the bit (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    Fused Adam walks parameter, gradient and moments flat in memory. A contiguous moment beside a channels-last weight
    is read in the wrong order, without an error: the moments are laid out like their parameters from the beginning, and
    what is restored is copied into them.

    Args:
        network: whose parameters to move, on the device where they stay.
        lr: the learning rate; it may be set between steps.
        betas: decay of the first and the second moment; they may be set between steps.

    Attributes:
        state: `step`, `exp_avg` and `exp_avg_sq` of each parameter.
    """

    def __init__(self, network: nn.Module, lr: float, betas: tuple[float, float]) -> None:
        self.lr = lr
        self.betas = betas
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {
            parameter: {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
            for parameter in network.parameters()
        }

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        moved = [(weight, weight.grad, state) for weight, state in self.state.items() if weight.grad is not None]
        adam(
            [weight for weight, _, _ in moved],
            [gradient for _, gradient, _ in moved],
            [state["exp_avg"] for _, _, state in moved],
            [state["exp_avg_sq"] for _, _, state in moved],
            [],
            [state["step"] for _, _, state in moved],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.lr,
            weight_decay=0,
            eps=_EPSILON,
            maximize=False,
        )

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.state:
            parameter.grad = None

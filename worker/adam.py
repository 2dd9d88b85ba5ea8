"""The Adam optimizer without torch's optimizer classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EPSILON = 1e-8


class Adam:
    """`torch.optim.Adam(..., fused=True)`, to the bit (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1).

    Args:
        network: the network with the parameters, on its final device.
        lr: the learning rate.
        betas: decay of the first and the second moment.

    Attributes:
        lr: the learning rate, or a scalar on the device.
        betas: the first one, and the second one as a number or a scalar on the device.
        state: `step`, `exp_avg` and `exp_avg_sq` of each parameter.
    """

    # torch's own classes import its compiler when the first one is made: 3 s of every start.
    def __init__(self, network: nn.Module, lr: float, betas: tuple[float, float]) -> None:
        self.lr: float | Tensor = lr
        self.betas: tuple[float, float | Tensor] = betas
        self.state: dict[nn.Parameter, dict[str, Tensor]] = {
            parameter: {
                "step": torch.zeros((), device=parameter.device),
                # Laid out like their parameter, and restored by copying: fused Adam walks parameter, gradient and
                # moments flat in memory, and would read a contiguous moment beside a channels-last weight in the wrong
                # order, without an error.
                "exp_avg": torch.zeros_like(parameter, requires_grad=False),
                "exp_avg_sq": torch.zeros_like(parameter, requires_grad=False),
            }
            for parameter in network.parameters()
        }

    def set(self, lr: float | Tensor, beta2: float | Tensor) -> None:
        self.lr = lr
        self.betas = (self.betas[0], beta2)

    @torch.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient."""
        moved = [(weight, weight.grad, state) for weight, state in self.state.items() if weight.grad is not None]
        weights = [weight.data for weight, _, _ in moved]
        gradients = [gradient for _, gradient, _ in moved]
        first = [state["exp_avg"] for _, _, state in moved]
        second = [state["exp_avg_sq"] for _, _, state in moved]
        steps = [state["step"] for _, _, state in moved]
        torch._foreach_add_(steps, 1)
        beta1, beta2 = self.betas
        if isinstance(beta2, Tensor):
            _move(weights, gradients, first, second, steps[0], self.lr, beta1, beta2)
            return
        torch._fused_adam_(
            weights,
            gradients,
            first,
            second,
            [],
            steps,
            lr=self.lr,
            beta1=beta1,
            beta2=beta2,
            weight_decay=0,
            eps=_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def zero_grad(self) -> None:
        for parameter in self.state:
            parameter.grad = None


def _move(
    weights: list[Tensor],
    gradients: list[Tensor],
    first: list[Tensor],
    second: list[Tensor],
    step: Tensor,
    lr: float | Tensor,
    beta1: float,
    beta2: Tensor,
) -> None:
    """Update like `_fused_adam_`, in several passes and with the second decay as a tensor."""
    # The fused kernel takes it as a Python number, which a recorded CUDA graph would freeze.
    torch._foreach_lerp_(first, gradients, 1 - beta1)
    squares = torch._foreach_mul(gradients, gradients)
    torch._foreach_sub_(squares, second)
    torch._foreach_mul_(squares, 1 - beta2)
    torch._foreach_add_(second, squares)
    moves = torch._foreach_sqrt(second)
    torch._foreach_div_(moves, (1 - beta2**step).sqrt())
    torch._foreach_add_(moves, _EPSILON)
    torch._foreach_reciprocal_(moves)
    torch._foreach_mul_(moves, first)
    torch._foreach_mul_(moves, -lr / (1 - beta1**step))
    torch._foreach_add_(weights, moves)

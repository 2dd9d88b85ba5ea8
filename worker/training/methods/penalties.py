"""Eager execution of networks that may have been compiled: compiled code has no gradients of gradients."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn


def eager(network: nn.Module) -> AbstractContextManager[object]:
    """Run what may have been compiled of `network` as it is."""
    # The question first: the context imports torch's compiler.
    return nullcontext() if network._compiled_call_impl is None else torch.compiler.set_stance("force_eager")

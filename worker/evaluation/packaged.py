"""Features of EfficientNet-Lite2, whose ImageNet weights come with a package: on every machine, without a download.

No training uses this network: Lite0 teaches (`worker.training.methods.projected`), Lite2 judges.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from worker.evaluation.samples import to_float
from worker.frozen.efficientnet import load

# Images of a set whose features are compared: they cost a CPU 5 ms each.
IMAGES: Final = 1_000
_SIDE: Final = 96  # px to which images are resized: a compromise between what it was trained on (260) and a CPU's time


class PackagedFeatures:
    """Lite2 on one device."""

    protocol = f"1,280 features of EfficientNet-Lite2 (ImageNet) at {_SIDE} px, at most {IMAGES:,} images a side, v1"

    def __init__(self, device: torch.device) -> None:
        self._network = load("lite2", device)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Return float32 `[N, 1280]` of uint8 images `[N, C, H, W]`."""
        return self._network.pooled(to_float(images), _SIDE).float()

"""How much of what is generated is like the data, and how much of the data is generated, by nearest neighbours.

Precision and recall are those of Kynkäänniemi et al. 2019 (arXiv 1904.06991), density and coverage, which outliers
disturb less, of Naeem et al. 2020 (arXiv 2002.09797).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import torch
from torch import Tensor

NEIGHBOURS: Final = 3
DENSE_NEIGHBOURS: Final = 5
COUNT: Final = 2_000
"""Of each side, at most: the cost grows with its square."""
_ROWS: Final = 1_000  # whose distances are held at once


class Agreement(NamedTuple):
    """Each a share in [0, 1], but density, which is about 1 for the data itself and may be more."""

    precision: float
    recall: float
    density: float
    coverage: float


class Balls(NamedTuple):
    """Features `[N, D]` and, around each, the distances to its third and fifth neighbour, `[N]`.

    In a set too small for so many, `dense` tells the number of the farther one.
    """

    features: Tensor
    radii: Tensor
    dense_radii: Tensor
    dense: int


def balls(features: Tensor) -> Balls:
    """Measure the neighbourhoods within one set; at most its first 2,000 rows are used."""
    rows = features[:COUNT].float()
    # The nearest one is a row itself. A set too small for so many neighbours takes the farthest.
    wanted = min(DENSE_NEIGHBOURS + 1, len(rows))
    near = torch.cat([torch.cdist(part, rows).topk(wanted, largest=False).values for part in torch.split(rows, _ROWS)])
    return Balls(rows, near[:, min(NEIGHBOURS, wanted - 1)], near[:, wanted - 1], max(1, wanted - 1))


def agreement(real: Balls, generated: Balls) -> Agreement:
    """Compare generated features with real ones."""
    inside = hits = 0
    found = torch.zeros(len(real.features), dtype=torch.bool, device=real.features.device)
    covered = found.clone()
    for start in range(0, len(generated.features), _ROWS):
        part = slice(start, start + _ROWS)
        distances = torch.cdist(generated.features[part], real.features)
        dense = distances < real.dense_radii
        inside += int((distances <= real.radii).any(1).sum())
        hits += int(dense.sum())
        found |= (distances <= generated.radii[part, None]).any(0)
        covered |= dense.any(0)
    count = len(generated.features)
    return Agreement(
        precision=inside / count,
        recall=float(found.float().mean()),
        density=hits / (real.dense * count),
        coverage=float(covered.float().mean()),
    )

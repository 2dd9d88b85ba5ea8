"""Distances and agreements between two sets of features, and between distributions of classes.

Only on Inception's features are the Fréchet distance the FID and the kernel distance the KID.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import torch
from torch import Tensor

# Rows of a block, over which the kernel distance is averaged.
KERNEL_BLOCK: Final = 1_000
# k of precision and recall (Kynkäänniemi et al. 2019).
NEIGHBOURS: Final = 3
# k of density and coverage (Naeem et al. 2020).
COVERAGE_NEIGHBOURS: Final = 5
# Rows of each set that precision and recall use, at most: their cost grows with the square.
MAX_ROWS: Final = 2_000
_CHUNK_ROWS: Final = 1_000  # rows of a distance matrix in memory


class Moments(NamedTuple):
    """Mean float64 `[D]` and covariance float64 `[D, D]` of features."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Self:
        """Compute the moments of `[N, D]`; N is at least 2."""
        # In float64: the traces of two similar sets nearly cancel, which leaves only noise in float32.
        rows = features.double()
        return cls(rows.mean(0), torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1]))


def frechet_distance(left: Moments, right: Moments) -> float:
    """Compute |m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) (Heusel et al. 2017, arXiv 1706.08500, equation 6)."""
    # Rounding makes eigenvalues of a singular covariance slightly negative: hence the clamps, and the last maximum.
    values, vectors = torch.linalg.eigh(left.covariance)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    # C1 C2 and root C2 root have the same eigenvalues, and the latter is symmetric.
    cross = torch.linalg.eigvalsh(root @ right.covariance @ root).clamp_min(0).sqrt().sum()
    traces = left.covariance.trace() + right.covariance.trace()
    return max(0.0, float((left.mean - right.mean).square().sum() + traces - 2 * cross))


class KernelDistance(NamedTuple):
    """Mean and standard deviation over blocks; about 0, also below it, for sets of the same distribution."""

    mean: float
    deviation: float


def kernel_distance(left: Tensor, right: Tensor) -> KernelDistance:
    """Compute the squared maximum mean discrepancy under a cubic kernel (Bińkowski et al. 2018, arXiv 1801.01401).

    `[N, D]` is compared with `[M, D]` in as many pairs of blocks of 1,000 rows as both fill, or in one smaller pair.
    """
    # The estimate is unbiased, so it needs fewer samples than the Fréchet distance.
    block = min(KERNEL_BLOCK, len(left), len(right))
    count = min(len(left), len(right)) // block
    # Blocks of equal size: the deviation of estimates from blocks of different sizes would mean little.
    blocks = (torch.split(rows.double(), block)[:count] for rows in (left, right))
    pairs = zip(*blocks, strict=True)
    found = torch.tensor([_unbiased_mmd(*pair) for pair in pairs], dtype=torch.float64)
    return KernelDistance(float(found.mean()), float(found.std(correction=0)))


# E k(x, x') + E k(y, y') - 2 E k(x, y) over different x and x', y and y' (equation 4).
def _unbiased_mmd(left: Tensor, right: Tensor) -> float:
    return _mean_kernel(left) + _mean_kernel(right) - 2 * float(_kernel(left, right).mean())


def _mean_kernel(rows: Tensor) -> float:
    kernel = _kernel(rows, rows)
    # Without the diagonal: k(x, x) would bias the estimate.
    return float((kernel.sum() - kernel.trace()) / (len(rows) * (len(rows) - 1)))


def _kernel(left: Tensor, right: Tensor) -> Tensor:
    return (left @ right.T / left.shape[1] + 1) ** 3


class Hyperspheres(NamedTuple):
    """Features `[N, D]`, and the distances `[N]` of each to its third and fifth neighbour as the radii of spheres.

    `coverage_neighbours` is 5, or less in a smaller set.
    """

    # The union of the spheres estimates the manifold of the set.
    centers: Tensor
    radii: Tensor
    coverage_radii: Tensor
    coverage_neighbours: int


def hyperspheres(features: Tensor) -> Hyperspheres:
    """Compute the k-nearest-neighbour radii within one set, of at most its first 2,000 rows."""
    rows = features[:MAX_ROWS].float()
    # One more, because the nearest one is the row itself. In a set with fewer neighbours the farthest one counts.
    k = min(COVERAGE_NEIGHBOURS + 1, len(rows))
    near = torch.cat([torch.cdist(part, rows).topk(k, largest=False).values for part in torch.split(rows, _CHUNK_ROWS)])
    return Hyperspheres(rows, near[:, min(NEIGHBOURS, k - 1)], near[:, k - 1], max(1, k - 1))


class PrecisionRecall(NamedTuple):
    """Each a share in [0, 1], except density, which is about 1 for the data itself and may be larger."""

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Hyperspheres, generated: Hyperspheres) -> PrecisionRecall:
    """Compare generated features with real ones.

    Precision: generated features within any real sphere. Recall: real features within any generated sphere
    (Kynkäänniemi et al. 2019, arXiv 1904.06991, equation 2). Density: real spheres around a generated feature, per
    neighbour. Coverage: real spheres around any generated feature (Naeem et al. 2020, arXiv 2002.09797, section 3).
    """
    inside = hits = 0
    recalled = torch.zeros(len(real.centers), dtype=torch.bool, device=real.centers.device)
    covered = recalled.clone()
    # In chunks, so that no more than 1,000 x 2,000 distances are in memory.
    for start in range(0, len(generated.centers), _CHUNK_ROWS):
        part = slice(start, start + _CHUNK_ROWS)
        distances = torch.cdist(generated.centers[part], real.centers)
        # Density and coverage exclude the border of a sphere, precision and recall include it, as in their papers.
        within = distances < real.coverage_radii
        inside += int((distances <= real.radii).any(1).sum())
        hits += int(within.sum())
        recalled |= (distances <= generated.radii[part, None]).any(0)
        covered |= within.any(0)
    count = len(generated.centers)
    return PrecisionRecall(
        precision=inside / count,
        recall=float(recalled.float().mean()),
        density=hits / (real.coverage_neighbours * count),
        coverage=float(covered.float().mean()),
    )


def class_shares(labels: Tensor, classes: int) -> Tensor:
    """Compute the share of each class among int64 labels, float64 `[classes]`."""
    return torch.bincount(labels, minlength=classes).double() / len(labels)


def reverse_kl(found: Tensor, expected: Tensor) -> float:
    """Compute KL(found || expected) = sum p ln(p / q) in nats; no expected share may be 0."""
    # 0 ln 0 is 0, but NaN in floating point. So a missing class costs little.
    return float(torch.where(found > 0, found * (found / expected).log(), 0.0).sum())


def nearest(rows: Tensor, others: Tensor) -> Tensor:
    """Return the distance of each row `[N, D]` to the nearest of `[M, D]`, `[N]`."""
    parts = torch.split(rows.float(), _CHUNK_ROWS)
    return torch.cat([torch.cdist(part, others.float()).amin(1) for part in parts])


def smaller(left: Tensor, right: Tensor) -> float:
    """Return the share of pairs of values in which the left one is smaller; equal ones count half."""
    differences = left[:, None] - right[None, :]
    return float((differences < 0).double().mean() + (differences == 0).double().mean() / 2)

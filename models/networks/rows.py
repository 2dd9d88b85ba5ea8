"""Rows of a batch that is cut into slices, for several devices or for lack of memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Rows `start` to `stop` of a batch of `batch` rows."""

    # Random numbers are drawn for the whole batch, by identical generators, and each slice takes its own rows. So a
    # training is the same however its batches are cut, except for rounding, and for batch normalisation over slices.
    start: int
    stop: int
    batch: int

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def share(self) -> float:
        return self.count / self.batch

    def drawn(self, present: int) -> int:
        """Return the number of rows to draw for a tensor of `present` rows.

        Raises:
            ValueError: it is no whole number of slices.
        """
        # Real and generated images may be joined in one tensor: it then has several slices.
        slices, rest = divmod(present, self.count)
        if rest:
            raise ValueError(f"{present} rows are no slices of {self.count} rows")
        return slices * self.batch

    def of(self, drawn: Tensor) -> Tensor:
        """Return these rows of a tensor for one whole batch, `[batch, ...]`, or for several, `[k * batch, ...]`."""
        if self.count == self.batch:
            return drawn
        each = drawn.shape[1:]
        return drawn.reshape(-1, self.batch, *each)[:, self.start : self.stop].reshape(-1, *each)

    def sliced(self, count: int) -> list[Rows]:
        """Cut these rows into `count` slices of nearly equal size."""
        edges = [self.start + self.count * part // count for part in range(count + 1)]
        return [Rows(start, stop, self.batch) for start, stop in pairwise(edges)]

"""Rows of a batch that is cut into slices, for several devices or for want of memory.

Whatever is drawn at random is drawn for the whole batch, by identical generators, and each slice takes its own rows: so
a training does the same however its batches are cut, but for the rounding of sums, and for batch normalisation, which
sees all ranks' rows of one slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Rows `start` to `stop` of a batch of `batch` rows."""

    start: int
    stop: int
    batch: int

    @property
    def count(self) -> int:
        """Number of these rows."""
        return self.stop - self.start

    @property
    def share(self) -> float:
        """Their share of the batch."""
        return self.count / self.batch

    def drawn(self, present: int) -> int:
        """Count the rows to draw for a tensor of `present` rows: real and generated images may be joined in one.

        Raises:
            ValueError: it is no whole number of slices.
        """
        slices, rest = divmod(present, self.count)
        if rest:
            raise ValueError(f"{present} rows are no slices of {self.count} rows")
        return slices * self.batch

    def of(self, drawn: Tensor) -> Tensor:
        """Take the rows out of what was drawn for one whole batch, `[batch, ...]`, or several, `[k * batch, ...]`."""
        if self.count == self.batch:
            return drawn
        each = drawn.shape[1:]
        return drawn.reshape(-1, self.batch, *each)[:, self.start : self.stop].reshape(-1, *each)

    def sliced(self, count: int) -> list[Rows]:
        """Cut them into `count` slices of the same batch, as even as may be."""
        edges = [self.start + self.count * part // count for part in range(count + 1)]
        return [Rows(start, stop, self.batch) for start, stop in pairwise(edges)]

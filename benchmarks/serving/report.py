"""Tables as Markdown, and targets beside the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Target:
    """A target and its result; `figure` and `limit` are formatted for the table."""

    name: str
    figure: str
    limit: str
    met: bool


@dataclass
class Report:
    """Results so far; printed as they come, and all targets again at the end."""

    targets: list[Target] = field(default_factory=list)

    def at_least(self, name: str, value: float, limit: float, unit: str = "") -> None:
        """Compare a figure with its lower limit."""
        self._judge(Target(name, f"{value:.2f}{unit}", f"at least {limit:g}{unit}", value >= limit))

    def at_most(self, name: str, value: float, limit: float, unit: str = "") -> None:
        """Compare a figure with its upper limit."""
        self._judge(Target(name, f"{value:.2f}{unit}", f"at most {limit:.4g}{unit}", value <= limit))

    def none(self, name: str, count: int, among: int) -> None:
        """Compare a count of failures with 0."""
        self._judge(Target(name, f"{count:,} of {among:,}", "none", count == 0 and among > 0))

    def _judge(self, target: Target) -> None:
        self.targets.append(target)
        print(f"  {target.name}: {target.figure} (target: {target.limit}): {_verdict(target)}", flush=True)

    def summary(self) -> bool:
        """Print every target; returns whether all were met."""
        rows = [(target.name, target.figure, target.limit, _verdict(target)) for target in self.targets]
        table("Targets", ("what", "measured", "target", ""), rows)
        return all(target.met for target in self.targets)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    print(f"\n### {title}\n")
    for row in (header, ["---"] * len(header), *rows):
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the values."""
    return float(np.percentile(values, percent))


def ms(seconds: float) -> str:
    """Format a time."""
    return f"{seconds * 1e3:,.1f} ms"


def _verdict(target: Target) -> str:
    return "met" if target.met else "MISSED"

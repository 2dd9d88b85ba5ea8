"""What the guard looked at in trainings: how far from its thresholds healthy ones stay.

    python -m benchmarks.guard data/runs/RUN ...

Reads what runs have written of their evaluations (`snapshot` events in `events.jsonl`): the least diversity, and the
least and greatest gradients as multiples of what was usual before. Evaluations of a run's first tenth are left out, as
the guard leaves out that of a generator that has never painted different images.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from models.artifacts.events import read_events
from models.artifacts.history import last_tick
from worker.training.guard.findings import COLLAPSED, EXPLODED, FADED, GRACE


class Row(NamedTuple):
    """A run's extremes; None where nothing was measured."""

    run: str
    evaluations: int
    diversity: float | None
    least_g: float | None
    greatest_g: float | None
    greatest_d: float | None
    rollbacks: int

    def __str__(self) -> str:
        cells = [self.run, str(self.evaluations)]
        cells += ["-" if value is None else f"{value:.3g}" for value in self[2:6]]
        return f"| {' | '.join(cells)} | {self.rollbacks} |"


def read(run_dir: Path) -> Row:
    """Read a run's events, those of rolled back parts included."""
    tick = last_tick(run_dir)
    total_kimg, rollbacks = (0.0, 0) if tick is None else (tick["total_kimg"], tick["rollbacks"])
    watched = [
        event.data["watched"]
        for event in read_events(run_dir)
        if event.type == "snapshot" and event.data["kimg"] >= GRACE * total_kimg
    ]

    def values(name: str) -> Iterator[float]:
        return (seen[name] for seen in watched if seen.get(name) is not None)

    return Row(
        run_dir.name,
        len(watched),
        min(values("diversity"), default=None),
        min(values("gradient_g"), default=None),
        max(values("gradient_g"), default=None),
        max(values("gradient_d"), default=None),
        rollbacks,
    )


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description="What the guard looked at in trainings.")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    print("| run | evaluations | least diversity | least G gradient | greatest G | greatest D | rollbacks |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for run in parser.parse_args().runs:
        print(read(run))
    print(f"| the rule | 3 in a row | {COLLAPSED} | {FADED} | {EXPLODED:g} | {EXPLODED:g} | |")


if __name__ == "__main__":
    main()

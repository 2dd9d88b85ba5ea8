"""Distance of healthy trainings from the thresholds of the guard.

    python -m benchmarks.guard data/runs/RUN ...

Reads the quantities that the guard watches from the `snapshot` events of runs: the least diversity, and the least and
greatest gradients as multiples of their usual size. The first tenth of a run is left out, as in the guard.
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
    """Extremes of one run; None where nothing was measured."""

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
    """Read the events of a run, including those that a rollback has undone."""
    tick = last_tick(run_dir)
    total_kimg, rollbacks = (0.0, 0) if tick is None else (tick["total_kimg"], tick["rollbacks"])
    watched = [
        event.data["watched"]
        for event in read_events(run_dir)
        if event.type == "snapshot" and event.data["kimg"] >= GRACE * total_kimg
    ]

    def series(name: str) -> Iterator[float]:
        return (values[name] for values in watched if values.get(name) is not None)

    return Row(
        run_dir.name,
        len(watched),
        min(series("diversity"), default=None),
        min(series("gradient_g"), default=None),
        max(series("gradient_g"), default=None),
        max(series("gradient_d"), default=None),
        rollbacks,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Distance of trainings from the guard's thresholds.")
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs")
    print("| run | evaluations | least diversity | least G gradient | greatest G | greatest D | rollbacks |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for run in parser.parse_args().runs:
        print(read(run))
    print(f"| threshold | 3 in a row | {COLLAPSED} | {FADED} | {EXPLODED:g} | {EXPLODED:g} | |")


if __name__ == "__main__":
    main()

"""Start-up time of `atelier --help` and of `import app.main`, and a check that neither loads torch.

    .venv/bin/python -m benchmarks.startup

The reference, in the same run, is `python -c pass`: the start of the interpreter alone.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
HELP_SECONDS = 0.5
HEAVY = ("torch", "torchvision", "matplotlib", "celery")
ATELIER = Path(sys.executable).with_name("atelier")


def seconds(command: list[str]) -> list[float]:
    """Measure the wall time of a command, after one run that fills the file cache; sorted."""
    times = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return sorted(times[1:])


def heavy_modules(statement: str) -> list[str]:
    """Return the heavy packages that a new interpreter has loaded after `statement`."""
    code = f"import sys\n{statement}\nprint(*(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def main() -> None:
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "atelier --help": [str(ATELIER), "--help"],
        "import app.main": [sys.executable, "-c", "import app.main"],
    }
    print(f"{'command':<18}{'median':>9}{'best':>9}{'worst':>9}   ({RUNS} runs, seconds)")
    medians = {}
    for name, command in commands.items():
        times = seconds(command)
        medians[name] = statistics.median(times)
        print(f"{name:<18}{medians[name]:>9.3f}{times[0]:>9.3f}{times[-1]:>9.3f}")
    loaded = {statement: heavy_modules(statement) for statement in ("import app.cli.main", "import app.main")}
    for statement, names in loaded.items():
        print(f"{statement}: of {', '.join(HEAVY)} it loads {', '.join(names) or 'none'}")
    if any("torch" in names for names in loaded.values()):
        raise SystemExit("torch is loaded where it is not needed")
    if medians["atelier --help"] > HELP_SECONDS:
        raise SystemExit(f"atelier --help takes more than {HELP_SECONDS} s")


if __name__ == "__main__":
    main()

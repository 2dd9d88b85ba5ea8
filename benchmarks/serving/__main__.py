"""Serving, measured: `python -m benchmarks.serving`, on a quiet machine; the full run takes about an hour on two cores.

    .uv/bin/uv pip install -p .venv -r pyproject.toml --extra bench   # LitServe, one of the peers
    .venv/bin/python -m benchmarks.serving                            # everything
    .venv/bin/python -m benchmarks.serving --device cuda              # on a GPU, beside raw CUDA-graph replays
    .venv/bin/python -m benchmarks.serving --only one-client --models mlp --seconds 2

One run on one machine over loopback: the service, its peers, the load generator and the work alone are processes of
their own and run in turn, the others stopped. Each may generate on `--threads` threads, and use
others for HTTP and encoding. The sections are

    peers       PNG grids at 1, 16 and 64 clients, beside a FastAPI route with `save_image` and LitServe with batching
    pace        images per second as npy and as PNG, over raw batches and encoder alone
    one-client  one client's wait, over latents + batch + encode alone
    repeats     one request again and again, over a route that answers with constant bytes
    identity    10,000 mixed requests while versions come and go, against each of them alone
    swap        a new version under load
    overload    ten times what can be served
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from benchmarks.serving import identity, pressure, speed
from benchmarks.serving.models import MODELS, publish
from benchmarks.serving.report import Report
from benchmarks.serving.services import Bench


def _names(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"no {', '.join(sorted(unknown))}: there are {', '.join(known)}")
        return names

    return parse


SECTIONS: dict[str, Callable[[Bench, Report, argparse.Namespace], None]] = {
    "peers": lambda bench, report, _: speed.against_peers(bench, report),
    "pace": lambda bench, report, _: speed.against_itself(bench, report),
    "one-client": lambda bench, report, _: speed.one_client(bench, report),
    "repeats": lambda bench, report, _: speed.repeats(bench, report),
    "identity": lambda bench, report, options: identity.identity(bench, report, options.requests),
    "swap": lambda bench, report, _: pressure.swap(bench, report),
    "overload": lambda bench, report, options: pressure.overload(bench, report, options.overload_seconds),
}


def main() -> None:
    """Measure and print everything; exit with an error if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", type=_names(tuple(SECTIONS)), default=tuple(SECTIONS), help="sections, by commas")
    parser.add_argument("--models", type=_names(tuple(MODELS)), default=tuple(MODELS), help="by commas")
    parser.add_argument("--seconds", type=float, default=5.0, help="each measurement of each round")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each of those compared")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="on which each of them may generate")
    parser.add_argument("--requests", type=int, default=10_000, help="of the section identity")
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    options = parser.parse_args()
    if "peers" in options.only and find_spec("litserve") is None:
        parser.error("LitServe is not installed: install the extra `bench` as described above, or leave out peers")
    report = Report()
    with tempfile.TemporaryDirectory(prefix="atelier-bench-") as folder:
        bench = Bench(Path(folder), options.device, options.threads, options.models, options.seconds, options.rounds)
        for model in bench.models:
            publish(bench.folder / "models", model, 1)
        for name, section in SECTIONS.items():
            if name in options.only:
                print(f"\n## {name}\n", flush=True)
                section(bench, report, options)
    sys.exit(not report.summary())


if __name__ == "__main__":
    main()

"""Progress of a run in the terminal, from its event stream: a progress bar, or lines where output is not a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.client import Client

ENDED = frozenset({"succeeded", "failed", "cancelled", "paused"})
LINES_PER_RUN = 20

Show = Callable[[Mapping[str, Any]], None]


def follow(client: Client, run: str) -> str:
    """Show progress until the run is in a final state; return that state.

    Raises:
        ClientError: the service refused the request, or did not come back.
    """
    console = Console(highlight=False)
    state = ""
    with _bar(console) if console.is_terminal else _lines(console) as show:
        for message in client.events(f"/train/{run}/events"):
            if message.event == "tick":
                show(message.data)
            elif message.event == "published":
                console.print(f"published {message.data['model']}@{message.data['version']}")
            elif message.event == "health":
                console.print(": ".join((message.data["verdict"], *message.data["reasons"])))
            # State events may be history; the run itself has the current state.
            elif message.event == "state" and (now := client.get(f"/train/{run}"))["state"] != state:
                state = str(now["state"])
                console.print(_state_line(now))
                if state in ENDED:
                    return state
    raise AssertionError("the event stream ended before the run")


def _state_line(run: Mapping[str, Any]) -> str:
    position = f", position {run['queue_position']}" if run["queue_position"] is not None else ""
    reason = f": {run['error']}" if run["error"] else ""
    return f"{run['state']}{position}{reason}"


def _tick_line(tick: Mapping[str, Any]) -> str:
    """Return a tick in one line; `-` for values that the loss does not have."""

    def number(name: str) -> str:
        value = tick.get(name)
        return "-" if value is None else f"{value:.3f}"

    return (
        f"kimg {tick['kimg']:g}/{tick['total_kimg']:g}  epoch {tick['epoch']:.2f}  D {number('loss_d')}  "
        f"G {number('loss_g')}  D(x) {number('d_real')}  D(G(z)) {number('d_fake')}  "
        f"{tick['images_per_second'] or 0:,.0f} images/s"
    )


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("waiting", total=None)

        def show(tick: Mapping[str, Any]) -> None:
            progress.update(task, description=_tick_line(tick), completed=tick["kimg"], total=tick["total_kimg"])

        yield show


@contextmanager
def _lines(console: Console) -> Iterator[Show]:
    last = -1

    def show(tick: Mapping[str, Any]) -> None:
        nonlocal last
        part = int(tick["fraction"] * LINES_PER_RUN)
        if part != last:
            last = part
            console.print(f"{tick['fraction']:4.0%}  {_tick_line(tick)}", soft_wrap=True)

    yield show

"""A run's life on the terminal, from its event stream: a bar where somebody looks, now and then a line elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.cli.client import Client

ENDED = frozenset({"succeeded", "failed", "cancelled", "paused"})
# Where lines are kept, such as in a log, so many of them tell enough.
LINES_PER_RUN = 20

Show = Callable[[Mapping[str, Any]], None]


def follow(client: Client, run: str) -> str:
    """Show progress until the run is in a state that it does not leave by itself; give that state.

    Raises:
        ClientError: the service refused, or stayed away.
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
            # What the stream tells may be history; the run itself says how it stands.
            elif message.event == "state" and (now := client.get(f"/train/{run}"))["state"] != state:
                state = str(now["state"])
                console.print(_state_line(now))
                if state in ENDED:
                    return state
    raise AssertionError("an event stream is followed until the run ends")


def _state_line(run: Mapping[str, Any]) -> str:
    position = f", position {run['queue_position']}" if run["queue_position"] is not None else ""
    reason = f": {run['error']}" if run["error"] else ""
    return f"{run['state']}{position}{reason}"


def _figures(tick: Mapping[str, Any]) -> str:
    """Give a tick's figures in one line; `-` where the loss has none."""

    def figure(name: str) -> str:
        value = tick.get(name)
        return "-" if value is None else f"{value:.3f}"

    return (
        f"kimg {tick['kimg']:g}/{tick['total_kimg']:g}  epoch {tick['epoch']:.2f}  D {figure('loss_d')}  "
        f"G {figure('loss_g')}  D(x) {figure('d_real')}  D(G(z)) {figure('d_fake')}  "
        f"{tick['images_per_second'] or 0:,.0f} images/s"
    )


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (BarColumn(bar_width=24), TaskProgressColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("waiting", total=None)

        def show(tick: Mapping[str, Any]) -> None:
            progress.update(task, description=_figures(tick), completed=tick["kimg"], total=tick["total_kimg"])

        yield show


@contextmanager
def _lines(console: Console) -> Iterator[Show]:
    told = -1

    def show(tick: Mapping[str, Any]) -> None:
        nonlocal told
        part = int(tick["fraction"] * LINES_PER_RUN)
        if part != told:
            told = part
            console.print(f"{tick['fraction']:4.0%}  {_figures(tick)}", soft_wrap=True)

    yield show

"""A run's files, `runs/RUN/TOKEN/`: `worker` decides who writes what; here they are read back as one history.

Each attempt writes only in its own folder, named by its fencing token. What an attempt did after the point from which
a later one resumed never happened as far as a reader is concerned: those ticks and snapshots are dropped. So is what an
attempt did after the point that a rollback took it back to.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from models.evaluation import Evaluation
from models.files import replace_file

_TAIL_BYTES = 1 << 16

_TOKEN = re.compile(r"0|[1-9][0-9]*", re.ASCII)
_KIMG_NAME = re.compile(r"([0-9]{6,})\.([0-9]{3})", re.ASCII)
_CHECKPOINT_NAME = re.compile(r"([0-9]{6,}\.[0-9]{3})(?:-([1-9][0-9]*))?", re.ASCII)

ROLLED_BACK = "rolled_back_from"
"""In `ticks.jsonl`, marks a line that is no tick: what lies above its `images` before it never happened."""

EventType = Literal["state", "tick", "snapshot", "score", "health", "published", "log"]


class EventId(NamedTuple):
    """`TOKEN.SEQ`: ordered first by attempt, then by position in its file, from 1."""

    token: int
    seq: int

    def __str__(self) -> str:
        return f"{self.token}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Read `TOKEN.SEQ`.

        Raises:
            ValueError: `text` is no such pair of non-negative integers.
        """
        token, _, seq = text.partition(".")
        if not (token.isascii() and token.isdigit() and seq.isascii() and seq.isdigit()):
            raise ValueError(f'"{text}" is no event id: expected TOKEN.SEQ, such as 1.42')
        return cls(int(token), int(seq))


@dataclass(frozen=True)
class Event:
    """One line of an `events.jsonl`."""

    id: EventId
    type: EventType
    time: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A fixed-latent grid, the averaged weights behind it while they are kept, and their scores if they were judged."""

    token: int
    images: int
    picture: Path
    weights: Path | None

    @property
    def kimg(self) -> float:
        """Thousands of real images shown when it was taken."""
        return self.images / 1000

    def evaluation(self) -> Evaluation | None:
        """Read what an evaluation at this position found; None where there was none."""
        return read_evaluation(self.picture.with_suffix(".json"))


def read_evaluation(path: Path) -> Evaluation | None:
    """Read a snapshot's evaluation; None where there is none, or none that this program wrote."""
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def now() -> str:
    """Give the time as RFC 3339 UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def kimg_name(images: int) -> str:
    """Name an artefact by its position, such as `000512.000` for 512,000 images; sorts by position."""
    return f"{images // 1000:06d}.{images % 1000:03d}"


def images_of(name: str) -> int | None:
    """Read a position back from its `kimg_name`; None if `name` is no such name."""
    match = _KIMG_NAME.fullmatch(name)
    return int(match[1]) * 1000 + int(match[2]) if match else None


class Position(NamedTuple):
    """Where a run is: a rollback takes it back to fewer images, and yet further."""

    rollbacks: int
    images: int

    @property
    def name(self) -> str:
        """Name a checkpoint, such as `000512.000`, and `000512.000-2` after two rollbacks."""
        return kimg_name(self.images) + (f"-{self.rollbacks}" if self.rollbacks else "")

    @classmethod
    def parse(cls, name: str) -> Position | None:
        """Read a checkpoint's name back; None if it is no such name."""
        match = _CHECKPOINT_NAME.fullmatch(name)
        images = images_of(match[1]) if match else None
        return cls(int(match[2] or 0), images) if match and images is not None else None


def append_line(path: Path, value: dict[str, Any]) -> None:
    """Append `value` as one JSON line in a single write, so that readers see whole lines or none.

    One process at a time may append to a file. A torn line that a writer before left at its end is closed first.

    Raises:
        OSError: the line could not be written whole, such as on a full disk.
        ValueError: `value` holds NaN or infinity, which JSON has not.
    """
    line = json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        end = os.fstat(descriptor).st_size
        is_torn = end > 0 and os.pread(descriptor, 1, end - 1) != b"\n"
        data = (f"\n{line}" if is_torn else line).encode()
        if os.write(descriptor, data) != len(data):
            raise OSError(errno.ENOSPC, "the line was cut short; is the disk full?", str(path))
    finally:
        os.close(descriptor)


def read_lines(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Read whole JSON lines from byte `offset` on, and the offset to go on from; a torn last line is left for later.

    A torn line in the middle (a full disk, a kill) is skipped: what follows it is still history.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data.rfind(b"\n") + 1
    values = [value for line in data[:whole].splitlines() if (value := _parsed(line)) is not None]
    return values, offset + whole


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class Attempt:
    """One attempt's folder: `config.json events.jsonl ticks.jsonl log checkpoints/ snapshots/ best/`."""

    def __init__(self, run_dir: Path, token: int) -> None:
        self.token = token
        self.dir = run_dir / str(token)
        self.config = self.dir / "config.json"
        self.events = self.dir / "events.jsonl"
        self.ticks = self.dir / "ticks.jsonl"
        self.log = self.dir / "log"
        self.checkpoints = self.dir / "checkpoints"
        self.refuges = self.dir / "best"
        self.snapshots = self.dir / "snapshots"
        self.real = self.dir / "real.png"

    def create(self) -> None:
        """Make the folders; idempotent."""
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        self.refuges.mkdir(exist_ok=True)
        self.snapshots.mkdir(exist_ok=True)

    def roll_back(self, images: int, rolled_back_from: int) -> None:
        """Drop what this attempt and earlier ones did beyond a position.

        Raises:
            OSError: it could not be written; then readers may still see some of it.
        """
        start = self.start_images()
        if start is not None and images < start:
            config = json.loads(self.config.read_text(encoding="utf-8"))
            replace_file(self.config, json.dumps({**config, "start_images": images}, indent=1).encode())
        for path in self.snapshots.iterdir():
            if (images_of(path.stem) or 0) > images:
                path.unlink()
        append_line(self.ticks, {"images": images, ROLLED_BACK: rolled_back_from, "time": now()})

    def start_images(self) -> int | None:
        """Images done where this attempt began, or further back where it went; None before the trainer has begun."""
        start = self.start()
        return None if start is None else start.images

    def start(self) -> Position | None:
        """Where this attempt began, or with fewer images where it went back; None before the trainer has begun.

        It is written into `config.json`.
        """
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        images = config.get("start_images") if isinstance(config, dict) else None
        return Position(config.get("start_rollbacks", 0), images) if isinstance(images, int) else None


class EventWriter:
    """Appends events to one attempt's file. One writer at a time: the trainer while it lives, else its supervisor."""

    def __init__(self, attempt: Attempt) -> None:
        attempt.create()
        self._attempt = attempt
        # The highest number, not the count: an event that a full disk cut short has used its number up.
        self._seq = max((line["seq"] for line in _lines(attempt.events)), default=0)

    def append(self, type: EventType, data: dict[str, Any]) -> EventId:  # noqa: A002  # the word of the contract
        """Write one event and give its id.

        Raises:
            OSError: the event could not be written whole, such as on a full disk.
        """
        self._seq += 1
        append_line(self._attempt.events, {"seq": self._seq, "type": type, "time": now(), "data": data})
        return EventId(self._attempt.token, self._seq)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    yield from read_lines(path)[0]


def attempts(run_dir: Path) -> list[Attempt]:
    """List a run's attempts, oldest first."""
    try:
        tokens = sorted(int(entry.name) for entry in run_dir.iterdir() if _TOKEN.fullmatch(entry.name))
    except FileNotFoundError:
        return []
    return [Attempt(run_dir, token) for token in tokens]


class EventTail:
    """Follows a run's events as they are appended, across all attempts; reads only what is new each time."""

    def __init__(self, run_dir: Path, after: EventId | None = None) -> None:
        self._run_dir = run_dir
        self._last = after or EventId(0, 0)
        self._offsets: dict[int, int] = {}

    def read(self) -> list[Event]:
        """Give the events that have come since the last call, in order."""
        events: list[Event] = []
        for attempt in attempts(self._run_dir):
            if attempt.token < self._last.token:
                continue
            lines, self._offsets[attempt.token] = read_lines(attempt.events, self._offsets.get(attempt.token, 0))
            for line in lines:
                identity = EventId(attempt.token, int(line["seq"]))
                if identity > self._last:
                    events.append(Event(identity, line["type"], line["time"], line["data"]))
        self._last = events[-1].id if events else self._last
        return events

    def skip(self) -> None:
        """Leave out everything that is there already."""
        for attempt in attempts(self._run_dir):
            self._offsets[attempt.token] = _size(attempt.events)


def read_events(run_dir: Path, after: EventId | None = None) -> list[Event]:
    """Read every event after `after`, in order, across all attempts."""
    return EventTail(run_dir, after).read()


def last_event(run_dir: Path, type: EventType) -> Event | None:  # noqa: A002  # the word of the contract
    """Find a run's newest event of one type; most lines are never parsed."""
    mark = f'"type":"{type}"'.encode()
    for attempt in reversed(attempts(run_dir)):
        try:
            data = attempt.events.read_bytes()
        except FileNotFoundError:
            continue
        end = data.rfind(b"\n") + 1
        while (found := data.rfind(mark, 0, end)) >= 0:
            end = data.rfind(b"\n", 0, found) + 1
            line = _parsed(data[end : data.index(b"\n", found)])
            if line is not None and line["type"] == type:
                return Event(EventId(attempt.token, int(line["seq"])), line["type"], line["time"], line["data"])
    return None


def _horizons(run_dir: Path) -> list[tuple[Attempt, int | None]]:
    """Give each attempt with the images from which a later one started over: what it did beyond them is dropped."""
    result: list[tuple[Attempt, int | None]] = []
    horizon: int | None = None
    for attempt in reversed(attempts(run_dir)):
        result.append((attempt, horizon))
        start = attempt.start_images()
        if start is not None:
            horizon = start if horizon is None else min(horizon, start)
    return result[::-1]


def read_ticks(run_dir: Path) -> list[dict[str, Any]]:
    """Read a run's ticks as one history, oldest first; each has at least `images` and `kimg`."""
    history: list[dict[str, Any]] = []
    for attempt in attempts(run_dir):
        if (start := attempt.start_images()) is not None:
            history = _up_to(history, start)
        for line in _lines(attempt.ticks):
            if ROLLED_BACK in line:
                history = _up_to(history, line["images"])
            else:
                history.append(line)
    return history


def _up_to(history: list[dict[str, Any]], images: int) -> list[dict[str, Any]]:
    return [tick for tick in history if tick["images"] <= images]


def last_tick(run_dir: Path) -> dict[str, Any] | None:
    """Read the newest tick of a run's history; None before the first."""
    horizon = math.inf
    for attempt in reversed(attempts(run_dir)):
        size = _size(attempt.ticks)
        for offset in dict.fromkeys((max(0, size - _TAIL_BYTES), 0)):
            if found := _newest(read_lines(attempt.ticks, offset)[0], horizon):
                return found
        start = attempt.start_images()
        horizon = horizon if start is None else min(horizon, start)
    return None


def _newest(lines: list[dict[str, Any]], horizon: float) -> dict[str, Any] | None:
    """Find the last tick that no rollback after it and nothing at the `horizon` has undone."""
    for line in lines[::-1]:
        if ROLLED_BACK in line:
            horizon = min(horizon, line["images"])
        elif line["images"] <= horizon:
            return line
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def real_images(run_dir: Path) -> Path | None:
    """Find the picture of real images that the newest attempt has drawn; None before one has begun."""
    return next((attempt.real for attempt in reversed(attempts(run_dir)) if attempt.real.exists()), None)


def snapshots(run_dir: Path) -> list[Snapshot]:
    """List a run's snapshots as one history, oldest first, the newest attempt's where two have the same position."""
    found: dict[int, Snapshot] = {}
    for attempt, horizon in _horizons(run_dir):
        for picture in attempt.snapshots.glob("*.png"):
            images = images_of(picture.stem)
            if images is not None and (horizon is None or images <= horizon):
                weights = picture.with_suffix(".safetensors")
                found[images] = Snapshot(attempt.token, images, picture, weights if weights.exists() else None)
    return [found[images] for images in sorted(found)]

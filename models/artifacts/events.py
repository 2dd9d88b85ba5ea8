"""Events of a run, across its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from models.artifacts.attempts import Attempt, list_attempts
from models.artifacts.json_lines import append_line, file_size, parse_line, read_lines, utc_now
from models.artifacts.payloads import HealthData

EventType = Literal["state", "tick", "snapshot", "score", "health", "published", "log"]


class EventId(NamedTuple):
    """`TOKEN.SEQ`: the attempt and the position in its file, from 1. Ids sort in the order of the events."""

    token: int
    seq: int

    def __str__(self) -> str:
        return f"{self.token}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> EventId:
        """Parse `TOKEN.SEQ`.

        Raises:
            ValueError: `text` is not a pair of non-negative integers.
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


class EventWriter:
    """Appends events to one attempt's file. One writer at a time: the trainer while it lives, else its supervisor."""

    def __init__(self, attempt: Attempt) -> None:
        attempt.create()
        self._attempt = attempt
        # The highest number, not the count: an event that a full disk cut short has used its number.
        self._seq = max((line["seq"] for line in read_lines(attempt.events)[0]), default=0)

    def append(self, type: EventType, data: Mapping[str, object]) -> EventId:  # noqa: A002  # the contract's word
        """Write one event, with the data that `RunEvents` has for its type, and return its id.

        Raises:
            OSError: the event could not be written whole, such as on a full disk.
        """
        self._seq += 1
        append_line(self._attempt.events, {"seq": self._seq, "type": type, "time": utc_now(), "data": data})
        return EventId(self._attempt.token, self._seq)


class EventTail:
    """Follows the events of a run, across all attempts, as they are appended."""

    def __init__(self, run_dir: Path, after: EventId | None = None) -> None:
        self._run_dir = run_dir
        self._last = after or EventId(0, 0)
        self._offsets: dict[int, int] = {}

    def read(self) -> list[Event]:
        """Return the events appended since the last call, in order."""
        events: list[Event] = []
        for attempt in list_attempts(self._run_dir):
            if attempt.token < self._last.token:
                continue
            # From the last offset: only new bytes are read.
            lines, self._offsets[attempt.token] = read_lines(attempt.events, self._offsets.get(attempt.token, 0))
            for line in lines:
                identity = EventId(attempt.token, int(line["seq"]))
                if identity > self._last:
                    events.append(Event(identity, line["type"], line["time"], line["data"]))
        self._last = events[-1].id if events else self._last
        return events

    def skip(self) -> None:
        """Skip the events that are in the files now."""
        for attempt in list_attempts(self._run_dir):
            self._offsets[attempt.token] = file_size(attempt.events)


def read_events(run_dir: Path, after: EventId | None = None) -> list[Event]:
    """Read every event after the id `after`, in order, across all attempts."""
    return EventTail(run_dir, after).read()


def last_event(run_dir: Path, type: EventType) -> Event | None:  # noqa: A002  # the word of the contract
    """Return the newest event of one type; None if there is none."""
    # Searched from the end as bytes: the file of a long run is large, and few of its lines have to be parsed.
    mark = f'"type":"{type}"'.encode()
    for attempt in reversed(list_attempts(run_dir)):
        try:
            data = attempt.events.read_bytes()
        except FileNotFoundError:
            continue
        end = data.rfind(b"\n") + 1
        while (found := data.rfind(mark, 0, end)) >= 0:
            end = data.rfind(b"\n", 0, found) + 1
            line = parse_line(data[end : data.index(b"\n", found)])
            if line is not None and line["type"] == type:
                return Event(EventId(attempt.token, int(line["seq"])), line["type"], line["time"], line["data"])
    return None


def last_health(run_dir: Path) -> HealthData | None:
    """Return the newest verdict of a run's guard; None before the first."""
    event = last_event(run_dir, "health")
    return None if event is None else cast(HealthData, event.data)

"""A run's files, read back while they grow."""

from __future__ import annotations

import json
from pathlib import Path

from models.artifacts.attempts import Attempt, Position, kimg_name
from models.artifacts.events import EventId, EventTail, EventWriter, last_event, read_events
from models.artifacts.history import last_tick, list_snapshots, read_ticks
from models.artifacts.json_lines import append_line


def _attempt(run_dir: Path, token: int, start_images: int = 0) -> Attempt:
    attempt = Attempt(run_dir, token)
    attempt.create()
    attempt.config.write_text(json.dumps({"start_images": start_images}))
    return attempt


def _tick(attempt: Attempt, images: int) -> None:
    append_line(attempt.ticks, {"images": images, "kimg": images / 1000})


def test_tail_gives_each_event_once_across_attempts(tmp_path: Path) -> None:
    tail = EventTail(tmp_path)
    assert tail.read() == []
    first = EventWriter(_attempt(tmp_path, 1))
    first.append("state", {"state": "running"})
    assert [str(event.id) for event in tail.read()] == ["1.1"]
    assert tail.read() == []
    first.append("log", {"line": "a"})
    EventWriter(_attempt(tmp_path, 2)).append("state", {"state": "running"})
    assert [str(event.id) for event in tail.read()] == ["1.2", "2.1"]


def test_tail_starts_after_the_given_event(tmp_path: Path) -> None:
    writer = EventWriter(_attempt(tmp_path, 1))
    for number in range(3):
        writer.append("log", {"line": str(number)})
    assert [str(event.id) for event in EventTail(tmp_path, EventId(1, 2)).read()] == ["1.3"]
    assert read_events(tmp_path, EventId(2, 9)) == []


def test_skipping_tail_gives_only_what_comes_later(tmp_path: Path) -> None:
    writer = EventWriter(_attempt(tmp_path, 1))
    writer.append("log", {"line": "old"})
    tail = EventTail(tmp_path)
    tail.skip()
    writer.append("log", {"line": "new"})
    assert [event.data["line"] for event in tail.read()] == ["new"]


def test_tail_leaves_a_half_written_line_for_later(tmp_path: Path) -> None:
    attempt = _attempt(tmp_path, 1)
    tail = EventTail(tmp_path)
    line = json.dumps({"seq": 1, "type": "log", "time": "t", "data": {}}) + "\n"
    with attempt.events.open("w") as file:
        file.write(line[:10])
        file.flush()
        assert tail.read() == []
        file.write(line[10:])
    assert len(tail.read()) == 1


def test_last_tick_is_the_newest_of_the_history(tmp_path: Path) -> None:
    assert last_tick(tmp_path) is None
    first = _attempt(tmp_path, 1)
    for images in range(0, 10_000, 100):
        _tick(first, images)
    assert last_tick(tmp_path) == read_ticks(tmp_path)[-1] == {"images": 9900, "kimg": 9.9}
    second = _attempt(tmp_path, 2, start_images=5000)
    assert last_tick(tmp_path) == {"images": 5000, "kimg": 5.0}
    _tick(second, 5100)
    assert last_tick(tmp_path) == {"images": 5100, "kimg": 5.1}


def test_last_tick_is_found_far_behind_a_late_resumption(tmp_path: Path) -> None:
    first = _attempt(tmp_path, 1)
    first.ticks.write_text("".join(f'{{"images":{n},"kimg":{n / 1000}}}\n' for n in range(0, 1_000_000, 100)))
    _attempt(tmp_path, 2, start_images=200)
    assert last_tick(tmp_path) == {"images": 200, "kimg": 0.2}


def test_last_event_of_a_type_is_found_in_any_attempt(tmp_path: Path) -> None:
    assert last_event(tmp_path, "health") is None
    writer = EventWriter(_attempt(tmp_path, 1))
    writer.append("health", {"verdict": "healthy"})
    writer.append("health", {"verdict": "failed"})
    writer.append("log", {"type": "health", "line": '"type":"health"'})
    EventWriter(_attempt(tmp_path, 2)).append("log", {"line": "x"})
    found = last_event(tmp_path, "health")
    assert found is not None
    assert (str(found.id), found.data) == ("1.2", {"verdict": "failed"})


def _snapshot(attempt: Attempt, images: int) -> None:
    for suffix in ("png", "safetensors", "json"):
        (attempt.snapshots / f"{kimg_name(images)}.{suffix}").write_bytes(b"")


def test_what_a_rollback_undid_never_happened(tmp_path: Path) -> None:
    attempt = _attempt(tmp_path, 1)
    for images in (1000, 2000, 3000):
        _tick(attempt, images)
        _snapshot(attempt, images)
    attempt.roll_back(1000, rolled_back_from=3000)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000]
    assert last_tick(tmp_path) == {"images": 1000, "kimg": 1.0}
    assert [snapshot.images for snapshot in list_snapshots(tmp_path)] == [1000]
    assert len(list(attempt.snapshots.iterdir())) == 3

    for images in (2000, 4000):
        _tick(attempt, images)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000, 2000, 4000]
    assert last_tick(tmp_path) == {"images": 4000, "kimg": 4.0}


def test_a_rollback_to_before_its_attempt_undoes_earlier_ones_too(tmp_path: Path) -> None:
    first = _attempt(tmp_path, 1)
    for images in (1000, 2000, 3000):
        _tick(first, images)
        _snapshot(first, images)
    second = _attempt(tmp_path, 2, start_images=3000)
    _tick(second, 4000)
    second.roll_back(2000, rolled_back_from=4000)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000, 2000]
    assert last_tick(tmp_path) == {"images": 2000, "kimg": 2.0}
    assert [snapshot.images for snapshot in list_snapshots(tmp_path)] == [1000, 2000]
    _tick(second, 3000)
    assert [tick["images"] for tick in read_ticks(tmp_path)] == [1000, 2000, 3000]


def test_a_resumption_after_a_rollback_starts_over_where_it_did(tmp_path: Path) -> None:
    first = _attempt(tmp_path, 1)
    for images in (1000, 2000):
        _tick(first, images)
    first.roll_back(0, rolled_back_from=2000)
    _tick(first, 1500)
    _attempt(tmp_path, 2, start_images=1000)
    assert read_ticks(tmp_path) == []
    assert last_tick(tmp_path) is None


def test_checkpoints_are_named_by_where_their_run_was() -> None:
    positions = [Position(0, 512_000), Position(2, 512_032), Position(0, 1_234_567_890)]
    assert [position.name for position in positions] == ["000512.000", "000512.032-2", "1234567.890"]
    assert [Position.parse(position.name) for position in positions] == positions
    assert [Position.parse(name) for name in ("512.000", "000512.000-0", ".writing-000512.000", "best")] == [None] * 4

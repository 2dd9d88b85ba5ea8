from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.artifacts.attempts import Attempt
from models.artifacts.events import EventId, EventTail, EventWriter, last_event, read_events


def make_attempt(run_dir: Path, token: int, start_images: int = 0) -> Attempt:
    attempt = Attempt(run_dir, token)
    attempt.create()
    attempt.config.write_text(json.dumps({"start_images": start_images}))
    return attempt


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "1.²"])
def test_invalid_event_ids_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected TOKEN\.SEQ"):
        EventId.parse(text)


def test_event_ids_are_ordered_by_attempt_then_position() -> None:
    assert EventId.parse("1.10") > EventId.parse("1.9")
    assert EventId.parse("10.1") > EventId.parse("9.99")
    assert str(EventId(3, 4)) == "3.4"


def test_events_of_all_attempts_are_one_stream_that_can_be_resumed_anywhere(tmp_path: Path) -> None:
    for token in (2, 10):
        writer = EventWriter(Attempt(tmp_path, token))
        for seq in (1, 2):
            assert writer.append("log", {"line": seq}) == EventId(token, seq)
    ids = [str(event.id) for event in read_events(tmp_path)]
    assert ids == ["2.1", "2.2", "10.1", "10.2"]
    for position, identity in enumerate(ids):
        assert [str(event.id) for event in read_events(tmp_path, EventId.parse(identity))] == ids[position + 1 :]


def test_the_next_writer_of_an_attempt_continues_the_numbers(tmp_path: Path) -> None:
    EventWriter(Attempt(tmp_path, 1)).append("state", {})
    assert EventWriter(Attempt(tmp_path, 1)).append("tick", {}) == EventId(1, 2)


def test_no_event_number_is_reused_after_a_torn_line(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1)
    attempt.create()
    attempt.events.write_bytes(b'{"seq":1,"ty\n{"seq":2,"type":"log","time":"","data":{}}\n')
    assert EventWriter(attempt).append("log", {}) == EventId(1, 3)


def test_the_newest_event_of_a_type_is_found_also_when_its_name_is_mentioned_elsewhere(tmp_path: Path) -> None:
    writer = EventWriter(Attempt(tmp_path, 1))
    found = writer.append("health", {"verdict": "healthy"})
    writer.append("log", {"type": "health"})
    EventWriter(Attempt(tmp_path, 2)).append("log", {})
    newest = last_event(tmp_path, "health")
    assert newest is not None
    assert (newest.id, newest.data) == (found, {"verdict": "healthy"})
    assert last_event(tmp_path, "score") is None


def test_tail_returns_each_event_once_across_attempts(tmp_path: Path) -> None:
    tail = EventTail(tmp_path)
    assert tail.read() == []
    first = EventWriter(make_attempt(tmp_path, 1))
    first.append("state", {"state": "running"})
    assert [str(event.id) for event in tail.read()] == ["1.1"]
    assert tail.read() == []
    first.append("log", {"line": "a"})
    EventWriter(make_attempt(tmp_path, 2)).append("state", {"state": "running"})
    assert [str(event.id) for event in tail.read()] == ["1.2", "2.1"]


def test_tail_starts_after_the_given_event(tmp_path: Path) -> None:
    writer = EventWriter(make_attempt(tmp_path, 1))
    for number in range(3):
        writer.append("log", {"line": str(number)})
    assert [str(event.id) for event in EventTail(tmp_path, EventId(1, 2)).read()] == ["1.3"]
    assert read_events(tmp_path, EventId(2, 9)) == []


def test_tail_returns_only_later_events_after_skip(tmp_path: Path) -> None:
    writer = EventWriter(make_attempt(tmp_path, 1))
    writer.append("log", {"line": "old"})
    tail = EventTail(tmp_path)
    tail.skip()
    writer.append("log", {"line": "new"})
    assert [event.data["line"] for event in tail.read()] == ["new"]


def test_tail_leaves_an_incomplete_line_for_later(tmp_path: Path) -> None:
    attempt = make_attempt(tmp_path, 1)
    tail = EventTail(tmp_path)
    line = json.dumps({"seq": 1, "type": "log", "time": "t", "data": {}}) + "\n"
    with attempt.events.open("w") as file:
        file.write(line[:10])
        file.flush()
        assert tail.read() == []
        file.write(line[10:])
    assert len(tail.read()) == 1


def test_last_event_of_a_type_is_found_in_any_attempt(tmp_path: Path) -> None:
    assert last_event(tmp_path, "health") is None
    writer = EventWriter(make_attempt(tmp_path, 1))
    writer.append("health", {"verdict": "healthy"})
    writer.append("health", {"verdict": "failed"})
    writer.append("log", {"type": "health", "line": '"type":"health"'})
    EventWriter(make_attempt(tmp_path, 2)).append("log", {"line": "x"})
    found = last_event(tmp_path, "health")
    assert found is not None
    assert (str(found.id), found.data) == ("1.2", {"verdict": "failed"})

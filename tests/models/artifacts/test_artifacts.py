from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.artifacts.attempts import Attempt, kimg_name, list_attempts, parse_kimg_name
from models.artifacts.events import EventId, EventWriter, last_event, read_events
from models.artifacts.history import list_snapshots, read_ticks
from models.artifacts.json_lines import append_line, read_lines


def attempt_at(run: Path, token: int, start: int | None, *ticks: int) -> Attempt:
    attempt = Attempt(run, token)
    attempt.create()
    if start is not None:
        attempt.config.write_text(json.dumps({"start_images": start}))
    for images in ticks:
        append_line(attempt.ticks, {"images": images, "kimg": images / 1000, "token": token})
        (attempt.snapshots / f"{kimg_name(images)}.png").touch()
    return attempt


def history(run: Path) -> list[tuple[int, int]]:
    ticks: list[dict[str, Any]] = [{**tick} for tick in read_ticks(run)]
    return [(tick["token"], tick["images"]) for tick in ticks]


def test_lines_come_back_and_an_offset_goes_on_from_there(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    append_line(path, {"a": 1, "text": "ö\u2028\r\n"})
    values, offset = read_lines(path)
    assert values == [{"a": 1, "text": "ö\u2028\r\n"}]
    append_line(path, {"a": 2})
    assert read_lines(path, offset) == ([{"a": 2}], path.stat().st_size)


def test_a_missing_file_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl", 7) == ([], 7)


def test_a_torn_last_line_is_left_until_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    values, offset = read_lines(path)
    assert (values, offset) == ([{"a": 1}], 8)
    with path.open("ab") as file:
        file.write(b"2}\n")
    assert read_lines(path, offset) == ([{"a": 2}], 16)


def test_a_line_appended_after_a_torn_one_is_not_swallowed_by_it(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n{"a":')
    _, offset = read_lines(path)
    append_line(path, {"a": 3})
    assert read_lines(path)[0] == [{"a": 1}, {"a": 3}]
    assert read_lines(path, offset)[0] == [{"a": 3}]


def test_rubbish_between_lines_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a":1}\n' + bytes(9) + b'\n\xff\xfe\n[1]\n\n{"a":2}\n')
    assert read_lines(path)[0] == [{"a": 1}, {"a": 2}]


def test_values_that_json_lacks_are_refused_and_leave_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_line(path, {"loss": float("nan")})
    assert not path.exists()


def test_a_full_disk_is_told() -> None:
    with pytest.raises(OSError, match="No space left"):
        append_line(Path("/dev/full"), {"a": 1})


@pytest.mark.parametrize("text", ["", "1", "1.", ".1", "1.2.3", "-1.2", "a.b", "1.²"])
def test_what_is_no_event_id_is_refused(text: str) -> None:
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


def test_the_next_writer_of_an_attempt_goes_on_counting(tmp_path: Path) -> None:
    EventWriter(Attempt(tmp_path, 1)).append("state", {})
    assert EventWriter(Attempt(tmp_path, 1)).append("tick", {}) == EventId(1, 2)


def test_no_event_number_returns_after_one_was_cut_short(tmp_path: Path) -> None:
    attempt = Attempt(tmp_path, 1)
    attempt.create()
    attempt.events.write_bytes(b'{"seq":1,"ty\n{"seq":2,"type":"log","time":"","data":{}}\n')
    assert EventWriter(attempt).append("log", {}) == EventId(1, 3)


def test_attempts_are_in_numeric_order_and_other_entries_ignored(tmp_path: Path) -> None:
    for name in ("10", "9", "notes", "²", "007"):
        (tmp_path / name).mkdir()
    assert [attempt.token for attempt in list_attempts(tmp_path)] == [9, 10]
    assert list_attempts(tmp_path / "none") == []


def test_ticks_past_the_point_of_resumption_are_dropped(tmp_path: Path) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20, 30, 40)
    attempt_at(tmp_path, 2, 20, 30)
    assert history(tmp_path) == [(1, 10), (1, 20), (2, 30)]


def test_an_attempt_that_resumed_earlier_drops_those_in_between_too(tmp_path: Path) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20, 30)
    attempt_at(tmp_path, 2, 30, 40, 50)
    attempt_at(tmp_path, 3, 20, 30)
    assert history(tmp_path) == [(1, 10), (1, 20), (3, 30)]


def test_an_attempt_that_began_again_leaves_nothing_of_the_earlier_ones(tmp_path: Path) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20)
    attempt_at(tmp_path, 2, 0, 10)
    assert history(tmp_path) == [(2, 10)]


@pytest.mark.parametrize("config", [None, "", "[]", '{"start_images": "x"}'])
def test_an_attempt_that_died_before_it_began_drops_nothing(tmp_path: Path, config: str | None) -> None:
    attempt_at(tmp_path, 1, 0, 10, 20)
    dead = attempt_at(tmp_path, 2, None)
    if config is not None:
        dead.config.write_text(config)
    assert history(tmp_path) == [(1, 10), (1, 20)]


def test_snapshots_are_one_history_with_the_newest_attempts_where_two_agree(tmp_path: Path) -> None:
    first = attempt_at(tmp_path, 1, 0, 0, 10_000, 20_000)
    attempt_at(tmp_path, 2, 10_000, 10_000)
    (first.snapshots / "000000.000.safetensors").touch()
    (first.snapshots / "preview.png").touch()
    found = list_snapshots(tmp_path)
    assert [(one.token, one.images, one.kimg) for one in found] == [(1, 0, 0.0), (2, 10_000, 10.0)]
    assert found[0].weights == first.snapshots / "000000.000.safetensors"
    assert found[1].weights is None


@pytest.mark.parametrize("images", [0, 999, 1000, 512_000, 999_999_999, 12_345_678_901])
def test_a_position_comes_back_from_its_name(images: int) -> None:
    assert parse_kimg_name(kimg_name(images)) == images


@pytest.mark.parametrize("name", ["", "1.0", "000001.0000", "000001", "nan", "000001.000.tmp"])
def test_other_names_are_no_position(name: str) -> None:
    assert parse_kimg_name(name) is None


def test_the_newest_event_of_a_type_is_found_also_when_its_name_is_mentioned_elsewhere(tmp_path: Path) -> None:
    writer = EventWriter(Attempt(tmp_path, 1))
    found = writer.append("health", {"verdict": "healthy"})
    writer.append("log", {"type": "health"})
    EventWriter(Attempt(tmp_path, 2)).append("log", {})
    newest = last_event(tmp_path, "health")
    assert newest is not None
    assert (newest.id, newest.data) == (found, {"verdict": "healthy"})
    assert last_event(tmp_path, "score") is None
